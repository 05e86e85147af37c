"""Telephone numbers: libphonenumber's metadata (`phonenumbers`) for what is valid where, and how it is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
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

_NO_DIGIT: Final = re.compile(r"[^0-9]+")
_EXTENSION: Final = re.compile(r"(?i)\s?(?:x|ext\.?|extension|#|durchwahl|poste)\s?\d{1,6}$")
_NANP: Final = re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\)[ .-]?|\d{3}([ .-]))\d{3}(?(1)\1|[ .-])\d{4}")
_NANP_WITHIN: Final = re.compile(r"(?<!\d)" + _NANP.pattern + r"(?!\d)")
_BETWEEN: Final = re.compile(r" ?/ ?| +(?=[+(])")
"""Between two telephones in a row."""
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


def _pieces(value: str) -> Iterator[tuple[int, int]]:
    """The whole row of digits; where that is too long for one telephone, the several that it may be."""
    if len(value) <= MAX_DIGITS or len(_NO_DIGIT.sub("", value)) <= MAX_DIGITS + 3:
        yield 0, len(value)
        return
    position = 0
    for match in _BETWEEN.finditer(value):
        yield position, match.start()
        position = match.end()
    if position:
        yield position, len(value)
    else:
        yield from (match.span() for match in _NANP_WITHIN.finditer(value))


def phone(candidate: Candidate) -> Sequence[Accepted]:
    """A number that is valid somewhere and written like one, or one that a cue calls a telephone."""
    value = candidate.value
    found: list[Accepted] = []
    for start, end in _pieces(value):
        found += _telephone(value[start:end], candidate.start + start, candidate)
    return found


def _telephone(value: str, start: int, candidate: Candidate) -> Sequence[Accepted]:
    extension = _EXTENSION.search(value)
    core = value[: extension.start()] if extension else value
    digits = "".join(c for c in core if c.isdigit())
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS + 3 or len(set(digits)) < 2:
        return ()
    if _DATE.fullmatch(core.strip()) or _is_counting(core):
        return ()
    end = start + len(value)
    if core.startswith("(") and ")" not in core:  # "(+49 30 901820)": the bracket is the sentence's
        core, start = core[1:], start + 1
    around = candidate.look()
    if around.countered or not _is_telephone(core, digits, cued=around.cued):
        return ()
    return (Accepted(start, end, digits, 1.0 if around.cued else 0.8),)


def _is_telephone(core: str, digits: str, *, cued: bool) -> bool:
    if core.startswith("+") or (core.startswith("00") and len(digits) >= 11):
        prefixed = core if core.startswith("+") else "+" + digits.removeprefix("00")
        return cued or _is_valid(prefixed, None, strictly=not core.startswith("+"))
    if _NANP.fullmatch(core):
        return True  # 3-3-4 is written for telephones and little else, whether or not the area exists
    if cued:
        if any(_is_valid(core, region, strictly=True) for region in _CUED_REGIONS):
            return True
        return len(digits) <= MAX_DIGITS and _is_valid(core, "US", strictly=False)
    if _TRUNK_ZERO.fullmatch(core) and 10 <= len(digits) <= 12:
        return any(_is_valid(core, region, strictly=True) for region in _ZERO_REGIONS)
    return False
