"""The key-encryption key as a local file: the laptop's stand-in for a key service.

Whoever has this file and the wrapped day keys can read everything younger than the retention. Keep the two in
different places and different backups.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyRefused
from audit.keys.files import create_private, read_private
from audit.store.disk import Disk

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits; random is fine for the few thousand wraps of one key's life


class FileKek:
    """Wraps and unwraps day keys with AES-256-GCM under a key read from a file once."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise KeyRefused(f"key-encryption key has the wrong length: expected {KEY_BYTES} bytes, got {len(key)}")
        self._aead = AESGCM(key)
        # Lets a wrapped key say which key wraps it, without telling anything about that key.
        self.key_id = hmac.digest(key, b"imprimatur/audit/kek-id/v1", "sha256")[:8].hex()

    @classmethod
    def load(cls, path: Path) -> FileKek:
        """Raises ``KeyRefused`` for a missing file, a wrong length, or one that group or others may touch."""
        return cls(read_private(path, "key-encryption key"))

    @classmethod
    def create(cls, path: Path, disk: Disk) -> FileKek:
        """Create a fresh key durably, mode 0600. Raises ``FileExistsError`` rather than replace one."""
        key = os.urandom(KEY_BYTES)
        create_private(path, key, disk)
        return cls(key)

    def can_unwrap(self, key_id: str) -> bool:
        """Is it this key that wrapped what names ``key_id``?"""
        return key_id == self.key_id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt a secret, bound to its context."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Inverse of ``wrap``. Raises ``KeyRefused`` if anything about the blob, its context or the key differs."""
        try:
            return self._aead.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise KeyRefused("wrapped day key does not open: another key-encryption key, or the file changed") from None
