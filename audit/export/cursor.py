"""A cursor: how far somebody has read a log, as text that they keep.

``v1.<position>.<tag>``. The position is the number of records taken, so it is the sequence number of the next one. The
tag is a short hash over the log's origin and the position: a cursor of another log, or one mistyped, is refused instead
of silently skipping records or sending them all again. It is no secret and grants nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from audit.canonical import encode
from audit.errors import QueryInvalid

_FORM: Final = re.compile(r"v1\.(0|[1-9][0-9]{0,17})\.([0-9a-f]{16})")
_TAG_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log has been read."""

    origin: str
    position: int  # records taken; the sequence number of the next

    def __str__(self) -> str:
        return f"v1.{self.position}.{self._tag()}"

    @classmethod
    def parse(cls, text: str, origin: str) -> Cursor:
        """Read a cursor of the log ``origin``. Raises ``QueryInvalid`` for any other."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise QueryInvalid("cursor is malformed: expected v1.<position>.<tag>, as the log gave it out")
        cursor = cls(origin, int(match[1]))
        if not hmac.compare_digest(match[2], cursor._tag()):
            raise QueryInvalid(f"cursor was not given out by the log {origin}: it is of another log, or mistyped")
        return cursor

    def _tag(self) -> str:
        label = encode("imprimatur/audit/cursor/v1", self.origin, self.position)
        return hashlib.sha256(label).hexdigest()[: 2 * _TAG_BYTES]
