"""Telephone numbers: libphonenumber's metadata (`phonenumbers`) for what is valid where, and how it is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Final

import phonenumbers

from gateway.screening.text.candidate import Accepted, Candidate

MIN_DIGITS: Final = 7
MAX_DIGITS: Final = 15
"""ITU-T E.164, section 6: at most 15 digits."""
_CUED_REGIONS: Final = (
    "US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "BE", "IE", "AU", "IN", "BR", "MX",
    "SE", "NO", "DK", "FI", "PL", "PT", "IL", "JP", "KR", "ZA",
)  # fmt: skip
"""Tried in turn where a cue says "phone" and no country code does: the 20 largest economies and their neighbours."""
_ZERO_REGIONS: Final = ("GB", "DE", "FR", "IT", "NL", "AU")
"""Tried without a cue, for numbers written with a trunk zero and separators."""

_EXTENSION: Final = re.compile(r"(?i)\s?(?:x|ext\.?|extension|#|durchwahl|poste)\s?\d{1,6}$")
_NANP: Final = re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\)[ .-]?|\d{3}([ .-]))\d{3}(?(1)\1|[ .-])\d{4}")
_TRUNK_ZERO: Final = re.compile(r"\(?0\d{1,4}\)?(?:[ /.-]{1,3}\d{2,8}){1,4}")
_DATE: Final = re.compile(
    r"(?:19|20)\d\d([-/. ])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:[ T]\d{2}.*)?"
    r"|(?:0?[1-9]|[12]\d|3[01])([-/. ])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)?\d\d"
    r"|(?:1[5-9]|20)\d\d ?[-/] ?(?:1[5-9]|20)\d\d"
)
"""A date, or two years with a dash between them."""


def _is_valid(value: str, region: str | None, *, strictly: bool) -> bool:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (not strictly and phonenumbers.is_possible_number(number))


def _is_counting(value: str) -> bool:
    """Numbers in equal steps ("01 02 03 04 05") are frames or pages, nobody's telephone."""
    numbers = [int(n) for n in re.findall(r"\d+", value)]
    return len(numbers) > 3 and len({b - a for a, b in itertools.pairwise(numbers)}) == 1


def phone(candidate: Candidate) -> Sequence[Accepted]:
    """A number that is valid somewhere and written like one, or one that a cue calls a telephone."""
    value = candidate.value
    extension = _EXTENSION.search(value)
    core = value[: extension.start()] if extension else value
    digits = "".join(c for c in core if c.isdigit())
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS + 3 or len(set(digits)) < 2:
        return ()
    if candidate.countered or _DATE.fullmatch(core.strip()) or _is_counting(core):
        return ()
    accepted = (Accepted(candidate.start, candidate.end, digits, 1.0 if candidate.cued else 0.8),)
    if core.startswith("+") or (core.startswith("00") and len(digits) >= 11):
        prefixed = "+" + digits.removeprefix("00") if core.startswith("00") else core
        if _is_valid(prefixed, None, strictly=not candidate.cued and not core.startswith("+")):
            return accepted
        return accepted if candidate.cued else ()
    if _NANP.fullmatch(core):
        return accepted  # 3-3-4 is written for telephones and little else, whether or not the area exists
    if candidate.cued:
        if any(_is_valid(core, region, strictly=True) for region in _CUED_REGIONS):
            return accepted
        return accepted if len(digits) <= MAX_DIGITS and _is_valid(core, "US", strictly=False) else ()
    if _TRUNK_ZERO.fullmatch(core) and 10 <= len(digits) <= 12:
        return accepted if any(_is_valid(core, region, strictly=True) for region in _ZERO_REGIONS) else ()
    return ()
