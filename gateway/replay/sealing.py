"""Keys of pages: one a day, made at random, kept wrapped under a key that is not in the database.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces: far fewer than 2^32 pages are sealed under the key of a day.
"""

from __future__ import annotations

import secrets
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
    """Wraps keys of days and seals pages with them. A page moved to another day does not open."""

    def __init__(self, secret: bytes) -> None:
        """Derives the wrapping key by HKDF-SHA256 (RFC 5869). Raises ValueError when the secret is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"expected a secret of at least {MIN_SECRET_BYTES} bytes, got {len(secret)}")
        self._wrapper = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Raises ValueError, naming the file."""
        try:
            return cls(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} can't be used to seal what the rules saw ({error})") from error

    def new_key(self, day: date) -> bytes:
        """A fresh key of a day, wrapped."""
        return _seal(self._wrapper, AESGCM.generate_key(256), f"key/{day}")

    def open_key(self, day: date, wrapped: bytes) -> AESGCM:
        """Raises PageUnreadable."""
        return AESGCM(_open(self._wrapper, wrapped, f"key/{day}", day))

    @staticmethod
    def seal(key: AESGCM, day: date, page: bytes) -> bytes:
        """`page` under the key of its day."""
        return _seal(key, page, f"page/{day}")

    @staticmethod
    def open(key: AESGCM, day: date, sealed: bytes) -> bytes:
        """Raises PageUnreadable."""
        return _open(key, sealed, f"page/{day}", day)


def _seal(key: AESGCM, data: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, data, context.encode())


def _open(key: AESGCM, sealed: bytes, context: str, day: date) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError) as error:
        raise PageUnreadable(f"inputs of {day} do not open: changed, or sealed under another secret") from error
