"""Event ids: UUID version 7 (RFC 9562, section 5.7), so that an id tells its day and sorts by time."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, date, datetime, timedelta

from audit.errors import QueryInvalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_event_id(at: datetime | None = None) -> str:
    """A fresh id whose first 48 bits are ``at`` (now by default) in Unix milliseconds; the other 74 bits are random."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else (at - _EPOCH) // timedelta(milliseconds=1)
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
    return str(uuid.UUID(int=value))


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
