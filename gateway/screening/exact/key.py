"""The key under which lists are hashed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

TOKEN_BYTES: Final = 8
"""64 bits: with a million values in a list, one random lookup in 2 * 10^13 hits by accident."""
_PURPOSE: Final = b"imprimatur screening: exact data match, version 1"


class ListKey:
    """Hashes the values of lists. Made from the screening secret for this purpose alone: the HMACs in findings are
    under the secret itself and never meet these (RFC 5869, section 3.2 on keys for one purpose)."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        # HMAC's two halves (RFC 2104, section 2) with the key taken in already: every word of a prompt is hashed.
        self._inner, self._outer = (hashlib.sha256(_padded(self._key, pad)) for pad in (0x36, 0x5C))

    def __repr__(self) -> str:
        return "ListKey()"

    @property
    def check(self) -> str:
        """Names the key without telling it."""
        return self.seal(b"which key")[:16]

    def word(self, word: str) -> int:
        """What stands for a word that a value begins with."""
        return self._token(b"w\0", word.encode())

    def value(self, canonical: str) -> int:
        return self._token(b"v\0", canonical.encode())

    def pair(self, one: int, other: int) -> int:
        """What stands for two values of one row."""
        low, high = sorted((one, other))
        return self._token(b"p\0", low.to_bytes(TOKEN_BYTES, "big") + high.to_bytes(TOKEN_BYTES, "big"))

    def seal(self, body: bytes) -> str:
        return hmac.digest(self._key, b"s\0" + body, "sha256").hex()

    def _token(self, kind: bytes, message: bytes) -> int:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(kind + message)
        outer.update(inner.digest())
        return int.from_bytes(outer.digest()[:TOKEN_BYTES], "big")


def _padded(key: bytes, pad: int) -> bytes:
    return bytes(byte ^ pad for byte in key.ljust(hashlib.sha256().block_size, b"\0"))
