"""The governance key: authenticates the rows that grant something, and seals the free text in them.

64 random bytes in ``keys/governance.json``, wrapped by the key service and kept out of every database: whoever may
write to the tables still cannot write an approval that counts.
"""

from __future__ import annotations

import hmac
import os
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.canonical import Field, encode
from audit.errors import KeyRefused, StoreDamaged
from audit.governance.names import KEY_NAME
from audit.governance.wrapped import KeyWrapper, create_secret, load_secret, rewrap_secret
from audit.store.disk import Disk

KEY_BYTES = 32  # HMAC-SHA-256 and AES-256
NONCE_BYTES = 12
GOVERNANCE_PURPOSE = "governance"


class GovernanceKeys:
    """Unwrapped on first use. ``may_create`` says whether a missing key may be made: only for a log without rows."""

    def __init__(self, folder: Path, wrapper: KeyWrapper, disk: Disk) -> None:
        self._path = folder / KEY_NAME
        self._wrapper = wrapper
        self._disk = disk
        self._lock = threading.Lock()
        self._secret: bytearray | None = None

    def ensure(self, *, may_create: bool) -> None:
        """Load the key, or make it. Raises ``KeyRefused`` if it is missing although it was used before."""
        with self._lock:
            if self._secret is not None:
                return
            if self._path.exists():
                _, secret = load_secret(self._path, GOVERNANCE_PURPOSE, self._wrapper)
            elif may_create:
                _, secret = create_secret(self._path, GOVERNANCE_PURPOSE, 2 * KEY_BYTES, self._wrapper, self._disk)
            else:
                raise KeyRefused(f"{self._path} is missing, but approvals were made under it: restore the key folder")
            self._secret = bytearray(secret)

    def mac(self, table: str, fields: tuple[Field, ...]) -> bytes:
        """MAC of one row."""
        return hmac.digest(self._half(0), encode("imprimatur/audit/governance-row/v1", table, fields), "sha256")

    def seal(self, table: str, row_id: str, column: str, plaintext: bytes) -> bytes:
        """``nonce || ciphertext || tag`` of one cell, bound to its place."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._half(1)).encrypt(nonce, plaintext, _place(table, row_id, column))

    def unseal(self, table: str, row_id: str, column: str, sealed: bytes) -> bytes:
        """Inverse of ``seal``. Raises ``StoreDamaged`` for bytes that were changed or moved."""
        try:
            return AESGCM(self._half(1)).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(table, row_id, column)
            )
        except (InvalidTag, ValueError):
            raise StoreDamaged(f"{table} {row_id}: {column} does not open: it was changed or moved") from None

    def rewrap(self, *, everything: bool = False) -> bool:
        """Wrap the key anew after the key service was rotated or changed; ``False`` if there is nothing to do."""
        with self._lock:
            return self._path.exists() and rewrap_secret(
                self._path, GOVERNANCE_PURPOSE, self._wrapper, self._disk, everything=everything
            )

    def wipe(self) -> None:
        """Forget the key."""
        with self._lock:
            if self._secret is not None:
                self._secret[:] = bytes(len(self._secret))
                self._secret = None

    def _half(self, index: int) -> bytes:
        if self._secret is None:
            raise KeyRefused("the governance key is not loaded")
        return bytes(self._secret[index * KEY_BYTES : (index + 1) * KEY_BYTES])


def _place(table: str, row_id: str, column: str) -> bytes:
    return encode("imprimatur/audit/governance-cell/v1", table, row_id, column)
