"""Tax numbers of companies: VAT numbers of the European Union and the United Kingdom, US EIN, Indian GSTIN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from stdnum.au import abn
from stdnum.ch import vat as ch_vat
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError
from stdnum.gb import vat as gb_vat
from stdnum.in_ import gstin
from stdnum.us import ein

from gateway.screening.text.candidate import Accepted, Candidate

_CHECKS: Final[tuple[Callable[[str], str], ...]] = (
    eu_vat.validate, gb_vat.validate, ein.validate, gstin.validate, ch_vat.validate, abn.validate,
)  # fmt: skip


def tax_number(candidate: Candidate) -> Sequence[Accepted]:
    """A number that one of the registers' own checks accepts."""
    value = candidate.value.upper()
    if len({c for c in value if c.isdigit()}) < 2:
        return ()
    for check in _CHECKS:
        try:
            return (Accepted(candidate.start, candidate.end, str(check(value))),)
        except ValidationError:
            continue
    return ()
