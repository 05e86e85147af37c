"""Event ids: UUID version 7 (RFC 9562, section 5.7), so that an id tells its day and sorts by time."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, date, datetime, timedelta

from audit.errors import QueryInvalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BYTES, _DRAWN_BYTES = 10, 1280
_VERSION_7, _VARIANT = 0x7 << 76, 0x2 << 62  # RFC 9562, sections 4.2 and 4.1
_FREE_BITS = ~(0xF << 76 | 0x3 << 62)


class _Drawn(threading.local):
    """Random bytes of the system, drawn for many ids at once: each draw makes a thread let go of the interpreter."""

    def __init__(self) -> None:
        self.left = b""


_drawn = _Drawn()
os.register_at_fork(after_in_child=lambda: setattr(_drawn, "left", b""))  # or both would make the same ids


def new_event_id(at: datetime | None = None) -> str:
    """A fresh id whose first 48 bits are ``at`` (now by default) in Unix milliseconds; the other 74 bits are random."""
    return str(new_event_uuid(at))


def new_event_uuid(at: datetime | None = None) -> uuid.UUID:
    """The same, not yet written out."""
    if at is None:
        milliseconds = time.time_ns() // 1_000_000
    else:
        since = at - _EPOCH
        milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    left = _drawn.left or os.urandom(_DRAWN_BYTES)
    _drawn.left = left[_RANDOM_BYTES:]
    random = int.from_bytes(left[:_RANDOM_BYTES], "big")
    return uuid.UUID(int=(milliseconds << 80 | random) & _FREE_BITS | _VERSION_7 | _VARIANT)


def day_of(event_id: uuid.UUID) -> date:
    """The UTC day an event id was made on: a hint where to look first, for its maker had a clock of their own."""
    return (_EPOCH + timedelta(milliseconds=event_id.int >> 80)).date()


def parse_event_id(text: str) -> uuid.UUID:
    """Read an event id. Raises ``QueryInvalid`` unless it is a version 7 UUID in its usual lower-case spelling."""
    try:
        event_id = uuid.UUID(text)
    except ValueError:
        raise QueryInvalid("event id is not a UUID") from None
    if str(event_id) != text or event_id.version != 7:
        raise QueryInvalid("event id is not a version 7 UUID in lower case with hyphens")
    return event_id
