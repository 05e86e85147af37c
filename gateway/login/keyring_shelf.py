"""What a login brought, in the system's keyring (Keychain, Credential Manager, Secret Service), and nowhere else.

A machine without one keeps nothing: a plain file would be found by every program of the person's, and by every backup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import keyring
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import KeyringError, PasswordDeleteError

from gateway.login.device_flow import Door, LoginFailed, Tokens

SERVICE: Final = "imprimatur"
_LAST: Final = "last gateway"
_PIECE: Final = 1000
"""Windows keeps 2,560 bytes in an entry, two for each character."""
_MAX_PIECES: Final = 64
_UNSAFE_MODULES: Final = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")


class NoKeyring(LoginFailed):
    """There is no keyring here that keeps secrets."""

    def __init__(self) -> None:
        super().__init__(
            "This machine has no keyring that could keep your sign-in, and it is not written to a file. Either use a "
            "desktop session with a keyring, or run `imprimatur login --print-token`, which prints a short-lived "
            "token and keeps nothing."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One sign-in at one gateway."""

    door: Door
    tokens: Tokens = field(repr=False)


class KeyringShelf:
    """Puts logins into the keyring and takes them out, by the gateway's address. Raises NoKeyring, LoginFailed."""

    def __init__(self) -> None:
        if not is_keeping_secrets(keyring.get_keyring()):
            raise NoKeyring

    @property
    def name(self) -> str:
        """The keyring's own name."""
        return str(keyring.get_keyring().name)

    def put(self, login: Login) -> None:
        """Keep it, and remember its gateway as the last one."""
        text = json.dumps({"door": asdict(login.door), "tokens": asdict(login.tokens)})
        pieces = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
        if len(pieces) > _MAX_PIECES:
            raise LoginFailed("The provider's tokens are too long to be kept.")
        try:
            self._drop(login.door.gateway)
            for number, piece in enumerate(pieces):
                keyring.set_password(SERVICE, _entry(login.door.gateway, number), piece)
            keyring.set_password(SERVICE, _LAST, login.door.gateway)
        except KeyringError as error:
            raise LoginFailed(f"The keyring does not take it ({type(error).__name__}). Is it locked?") from error

    def take(self, gateway: str = "") -> Login | None:
        """The login at that gateway, or at the last one."""
        try:
            gateway = gateway.rstrip("/") or keyring.get_password(SERVICE, _LAST) or ""
            text = "".join(self._pieces(gateway)) if gateway else ""
        except KeyringError as error:
            raise LoginFailed(f"The keyring does not open ({type(error).__name__}). Is it locked?") from error
        try:
            kept = json.loads(text)
            return Login(door=Door(**kept["door"]), tokens=Tokens(**kept["tokens"]))
        except (ValueError, TypeError, KeyError):
            return None  # none, of another version, or half written: all the same

    def drop(self, gateway: str) -> None:
        """Forget it."""
        try:
            self._drop(gateway.rstrip("/"))
            if keyring.get_password(SERVICE, _LAST) == gateway.rstrip("/"):
                keyring.delete_password(SERVICE, _LAST)
        except KeyringError as error:
            raise LoginFailed(f"The keyring does not forget it ({type(error).__name__}). Is it locked?") from error

    def _pieces(self, gateway: str) -> Sequence[str]:
        found = []
        for number in range(_MAX_PIECES):
            piece = keyring.get_password(SERVICE, _entry(gateway, number))
            if piece is None:
                break
            found.append(piece)
        return found

    def _drop(self, gateway: str) -> None:
        for number in range(len(self._pieces(gateway))):
            try:
                keyring.delete_password(SERVICE, _entry(gateway, number))
            except PasswordDeleteError:
                continue  # gone already


def is_keeping_secrets(backend: KeyringBackend) -> bool:
    """Whether it keeps what it is given from others: no stand-in, no plain file, and nothing chained that is one."""
    if isinstance(backend, ChainerBackend):
        return bool(backend.backends) and all(map(is_keeping_secrets, backend.backends))
    return not type(backend).__module__.startswith(_UNSAFE_MODULES)


def _entry(gateway: str, number: int) -> str:
    return f"{gateway} #{number}"
