"""International bank account numbers: ISO 13616 structure by country (python-stdnum's registry) and mod 97."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from stdnum import iban as stdnum_iban
from stdnum.exceptions import ValidationError

from gateway.screening.text.candidate import Accepted, Candidate

MIN_CHARS: Final = 15
MAX_CHARS: Final = 34


@cache
def _length(country: str) -> int | None:
    """How long an IBAN of `country` is, check digits and all; None where the registry has none."""
    info = stdnum_iban._ibandb.info(country + "00")
    structure = info[0][1].get("bban", "") if info and info[0][1] else ""
    total = sum(int(count) for count, _ in stdnum_iban._struct_re.findall(structure))
    return total + 4 if total else None


def _is_iban(compact: str) -> bool:
    try:
        # National check digits are left alone: one transposed digit there is still somebody's account number.
        stdnum_iban.validate(compact, check_country=False)
    except ValidationError:
        return False
    return True


def iban(candidate: Candidate) -> Sequence[Accepted]:
    """The IBAN at the candidate's start; words that follow it don't hide it."""
    value = candidate.value
    country = value[:2].upper()
    if not country.isascii():
        return ()
    length = _length(country)
    if length is None:
        return ()
    compact: list[str] = []
    for offset, character in enumerate(value):
        if character.isalnum():
            compact.append(character.upper())
            if len(compact) == length:
                number = "".join(compact)
                if not _is_iban(number):
                    return ()
                return (Accepted(candidate.start, candidate.start + offset + 1, number),)
    return ()
