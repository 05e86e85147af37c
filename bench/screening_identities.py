"""National numbers made from a seed: digits until the register's own check (`python-stdnum`) takes them."""

from __future__ import annotations

import string
from collections.abc import Callable
from importlib import import_module
from random import Random

from stdnum import luhn
from stdnum.exceptions import ValidationError

Made = tuple[str, bool]
"""(value, whether it can only be told from other numbers by a cue)."""
MAX_TRIES = 20_000
_UPPER = string.ascii_uppercase


def _fill(rng: Random, shape: str) -> str:
    """`shape` with # as a digit, @ as a letter."""
    return "".join(rng.choice(string.digits) if c == "#" else rng.choice(_UPPER) if c == "@" else c for c in shape)


def _until(module: str, make: Callable[[Random], str]) -> Callable[[Random], str]:
    standard = import_module(f"stdnum.{module}")

    def made(rng: Random) -> str:
        for _ in range(MAX_TRIES):
            value = make(rng)
            if len({c for c in value if c.isdigit()}) < 4:
                continue
            try:
                standard.validate(value)
            except ValidationError:
                continue
            return value
        raise LookupError(f"no number of {module} in {MAX_TRIES} tries")

    return made


def _day(rng: Random) -> tuple[int, int, int]:
    return rng.randrange(1940, 2005), rng.randrange(1, 13), rng.randrange(1, 29)


def _grouped(value: str, sizes: tuple[int, ...], sign: str) -> str:
    pieces, place = [], 0
    for size in sizes:
        pieces.append(value[place : place + size])
        place += size
    return sign.join(pieces)


def _china(rng: Random) -> str:
    year, month, day = _day(rng)
    region = rng.choice(("110101", "310104", "440305", "510104", "360426", "330106"))
    return f"{region}{year}{month:02}{day:02}{_fill(rng, '###')}{rng.choice('0123456789X')}"


def _fiscal(rng: Random) -> str:
    year, month, day = _day(rng)
    day += rng.choice((0, 40))
    return f"{_fill(rng, '@@@@@@')}{year % 100:02}{'ABCDEHLMPRST'[month - 1]}{day:02}{_fill(rng, '@###@')}"


def _curp(rng: Random) -> str:
    year, month, day = _day(rng)
    consonants = "".join(rng.choices("BCDFGHJKLMNPQRSTVWXYZ", k=3))
    head = f"{rng.choice(_UPPER)}{rng.choice('AEIOU')}{_fill(rng, '@@')}{year % 100:02}{month:02}{day:02}"
    return (
        f"{head}{rng.choice('HM')}{rng.choice(('DF', 'JC', 'NL', 'PL', 'OC'))}{consonants}0{rng.choice('0123456789')}"
    )


def _rfc(rng: Random) -> str:
    year, month, day = _day(rng)
    rfc = import_module("stdnum.mx.rfc")
    body = f"{rng.choice(_UPPER)}{rng.choice('AEIOU')}{_fill(rng, '@@')}{year % 100:02}{month:02}{day:02}"
    body += rng.choice("123456789ABCDEFGHIJKLMNOPQRSTUV") + rng.choice("123456789")
    return body + str(rfc.calc_check_digit(body))


def _nir(rng: Random) -> str:
    nir = import_module("stdnum.fr.nir")
    body = f"{rng.choice('12')}{rng.randrange(40, 99):02}{rng.randrange(1, 13):02}{rng.randrange(1, 95):02}"
    body += _fill(rng, "######")
    return body + str(nir.calc_check_digits(body))


def _nik(rng: Random) -> str:
    year, month, day = _day(rng)
    return f"3171{_fill(rng, '##')}{day + rng.choice((0, 40)):02}{month:02}{year % 100:02}{_fill(rng, '###')}1"


def _rrn(rng: Random) -> str:
    year, month, day = _day(rng)
    sex = rng.choice("12" if year < 2000 else "34")
    return f"{year % 100:02}{month:02}{day:02}{sex}{_fill(rng, '######')}"


def _snils(rng: Random) -> str:
    digits = _fill(rng, "#########")
    while int(digits) <= 1_001_998:
        digits = _fill(rng, "#########")
    return f"{digits}{sum(int(d) * (9 - i) for i, d in enumerate(digits)) % 101 % 100:02}"


def _saudi(rng: Random) -> str:
    body = rng.choice("12") + _fill(rng, "########")
    return body + str(luhn.calc_check_digit(body))


def _nino(rng: Random) -> str:
    prefix = rng.choice(("AB", "CE", "JG", "PX", "SW", "TK", "WR", "ZY", "HA", "LM"))
    return f"{prefix}{_fill(rng, '######')}{rng.choice('ABCD')}"


