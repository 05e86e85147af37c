"""Bank identifiers: BIC (ISO 9362), routing numbers (ABA, CLABE, IFSC, sort codes), account numbers in context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from phonenumbers import SUPPORTED_REGIONS
from stdnum import bic as stdnum_bic
from stdnum.exceptions import ValidationError
from stdnum.us import rtn

from gateway.screening.text.candidate import Accepted, Candidate

CLABE_DIGITS: Final = 18
_CLABE_WEIGHTS: Final = (3, 7, 1)
_IFSC: Final = re.compile(r"[A-Z]{4}0[A-Z0-9]{6}")
MIN_ACCOUNT_DIGITS: Final = 6


def bic(candidate: Candidate) -> Sequence[Accepted]:
    """Four letters of the bank, a country, a place; "CREATION" has no country in its middle."""
    try:
        value = str(stdnum_bic.validate(candidate.value.upper()))
    except ValidationError:
        return ()
    return (Accepted(candidate.start, candidate.end, value),) if value[4:6] in SUPPORTED_REGIONS else ()


def bank_routing(candidate: Candidate) -> Sequence[Accepted]:
    """What says which bank: an ABA number with its check digit, a CLABE with its own, an IFSC, a sort code."""
    value = candidate.value.upper()
    compact = "".join(c for c in value if c.isalnum())
    if _IFSC.fullmatch(compact):
        return (Accepted(candidate.start, candidate.end, compact),)
    if not compact.isdigit() or len(set(compact)) < 2:
        return ()
    if len(compact) == 9 and not rtn.is_valid(compact):
        return ()
    if len(compact) == CLABE_DIGITS and not _is_clabe(compact):
        return ()
    return (Accepted(candidate.start, candidate.end, compact),)


def _is_clabe(digits: str) -> bool:
    """Banco de México, circular 2019/95: weights 3, 7, 1, each product modulo 10."""
    total = sum(int(d) * _CLABE_WEIGHTS[i % 3] % 10 for i, d in enumerate(digits[:-1]))
    return (10 - total % 10) % 10 == int(digits[-1])


def bank_account(candidate: Candidate) -> Sequence[Accepted]:
    """Six digits or more that are not one digit over and over; for rules that ask for a cue."""
    digits = "".join(c for c in candidate.value if c.isdigit())
    if len(digits) < MIN_ACCOUNT_DIGITS or len(set(digits)) < 3:
        return ()
    return (Accepted(candidate.start, candidate.end, digits),)
