"""How spans of numbers, days and moments are written, and what they mean. Errors quote no value."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from audit.errors import QueryInvalid

_NUMBER: Final = re.compile(r"(?:0|[1-9]\d{0,15})", re.ASCII)
_COMPARISON: Final = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)  # RFC 3339, seconds may be left out
_AGO: Final = re.compile(r"([1-9]\d{0,4})(min|h|d|w)", re.ASCII)
_UNITS: Final = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXPECTED_TIME: Final = (
    "expected a day such as 2026-11-22, a moment such as 2026-11-22T09:00:00Z, two of them joined by .., today, "
    "yesterday, or how long ago, such as 7d or 24h"
)

_FIRST_YEAR, _LAST_YEAR = 1970, 9998

Span = tuple[int | None, int | None]  # both ends included; None: no end there
Between = tuple[datetime | None, datetime | None]  # from on, and before


def read_numbers(text: str) -> Span:
    """``5``, ``1..4``, ``1..``, ``..4``, ``>5``, ``>=5``, ``<5``, ``<=5``. Raises ``QueryInvalid``."""
    comparison = _COMPARISON.fullmatch(text)
    if comparison:
        sign, number = comparison[1], _number(comparison[2])
        low, high = {">": (number + 1, None), ">=": (number, None), "<": (None, number - 1), "<=": (None, number)}[sign]
        if high == -1:
            raise QueryInvalid("no number is below 0")
        return low, high
    first, dots, last = text.partition("..")
    if not dots:
        number = _number(text)
        return number, number
    low, high = _number(first) if first else None, _number(last) if last else None
    if low is None and high is None:
        raise QueryInvalid("a range needs a number before or after ..")
    if low is not None and high is not None and high < low:
        raise QueryInvalid("the range ends before it begins")
    return low, high


def write_numbers(span: Span) -> str:
    """The one spelling of a span."""
    low, high = span
    if low == high:
        return str(low)
    return f"{'' if low is None else low}..{'' if high is None else high}"


def read_days(text: str, now: datetime | None = None) -> tuple[date, date]:
    """First and last UTC day, both included: ``2026-11-22``, ``2026-11-01..2026-11-22``, ``today``, ``yesterday``."""
    since, until = read_times(text, now)
    if since is None or until is None or since.time() != time() or until.time() != time() or until == since:
        raise QueryInvalid("expected a day such as 2026-11-22, or two of them joined by ..")
    return since.date(), until.date() - timedelta(days=1)


def write_days(days: tuple[date, date]) -> str:
    first, last = days
    return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"


def read_times(text: str, now: datetime | None = None) -> Between:
    """A stretch of time. A day means all of it (UTC), as the end of a range too; a moment that ends a range is not in
    it. ``now`` is what relative times are counted from; without it they are refused.

    Raises ``QueryInvalid``.
    """
    try:
        since, until = _times(text, now)
    except (ValueError, OverflowError):
        raise QueryInvalid(_EXPECTED_TIME) from None
    check_stretch(since, until)
    return since, until


def check_stretch(since: datetime | None, until: datetime | None) -> None:
    """Raises ``QueryInvalid`` for a stretch that ends before it begins, or lies where days can't be counted on."""
    if any(at is not None and not _FIRST_YEAR <= at.year <= _LAST_YEAR for at in (since, until)):
        raise QueryInvalid(f"expected a year between {_FIRST_YEAR} and {_LAST_YEAR}")
    if since is not None and until is not None and until < since:
        raise QueryInvalid("created ends before it begins")


def write_times(between: Between) -> str:
    """The one spelling of a stretch: whole days as days."""
    since, until = between
    if all(at is None or at.time() == time() for at in between) and since != until:
        last = None if until is None else (until - timedelta(days=1)).date()
        first = None if since is None else since.date()
        if first == last and first is not None:
            return first.isoformat()
        return f"{first or ''}..{last or ''}"
    return f"{_moment(since)}..{_moment(until)}"


def _times(text: str, now: datetime | None) -> Between:
    comparison = _COMPARISON.fullmatch(text)
    if comparison:
        start, end = _stretch(comparison[2], now)
        return {">": (end, None), ">=": (start, None), "<": (None, start), "<=": (None, end)}[comparison[1]]
    first, dots, last = text.partition("..")
    if dots:
        if not first and not last:
            raise ValueError
        return _stretch(first, now)[0] if first else None, _stretch(last, now)[1] if last else None
    if _AGO.fullmatch(text):
        return _stretch(text, now)[0], None
    if _MOMENT.fullmatch(text):
        raise ValueError  # a single microsecond is never what was meant
    return _stretch(text, now)


def _stretch(text: str, now: datetime | None) -> tuple[datetime, datetime]:
    """Begin and end of what one word names: a day has a length, a moment has none."""
    if _DAY.fullmatch(text):
        start = datetime.combine(date.fromisoformat(text), time(), UTC)
        return start, start + timedelta(days=1)
    if _MOMENT.fullmatch(text):
        at = datetime.fromisoformat(text).astimezone(UTC)
        return at, at
    if now is None:
        raise ValueError
    now = now.astimezone(UTC).replace(microsecond=0)
    ago = _AGO.fullmatch(text)
    if ago:
        at = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return at, at
    midnight = datetime.combine(now.date(), time(), UTC)
    if text == "today":
        return midnight, midnight + timedelta(days=1)
    if text == "yesterday":
        return midnight - timedelta(days=1), midnight
    raise ValueError


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise QueryInvalid("expected a whole number such as 5, a range such as 1..4, or a comparison such as >5")
    return int(text)
