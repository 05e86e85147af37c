"""National identity, tax and insurance numbers, each with its country's own check (`python-stdnum`).

A number whose check is weak (one in ten passes) is for rules that ask for a cue; the names say the country by ISO
3166-1. Where `python-stdnum` has no module, the source stands beside the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from stdnum import luhn
from stdnum.au import tfn
from stdnum.br import cnpj, cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ch_ssn
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.id import nik, npwp
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.mx import curp, rfc
from stdnum.nl import bsn
from stdnum.ru import inn
from stdnum.tr import tckimlik
from stdnum.us import itin

from gateway.screening.text.candidate import Accepted, Candidate, Validator

_IN_A_ROW_BEFORE: Final = re.compile(r"\d[ -]")
_IN_A_ROW_AFTER: Final = re.compile(r"[ -]\d")


class _Standard(Protocol):
    def validate(self, number: str) -> str: ...


def _by(check: Callable[[str], str]) -> Validator:
    """A validator of numbers that `check` returns in their compact form, or raises ValidationError."""

    def validate(candidate: Candidate) -> Sequence[Accepted]:
        before = candidate.before(1)
        if before.isalnum() or before in (".", ",", "+"):
            return ()
        after = candidate.after(2)
        if after[:1].isalnum() or (after[:1] in (".", ",", "-") and after[1:].isdigit()):
            return ()
        value = candidate.value
        if value[-1].isdigit() and _is_in_a_row(candidate):
            return ()
        digits = [c for c in value if c.isdigit()]
        if len(digits) > 4 and len(set(digits)) < 3:
            return ()  # 000000000, 111-111-111: nobody's
        try:
            compact = check(value.upper())
        except ValidationError:
            return ()
        return (Accepted(candidate.start, candidate.end, compact),)

    return validate


def _is_in_a_row(candidate: Candidate) -> bool:
    """Whether the digits go on in the same groups on either side: twelve digits of a card are no Aadhaar number."""
    signs = {c for c in candidate.value if c in " -"}
    before, after = candidate.before(2), candidate.after(2)
    return bool(
        (signs & set(before) and _IN_A_ROW_BEFORE.fullmatch(before))
        or (signs & set(after) and _IN_A_ROW_AFTER.fullmatch(after))
    )


def _of(standard: _Standard) -> Validator:
    return _by(standard.validate)


def _digits(value: str) -> str:
    return "".join(c for c in value if c.isdigit())


def _china(value: str) -> str:
    return str(ric.validate("".join(c for c in value if c.isalnum())))


def _korea(value: str) -> str:
    """Since October 2020 the last six digits are random, so the date and the century's digit are all there is to
    check (Ministry of the Interior and Safety, Enforcement Rule of the Resident Registration Act, 2020)."""
    number = _digits(value)
    if len(number) != 13 or number[6] not in "12345678":
        raise ValidationError
    rrn.get_birth_date(number, allow_future=False)
    return number


def _mexico_rfc(value: str) -> str:
    return str(rfc.validate(value, validate_check_digits=True))


def _india_pan(value: str) -> str:
    number = str(pan.validate(value))
    if number[3] != "P":
        raise ValidationError  # companies and trusts: public
    return number


def _saudi(value: str) -> str:
    """National ID (first digit 1) or Iqama (2): ten digits with Luhn (Absher, "ID number")."""
    number = _digits(value)
    if len(number) != 10 or number[0] not in "12" or not luhn.is_valid(number):
        raise ValidationError
    return number


_NINO: Final = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]")
"""HMRC, National Insurance Manual NIM39110: prefixes that are never given, suffix A to D."""


def _uk_nino(value: str) -> str:
    if not _NINO.fullmatch(value):
        raise ValidationError
    return value.replace(" ", "")


def _russia_snils(value: str) -> str:
    """Pension insurance number (Pension Fund of Russia, resolution 192p): weights 9 to 1, modulo 101."""
    number = _digits(value)
    if len(number) != 11 or int(number[:9]) <= 1_001_998:
        raise ValidationError
    total = sum(int(d) * (9 - i) for i, d in enumerate(number[:9]))
    if total % 101 % 100 != int(number[9:]):
        raise ValidationError
    return number


def _spain(value: str) -> str:
    return str(nie.validate(value) if value[:1] in "XYZ" else dni.validate(value))


def _france(value: str) -> str:
    number = str(nir.validate(value))
    if number[0] not in "123478" or not ("01" <= number[3:5] <= "12" or number[3] in "2345"):
        raise ValidationError
    return number


NATIONAL: Final[Mapping[str, Validator]] = MappingProxyType(
    {
        "au_tfn": _of(tfn),
        "br_cnpj": _of(cnpj),
        "br_cpf": _of(cpf),
        "ca_sin": _of(sin),
        "ch_ahv": _of(ch_ssn),
        "cn_resident_id": _by(_china),
        "de_tax_id": _of(idnr),
        "es_dni": _by(_spain),
        "fr_nir": _by(_france),
        "gb_nhs": _of(nhs),
        "gb_nino": _by(_uk_nino),
        "gb_utr": _of(utr),
        "id_nik": _of(nik),
        "id_npwp": _of(npwp),
        "in_aadhaar": _of(aadhaar),
        "in_pan": _by(_india_pan),
        "it_codice_fiscale": _of(codicefiscale),
        "jp_my_number": _of(my_number),
        "kr_rrn": _by(_korea),
        "mx_curp": _of(curp),
        "mx_rfc": _by(_mexico_rfc),
        "nl_bsn": _of(bsn),
        "ru_inn": _of(inn),
        "ru_snils": _by(_russia_snils),
        "sa_national_id": _by(_saudi),
        "tr_tckn": _of(tckimlik),
        "us_itin": _of(itin),
    }
)
