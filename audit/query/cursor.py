"""Where a search goes on. Opaque to whoever holds it, worthless for another search."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from audit.errors import QueryInvalid

BINDING_BYTES: Final = 8
_VERSION: Final = 1
# version, day as its proleptic ordinal, last sequence number seen, horizon, binding to the query
_LAYOUT: Final = struct.Struct(f">BLQQ{BINDING_BYTES}s")
_TEXT_LENGTH: Final = (_LAYOUT.size * 8 + 5) // 6
_MAX_SEQ: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row seen, and the horizon: the sequence number of the first page's own access record. No page of the
    search shows what began after it, however much is written meanwhile."""

    day: date
    seq: int
    horizon: int

    def text(self, binding: bytes) -> str:
        packed = _LAYOUT.pack(_VERSION, self.day.toordinal(), self.seq, self.horizon, binding)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str, binding: bytes) -> Self:
        """Raises ``QueryInvalid`` for what no search returned, or one with other conditions."""
        try:
            if len(text) != _TEXT_LENGTH:
                raise ValueError
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            version, ordinal, seq, horizon, bound = _LAYOUT.unpack(packed)
            if version != _VERSION or max(seq, horizon) > _MAX_SEQ:
                raise ValueError
            found = cls(date.fromordinal(ordinal), seq, horizon)
            if found.text(bound) != text:
                raise ValueError  # a second spelling: bits beyond the last byte
        except (ValueError, OverflowError, struct.error, binascii.Error):
            raise QueryInvalid("cursor is not one that a search returned") from None
        if not hmac.compare_digest(bound, binding):
            raise QueryInvalid("cursor belongs to a search with other conditions; start from the first page")
        return found
