"""Key service ``file``: AES-256-GCM under a key in a local file. For a laptop, a demo, one machine.

Whoever has this file and the wrapped day keys can read everything younger than the retention. Keep the two in
different places and different backups.

Rotation leaves the old key beside the new one as ``NAME.previous-KEYID`` (see ``rotation.py``). Those, and the files
named in ``previous``, still unwrap; only the current one wraps. The files are looked at before each use and read again
when they changed, so a running process follows a rotation, and refuses once its file is gone.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyRefused
from audit.keys.files import create_private, read_private
from audit.keys.services.port import require_wrappable
from audit.store.disk import Disk

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2.2: 96 random bits, good for 2^32 wraps; a key sees a few thousand
PREVIOUS = ".previous-"
_WHAT = "key-encryption key"

_Signature = tuple[tuple[str, int, int, int], ...]


def key_id_of(key: bytes) -> str:
    """Lets a wrapped key say which key wraps it, without telling anything about that key. Raises ``KeyRefused``."""
    if len(key) != KEY_BYTES:
        raise KeyRefused(f"{_WHAT} has the wrong length: expected {KEY_BYTES} bytes, got {len(key)}")
    return hmac.digest(key, b"imprimatur/audit/kek-id/v1", "sha256")[:8].hex()


def read_key(path: Path) -> bytes:
    """Raises ``KeyRefused`` for a missing file, a wrong length, or one that group or others may touch."""
    key = read_private(path, _WHAT)
    key_id_of(key)
    return key


def siblings(path: Path) -> list[Path]:
    """Older keys that a rotation left beside a key file."""
    return sorted(path.parent.glob(f"{path.name}{PREVIOUS}" + "[0-9a-f]" * 16))


class FileKeyService:
    """Wraps under the current key, unwraps under it and its predecessors."""

    name = "file"

    def __init__(self, path: Path, previous: Sequence[Path] = ()) -> None:
        """Reads the keys. Raises ``KeyRefused``."""
        self._path = path
        self._named = tuple(previous)
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._ciphers: dict[str, AESGCM] = {}  # by key id, the current one first
        self._current()

    @classmethod
    def create(cls, path: Path, disk: Disk) -> Self:
        """Create a fresh key durably, mode 0600. Raises ``FileExistsError`` rather than replace one."""
        create_private(path, os.urandom(KEY_BYTES), disk)
        return cls(path)

    @property
    def key_id(self) -> str:
        return self._current()[0]

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        require_wrappable(secret)
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._current()[1].encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        self._current()
        with self._lock:
            ciphers = list(self._ciphers.values())
        for cipher in ciphers:  # two or three; the bytes themselves do not say which (their format is older than that)
            try:
                return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
            except (InvalidTag, ValueError):
                continue
        raise KeyRefused("wrapped day key does not open: another key-encryption key, or the file changed")

    def can_unwrap(self, key_id: str) -> bool:
        self._current()
        with self._lock:
            return key_id in self._ciphers

    def check(self) -> None:
        if self.unwrap(self.wrap(b"check", b"check"), b"check") != b"check":
            raise KeyRefused(f"{_WHAT} {self._path} does not give back what it wrapped")  # cannot happen: GCM

    def close(self) -> None:
        with self._lock:
            self._ciphers.clear()
            self._signature = None

    def __repr__(self) -> str:
        return f"FileKeyService({str(self._path)!r})"

    def _current(self) -> tuple[str, AESGCM]:
        """Id and cipher of the current key, read again if a file changed. Raises ``KeyRefused``."""
        with self._lock:
            paths = [self._path, *self._named, *siblings(self._path)]
            signature = _signature_of(paths)
            if signature is None or signature != self._signature:
                self._ciphers, self._signature = {}, None  # whatever goes wrong now, the old keys are not used again
                ciphers: dict[str, AESGCM] = {}
                for path in paths:
                    key = read_key(path)
                    ciphers.setdefault(key_id_of(key), AESGCM(key))
                self._ciphers, self._signature = ciphers, signature
            return next(iter(self._ciphers.items()))


def _signature_of(paths: Sequence[Path]) -> _Signature | None:
    """What changes when one of the files does; ``None`` if one cannot be looked at (reading it says why)."""
    try:
        return tuple((str(path), (s := path.stat()).st_ino, s.st_mtime_ns, s.st_mode) for path in paths)
    except OSError:
        return None
