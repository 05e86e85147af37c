"""An OPA server that follows a gateway's signed bundles: the real one when `$OPA_BIN` names it, else our shape of it
over OPA's own engine (`opa_server.py`)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


class Sidecar:
    """A child process. `service` is the gateway's address; `key_id` and `public_pem` are what it verifies with."""

    def __init__(self, service: str, *, token: str, key_id: str, public_pem: bytes) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="opa-sidecar-")
        folder = Path(self._scratch.name)
        (folder / "token").write_text(token)
        (folder / "key.pem").write_bytes(public_pem)
        binary = os.environ.get("OPA_BIN")
        self.is_real = binary is not None
        if binary is not None:
            port = _free_port()
            config = folder / "opa.json"
            config.write_text(json.dumps(opa_config(service, folder / "token", key_id, public_pem.decode())))
            command = [binary, "run", "--server", f"--addr=127.0.0.1:{port}", f"--config-file={config}"]
            command += ["--disable-telemetry", "--log-level=error"]
            self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)
        else:
            command = [sys.executable, "-m", "tests.support.opa_server", "--bundle-url", service]
            command += ["--token-file", str(folder / "token"), "--key-id", key_id]
            command += ["--key-file", str(folder / "key.pem")]
            self._child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
            assert self._child.stdout is not None
            words = self._child.stdout.readline().split()
            assert words[:1] == ["ready"], "the OPA server did not start"
            port = int(words[1])
        self.url = f"http://127.0.0.1:{port}"

    def revision(self) -> str:
        """The revision beside its answers now; empty while it has none."""
        ask = urllib.request.Request(
            f"{self.url}/v1/data/gateway/lib?provenance=true",
            data=b'{"input": {}}',
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(ask, timeout=5) as answer:
                bundles = json.load(answer).get("provenance", {}).get("bundles") or {}
        except (urllib.error.URLError, OSError):
            return ""
        return str(bundles.get("imprimatur", {}).get("revision", ""))

    def wait_for(self, revision: str, seconds: float = 30.0) -> None:
        """Until it runs `revision`; fails when it doesn't in time."""
        deadline = time.monotonic() + seconds
        while self.revision() != revision:
            assert time.monotonic() < deadline, f"the OPA server runs {self.revision()!r}, not {revision!r}"
            time.sleep(0.05)

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._scratch.cleanup()


def opa_config(
    service: str, token_path: Path, key_id: str, public_pem: str, algorithm: str = "ES256"
) -> dict[str, object]:
    """OPA's configuration file, as docs/how-to/run-opa-beside-the-gateway.md has it."""
    return {
        "services": {"gateway": {"url": service, "credentials": {"bearer": {"token_path": str(token_path)}}}},
        "keys": {key_id: {"algorithm": algorithm, "key": public_pem, "scope": "write"}},
        "bundles": {
            "imprimatur": {
                "service": "gateway",
                "resource": "bundles/imprimatur.tar.gz",
                "signing": {"keyid": key_id, "scope": "write"},
                "polling": {"min_delay_seconds": 1, "max_delay_seconds": 2, "long_polling_timeout_seconds": 30},
            }
        },
        "status": {"service": "gateway"},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
