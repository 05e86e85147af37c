"""United States social security numbers (SSA: areas 000, 666 and 900-999, group 00 and serial 0000 are never given)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

_WRITTEN: Final = re.compile(r"(\d{3})([ ./-]?)(\d{2})([ ./-]?)(\d{4})")
_NEVER: Final = frozenset({"078051120", "219099999"})
"""Printed in advertisements and voided by the SSA. Still taken where a cue says "this is my SSN"."""


def us_ssn(candidate: Candidate) -> Sequence[Accepted]:
    """Written 3-2-4 with one kind of separator, or nine digits beside a cue."""
    written = _WRITTEN.fullmatch(candidate.value)
    if written is None:
        return ()
    area, first, group, second, serial = written.groups()
    digits = area + group + serial
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return ()
    around = candidate.look()
    if around.countered or first != second or (not around.cued and (first not in ("-", " ") or digits in _NEVER)):
        return ()
    if first == " " and not around.cued and re.search(r"\d[ ]?$|^[ ]?\d", candidate.before(2) + "|"):
        return ()  # a stretch of a longer row of numbers
    return (Accepted(candidate.start, candidate.end, digits, 1.0 if around.cued else 0.8),)
