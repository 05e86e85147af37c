"""Keys of pages: one a day, made at random, kept wrapped in files outside the database and its backups.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces: far fewer than 2^32 pages are sealed under the key of a day.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO: Final = b"imprimatur/replay/day-keys/v1"
_NONCE_BYTES: Final = 12
MIN_SECRET_BYTES: Final = 32


class PageUnreadable(Exception):
    """A page or the key of its day was changed, or was sealed under another secret. `str()` names the day only."""


class Sealer:
    """Keeps a wrapped key a day in a folder, and seals pages with it. A page moved to another day does not open."""

    def __init__(self, secret: bytes, folder: Path) -> None:
        """Derives the wrapping key by HKDF-SHA256 (RFC 5869). Raises ValueError when the secret is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"expected a secret of at least {MIN_SECRET_BYTES} bytes, got {len(secret)}")
        self._wrapper = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret))
        self._folder = folder

    @classmethod
    def from_file(cls, path: Path, folder: Path) -> Self:
        """Raises ValueError, naming the file."""
        try:
            return cls(path.read_bytes(), folder)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} can't be used to seal what the rules saw ({error})") from error

    def key(self, day: date) -> AESGCM | None:
        """The key of a day, or None when there is none (any more). Raises PageUnreadable, OSError. Blocks."""
        try:
            wrapped = self._path(day).read_bytes()
        except FileNotFoundError:
            return None
        return AESGCM(_open(self._wrapper, wrapped, f"key/{day}", day))

    def make_key(self, day: date) -> AESGCM:
        """The key of a day, made if there is none; durable when it returns. Raises as `key` does. Blocks."""
        if (key := self.key(day)) is not None:
            return key
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self._folder / f".{secrets.token_hex(8)}"
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_seal(self._wrapper, AESGCM.generate_key(256), f"key/{day}"))
            file.flush()
            os.fsync(file.fileno())
        try:
            with suppress(FileExistsError):  # another gateway was first: its key is the day's
                os.link(aside, self._path(day))
        finally:
            aside.unlink()
        key = self.key(day)
        if key is None:
            raise PageUnreadable(f"the key of {day} was destroyed in this moment")
        return key

    def destroy_before(self, oldest: date) -> int:
        """Overwrite and unlink the keys of earlier days; returns how many there were. Raises OSError. Blocks."""
        gone = 0
        for path in sorted(self._folder.glob("*.key")):
            if path.stem >= oldest.isoformat():
                continue
            with suppress(FileNotFoundError):  # another gateway is at it too
                with path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
                gone += 1
        return gone

    @staticmethod
    def seal(key: AESGCM, day: date, page: bytes, *, what: str = "page") -> bytes:
        """`page` under the key of its day. It opens as `what` it was sealed, and as nothing else."""
        return _seal(key, page, f"{what}/{day}")

    @staticmethod
    def open(key: AESGCM, day: date, sealed: bytes, *, what: str = "page") -> bytes:
        """Raises PageUnreadable."""
        return _open(key, sealed, f"{what}/{day}", day)

    def _path(self, day: date) -> Path:
        return self._folder / f"{day.isoformat()}.key"


def _seal(key: AESGCM, data: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, data, context.encode())


def _open(key: AESGCM, sealed: bytes, context: str, day: date) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError) as error:
        raise PageUnreadable(f"inputs of {day} do not open: changed, or sealed under another secret") from error
