"""`DemoIdp`: a running canaille, its people, and what the gateway has to be told about it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from demo.idp.install import ensure_installed
from demo.idp.people import STAFF, Employee, Person, people_of

HOST: Final = "127.0.0.1"
CLIENT_ID: Final = "imprimatur"
SERVE: Final = Path(__file__).with_name("serve.py")
READY_SECONDS: Final = 30.0
"""How long to wait for its first answer; it takes about three seconds on a small machine."""


class DemoIdp:
    """One canaille process on loopback. Its state (people, keys, secrets, log) lives in `state_dir` and survives it.

    `port` 0 takes a free one. `public_url` is the gateway's: the only place it sends people back to.
    """

    provider_name = "canaille"

    def __init__(
        self,
        state_dir: Path,
        port: int,
        public_url: str,
        *,
        staff: Sequence[Employee] = STAFF,
        say: Callable[[str], None] = print,
    ) -> None:
        self.state_dir = state_dir
        self.port = port or _free_port()
        self.public_url = public_url.rstrip("/")
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.people: dict[str, Person] = {p.name: p for p in people_of(state_dir / "people.json", staff)}
        self.client_secret_path = state_dir / "client.secret"
        # Made here and not at start: whoever is told of the path may read it before the provider runs.
        self._client_secret = _kept(self.client_secret_path)

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}"

    def provider(self) -> dict[str, Any]:
        """What the gateway is told: one entry of its setting `identity.providers`."""
        return {
            "name": self.provider_name,
            "label": "Example Company",
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret_path": str(self.client_secret_path),
            "scopes": ["openid", "profile", "email", "groups"],
            "algorithms": ["RS256"],
            "profile": {
                # canaille never sends `acr`. Its `amr` names the factors of the last full sign-in; two different ones
                # are asked for by name, because its summary word `mfa` only counts steps.
                "mfa_amr_two_distinct_of": ["pwd", "otp"],
                # When the last factor was given. Worth trusting because of point 3 in serve.py.
                "trusts_auth_time": True,
                "groups_claim": "groups",
                "department_claim": "department",
            },
        }

    def start(self) -> Self:
        """Begin to run; returns at once. `wait_ready` says when it answers."""
        python = ensure_installed(say=self._say)
        self._write_configuration()
        with (self.state_dir / "idp.log").open("ab") as log:
            self._process = subprocess.Popen(
                [python, str(SERVE), str(self.state_dir)],
                cwd=self.state_dir,
                # Its own few variables only: canaille reads any of the parent's as settings.
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> Self:
        """Return when it answers. Raises RuntimeError with the end of its log when it died or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        address = f"{self.issuer}/.well-known/openid-configuration"
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(address, timeout=2):  # noqa: S310 our own loopback address
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        self.stop()
        end = (self.state_dir / "idp.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the demo's identity provider did not start at {self.issuer}; its log ends:\n{end}")

    def stop(self) -> None:
        """End it; returns when it is gone."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start().wait_ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_configuration(self) -> None:
        given = {
            "host": HOST,
            "port": self.port,
            "public_url": self.public_url,
            "redirect_uri": f"{self.public_url}/auth/callback/{self.provider_name}",
            "client_id": CLIENT_ID,
            "client_secret": self._client_secret,
            "secret_key": _kept(self.state_dir / "idp-cookies.secret"),
            "people": [asdict(p) for p in self.people.values()],
        }
        path = self.state_dir / "idp.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(given, indent=1), encoding="utf-8")


def _kept(path: Path) -> str:
    """A random secret that stays the same from one start to the next."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind((HOST, 0))
        port: int = s.getsockname()[1]
    return port
