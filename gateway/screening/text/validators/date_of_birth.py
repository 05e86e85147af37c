"""Dates on which somebody alive may have been born. Only for rules that ask for a cue: a date alone is no birth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.normalise import fold

OLDEST_YEARS: Final = 110
_MONTHS: Final = {
    name[:3]: number
    for names in (
        "january february march april may june july august september october november december",
        "januar februar marz april mai juni juli august september oktober november dezember",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    )
    for number, name in enumerate(names.split(), 1)
} | {"juillet": 7, "juil": 7}
_PIECE: Final = re.compile(r"\d+|[^\W\d_]{3,}")
CENTURY_TURN: Final = 30
"""Two-digit years up to here are 20xx."""


def date_of_birth(candidate: Candidate) -> Sequence[Accepted]:
    """A calendar date within a life's span, in any of the usual orders. The canonical form is ISO 8601."""
    pieces = _PIECE.findall(fold(candidate.value))
    numbers = [int(piece) for piece in pieces if piece.isdigit()]
    month = next((_month(piece) for piece in pieces if not piece.isdigit() and _month(piece)), 0)
    today = datetime.now(UTC).date()
    for year, m, day in _orders(numbers, month):
        try:
            born = date(_full(year), m, day)
        except ValueError:
            continue
        if today.year - OLDEST_YEARS <= born.year and born <= today:
            return (Accepted(candidate.start, candidate.end, born.isoformat()),)
    return ()


def _month(word: str) -> int:
    return _MONTHS.get(word, 0) or _MONTHS.get(word[:3], 0)


def _full(year: int) -> int:
    if year >= 100:
        return year
    return year + (2000 if year <= CENTURY_TURN else 1900)


def _orders(numbers: Sequence[int], month: int) -> Sequence[tuple[int, int, int]]:
    """(year, month, day) in every order that people write."""
    if month and len(numbers) == 2:
        first, second = numbers
        return ((second, month, first), (first, month, second))
    if len(numbers) == 3:
        a, b, c = numbers
        return ((a, b, c),) if a > 31 else ((c, b, a), (c, a, b))
    return ()
