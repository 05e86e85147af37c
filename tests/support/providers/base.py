"""What the three providers have in common: a process on loopback, the demo's people, and what the gateway is told."""

from __future__ import annotations

import abc
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import httpx
from joserfc.jwk import ECKey

from demo.idp.people import Person, people_of

HOST: Final = "127.0.0.1"
BROWSER_CLIENT: Final = "imprimatur"
CLI_CLIENT: Final = "imprimatur-cli"
ROBOT_CLIENT: Final = "robot"
READY_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a provider does. The interop suite asserts each of these both ways: that it is there, or that it is not."""

    amr: tuple[str, ...]
    """`amr` of an ID token after password and TOTP."""
    acr: str | None
    """`acr` of the same; None when it sends none."""
    auth_time_moves: bool
    """Whether `auth_time` is the moment of the last real sign-in."""
    sid: bool
    """Whether ID tokens name the provider's session."""
    refresh_token: bool
    """Whether the gateway's client gets one."""
    refresh_error_of_the_dismissed: str | None
    """How a refresh of somebody who was let go is refused; None: it is not, and goes on for ever."""
    back_channel_logout: str
    """What a sign-out at the provider does: `ends` our session, is `refused` (its token breaks the rules), `none`."""
    says_back_channel_logout: bool
    """Whether discovery says so."""
    logout_token_typ: str | None
    """`typ` of its logout tokens; None without any."""
    logout_returns: str
    """What RP-initiated logout needs to come back to us: `client_id`, `id_token_hint`."""
    device_flow: bool
    jwt_access_token: bool
    """Whether access tokens for a resource are JWTs of RFC 9068."""
    access_token_shows_factors: bool
    """Whether those carry `amr` and `auth_time`."""
    access_token_groups: str
    """How those carry groups: `list` or `comma-string`."""
    private_key_jwt: bool
    promises_iss: bool
    """Whether discovery promises the `iss` parameter of RFC 9207 (all three send it)."""
    refresh_id_token: bool
    """Whether a refresh brings a new ID token."""


class RunningProvider(abc.ABC):
    """One provider's process. `public_url` is the gateway's: the only place it sends people back to."""

    name: ClassVar[str]
    features: ClassVar[Features]

    def __init__(self, state: Path, public_url: str, *, port: int = 0) -> None:
        self.state = state
        self.public_url = public_url.rstrip("/")
        self.port = port or free_port()
        self.cli_port = free_port()
        """Where the command line's client comes back to, at providers that want to know the port."""
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.people: dict[str, Person] = {p.name: p for p in people_of(state / "people.json")}
        self.client_secret_path = state / "client.secret"
        self.robot_key_path = state / "robot.jwk"
        self.client_secret = kept(self.client_secret_path)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def issuer(self) -> str:
        """The `iss` of its tokens."""

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url}/auth/callback/{self.name}"

    @property
    def logout_uri(self) -> str:
        """Where it posts logout tokens to."""
        return f"{self.public_url}/auth/back-channel-logout/{self.name}"

    @property
    def resource(self) -> str:
        """The audience of access tokens for the gateway."""
        return self.public_url

    @property
    def robot_scope(self) -> str:
        """What the robot asks for."""
        return "image:generate"

    @property
    def device_scope(self) -> str:
        """What `imprimatur login` asks for."""
        return " ".join(self.provider()["scopes"])

    @abc.abstractmethod
    def provider(self) -> dict[str, Any]:
        """What the gateway is told: one entry of its setting `identity.providers`."""

    @abc.abstractmethod
    def command(self) -> tuple[list[str], dict[str, str]]:
        """Write what it needs into `state`; the command that runs it, and its whole environment."""

    async def answer(self, browser: httpx.AsyncClient, page: httpx.Response, person: Person) -> httpx.Response | None:
        """Do on a page of the provider what `person` would; None: it is an ordinary form."""
        return None

    def is_end(self, page: httpx.Response) -> bool:
        """Whether there is nothing (more) to answer on a page of the provider."""
        return "<form" not in page.text

    @abc.abstractmethod
    async def dismiss(self, name: str) -> None:
        """The company lets somebody go: the account may not sign in any more."""

    @abc.abstractmethod
    async def reinstate(self, name: str) -> None:
        """Undo `dismiss`."""

    @abc.abstractmethod
    async def regroup(self, name: str, groups: tuple[str, ...]) -> None:
        """Somebody changes their groups."""

    def prepared(self) -> None:  # noqa: B027 most need nothing
        """Called when it answers for the first time: what can only be set up over its own API."""

    def start(self) -> Self:
        """Run it; returns when it answers. Raises RuntimeError with the end of its log."""
        command, environment = self.command()
        with (self.state / "idp.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.state,
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        try:
            self._wait(self.ready_url())
            self.prepared()
        except BaseException:
            self.stop()
            raise
        return self

    def ready_url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    def stop(self) -> None:
        """End it by its pid; returns when it is gone."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait(self, address: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                if httpx.get(address, timeout=2, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        end = (self.state / "idp.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} did not start at {self.issuer}; its log ends:\n{end}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def robot_public_key(self) -> Mapping[str, Any]:
        """The public half of the robot's key, made when first asked for."""
        if not self.robot_key_path.exists():
            key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
            write_secret(self.robot_key_path, json.dumps(key.as_dict(private=True)))
        return dict(ECKey.import_key(json.loads(self.robot_key_path.read_text())).as_dict(private=False))


def kept(path: Path) -> str:
    """A random secret that stays the same from one start to the next."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()


def write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _end_with_parent() -> None:
    """Ask Linux to end this process when the tests that started it are killed (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
