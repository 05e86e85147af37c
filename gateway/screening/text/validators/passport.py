"""Passport numbers beside a cue, and machine readable zones (ICAO Doc 9303, parts 3 and 4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

MIN_DIGITS: Final = 4
_ZONE: Final = re.compile(r"[A-Z0-9<]{9}(\d)[A-Z<]{3}(\d{6})(\d)[MFX<](\d{6})(\d)")
"""Second line of a TD3 zone: number, check, nationality, birth, check, sex, expiry, check."""
_WEIGHTS: Final = (7, 3, 1)


def check_digit(field: str) -> int:
    """ICAO Doc 9303, part 3, section 4.9: weights 7, 3, 1; A to Z are 10 to 35, the filler is 0."""
    return sum((0 if c == "<" else int(c, 36)) * _WEIGHTS[i % 3] for i, c in enumerate(field)) % 10


def passport(candidate: Candidate) -> Sequence[Accepted]:
    """Letters and digits as passports number them: at least four digits, and not one digit over and over."""
    value = candidate.value.upper()
    digits = [c for c in value if c.isdigit()]
    if len(digits) < MIN_DIGITS or len(set(digits)) < 2:
        return ()
    return (Accepted(candidate.start, candidate.end, "".join(c for c in value if c.isalnum())),)


def passport_zone(candidate: Candidate) -> Sequence[Accepted]:
    """The second line of a machine readable zone, whose check digits hold."""
    value = "".join(candidate.value.upper().split())
    zone = _ZONE.match(value)
    if zone is None:
        return ()
    number, birth, expiry = value[:9], zone.group(2), zone.group(4)
    checks = (zone.group(1), zone.group(3), zone.group(5))
    if any(check_digit(field) != int(digit) for field, digit in zip((number, birth, expiry), checks, strict=True)):
        return ()
    return (Accepted(candidate.start, candidate.end, number.rstrip("<")),)