Shape = tuple[Callable[[Random], str], tuple[tuple[tuple[int, ...], str, bool], ...]]
"""The number, and the ways to write it: (sizes of groups, sign between, whether a cue is needed so)."""
_SHAPES: dict[str, Shape] = {
    "cn-resident-id": (_until("cn.ric", _china), (((18,), "", False), ((6, 8, 4), " ", False))),
    "jp-my-number": (_until("jp.in_", lambda r: _fill(r, "############")), (((12,), "", True), ((4, 4, 4), " ", True))),
    "de-tax-id": (_until("de.idnr", lambda r: _fill(r, "###########")),
        (((11,), "", True), ((2, 3, 3, 3), " ", False))),
    "in-aadhaar": (_until("in_.aadhaar", lambda r: _fill(r, "############")),
        (((12,), "", True), ((4, 4, 4), " ", False))),
    "in-pan": (_until("in_.pan", lambda r: _fill(r, "@@@P@####@")), (((10,), "", False),)),
    "gb-nino": (_nino, (((9,), "", False), ((2, 2, 2, 2, 1), " ", False))),
    "gb-nhs-number": (_until("gb.nhs", lambda r: _fill(r, "##########")), (((10,), "", True), ((3, 3, 4), " ", True))),
    "gb-utr": (_until("gb.utr", lambda r: _fill(r, "##########")), (((10,), "", True), ((5, 5), " ", True))),
    "fr-nir": (_nir, (((15,), "", False), ((1, 2, 2, 2, 3, 3, 2), " ", False))),
    "it-codice-fiscale": (_until("it.codicefiscale", _fiscal), (((16,), "", False), ((3, 3, 5, 5), " ", False))),
    "br-cpf": (_until("br.cpf", lambda r: _fill(r, "###########")), (((11,), "", True),)),
    "br-cnpj": (_until("br.cnpj", lambda r: _fill(r, "########0001##")), (((14,), "", True),)),
    "ca-sin": (_until("ca.sin", lambda r: _fill(r, "#########")), (((9,), "", True), ((3, 3, 3), "-", True))),
    "ru-inn": (_until("ru.inn", lambda r: _fill(r, "############")), (((12,), "", True),)),
    "ru-snils": (_snils, (((11,), "", True),)),
    "mx-curp": (_until("mx.curp", _curp), (((18,), "", False),)),
    "mx-rfc": (_rfc, (((13,), "", True), ((4, 6, 3), "-", True))),
    "au-tfn": (_until("au.tfn", lambda r: _fill(r, "#########")), (((9,), "", True), ((3, 3, 3), " ", True))),
    "kr-rrn": (_rrn, (((6, 7), "-", False), ((13,), "", True))),
    "es-dni": (_until("es.dni", lambda r: _fill(r, "########@")), (((9,), "", False), ((8, 1), "-", False))),
    "id-nik": (_until("id.nik", _nik), (((16,), "", True),)),
    "id-npwp": (_until("id.npwp", lambda r: _fill(r, "0##########0000")), (((15,), "", True),)),
    "tr-tckn": (_until("tr.tckimlik", lambda r: _fill(r, "###########")), (((11,), "", True),)),
    "nl-bsn": (_until("nl.bsn", lambda r: _fill(r, "#########")), (((9,), "", True), ((4, 2, 3), ".", True))),
    "sa-national-id": (_saudi, (((10,), "", True),)),
    "ch-ahv": (_until("ch.ssn", lambda r: _fill(r, "756##########")), (((13,), "", False), ((3, 4, 4, 2), ".", False))),
    "us-itin": (_until("us.itin", lambda r: _fill(r, f"9##{r.choice((70, 78, 88, 91, 94))}####")),
                (((3, 2, 4), "-", False), ((9,), "", True))),
}  # fmt: skip


def _maker(kind: str) -> Callable[[Random], Made]:
    number, ways = _SHAPES[kind]

    def made(rng: Random) -> Made:
        sizes, sign, needs_cue = rng.choice(ways)
        return _grouped(number(rng), sizes, sign), needs_cue

    return made


IDENTITIES: dict[str, Callable[[Random], Made]] = {kind: _maker(kind) for kind in _SHAPES}
CUES: dict[str, tuple[str, ...]] = {
    "cn-resident-id": ("id card {v}", "身份证号 {v}"),
    "jp-my-number": ("My Number {v}", "マイナンバー {v}"),
    "de-tax-id": ("Steuer-ID {v}", "Steueridentifikationsnummer: {v}"),
    "in-aadhaar": ("Aadhaar {v}", "my aadhar no. {v}"),
    "in-pan": ("PAN {v}",),
    "gb-nino": ("NI number {v}", "National Insurance {v}"),
    "gb-nhs-number": ("NHS number {v}", "NHS no: {v}"),
    "gb-utr": ("UTR {v}", "HMRC reference UTR {v}"),
    "fr-nir": ("numéro de sécu {v}",),
    "it-codice-fiscale": ("codice fiscale {v}",),
    "br-cpf": ("CPF {v}", "meu cpf é {v}"),
    "br-cnpj": ("CNPJ {v}",),
    "ca-sin": ("SIN {v}", "my social insurance number is {v}"),
    "ru-inn": ("INN {v}", "ИНН {v}"),
    "ru-snils": ("SNILS {v}", "СНИЛС {v}"),
    "mx-curp": ("CURP {v}",),
    "mx-rfc": ("RFC {v}", "RFC: {v}"),
    "au-tfn": ("TFN {v}", "tax file number {v}"),
    "kr-rrn": ("주민등록번호 {v}", "resident registration {v}"),
    "es-dni": ("DNI {v}",),
    "id-nik": ("NIK {v}", "KTP no. {v}"),
    "id-npwp": ("NPWP {v}",),
    "tr-tckn": ("TC Kimlik {v}", "kimlik no {v}"),
    "nl-bsn": ("BSN {v}", "burgerservicenummer {v}"),
    "sa-national-id": ("Iqama {v}", "national ID {v}"),
    "ch-ahv": ("AHV {v}",),
    "us-itin": ("ITIN {v}", "tax id {v}"),
}
