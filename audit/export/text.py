"""Text on its way into other systems' formats: what none of them can carry is replaced, never dropped silently."""

from __future__ import annotations

import re
from datetime import UTC, datetime

REPLACEMENT = "\ufffd"
# A client may send the JSON escape of half a character; UTF-8 cannot carry it (RFC 3629, section 3).
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# C0 and C1 controls, line and paragraph separators: they end lines or move cursors in terminals and log viewers, which
# is how a name could forge a second record (CWE-117). Direction marks could show a record as another one.
_CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def whole_characters(text: str) -> str:
    """``text`` with each lone surrogate replaced by U+FFFD, so that it can be written as UTF-8."""
    return _LONE_SURROGATE.sub(REPLACEMENT, text)


def one_line(text: str) -> str:
    """``whole_characters`` with controls, line separators and direction marks replaced too."""
    return _CONTROL.sub(REPLACEMENT, whole_characters(text))


def utc_text(at: datetime) -> str:
    """A time as RFC 3339 with microseconds and Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def milliseconds(at: datetime) -> int:
    """Whole Unix milliseconds of a time: a ``timestamp_t`` of OCSF, an ``rt`` of CEF."""
    at = at.astimezone(UTC)
    return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000
