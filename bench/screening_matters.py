"""Values and passages of the other kinds, made from a seed: credentials, banks, places, people, documents."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

from stdnum.us import rtn

Made = tuple[str, bool]
_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _of(rng: Random, alphabet: str, count: int) -> str:
    """`count` signs of which at least one is a digit and one a letter, as nearly every random key has."""
    while True:
        made = "".join(rng.choices(alphabet, k=count))
        if any(c.isdigit() for c in made) and any(c.isalpha() for c in made):
            return made


def _digits(rng: Random, count: int) -> str:
    return "".join(rng.choices(string.digits, k=count))


def _ip(rng: Random) -> Made:
    if rng.random() < 0.25:
        return ":".join(f"{rng.randrange(0x1000, 0x10000):x}" for _ in range(8)), False
    first = rng.choice((10, 172, 192, 83, 91, 145, 52))
    second = {172: 20, 192: 168}.get(first, rng.randrange(10, 256))
    return f"{first}.{second}.{rng.randrange(256)}.{rng.randrange(1, 255)}", False


def _place(rng: Random) -> Made:
    return f"{rng.uniform(30, 60):.6f}, {rng.uniform(-120, 30):.6f}", True


_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def _birth(rng: Random) -> Made:
    year, month, day = rng.randrange(1940, 2015), rng.randrange(1, 13), rng.randrange(1, 29)
    return rng.choice((
        f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}",
        f"{day} {_MONTHS[month - 1]} {year}", f"{_MONTHS[month - 1]} {day}, {year}",
    )), True  # fmt: skip


def _passport(rng: Random) -> Made:
    return rng.choice(("", "A", "X", "AB")) + str(rng.randrange(10**6, 10**7)), True


def _licence(rng: Random) -> Made:
    return f"{rng.choice(string.ascii_uppercase)}{_digits(rng, 3)}-{_digits(rng, 4)}-{_digits(rng, 4)}", True


def _account(rng: Random) -> Made:
    number = str(rng.randrange(10**7, 10**10))
    while len(set(number)) < 3:
        number = str(rng.randrange(10**7, 10**10))
    return number, True


def _routing(rng: Random) -> Made:
    if rng.random() < 0.4:
        return f"{rng.randrange(10, 90)}-{rng.randrange(10, 90)}-{rng.randrange(10, 90)}", True
    body = rng.choice(("0210", "1110", "3222", "0614")) + _digits(rng, 4)
    return body + str(rtn.calc_check_digit(body)), True


def _bic(rng: Random) -> Made:
    bank = "".join(rng.choices(string.ascii_uppercase, k=4))
    return bank + rng.choice(("DE", "GB", "US", "FR", "JP")) + rng.choice(("FF", "2L", "33", "PP")), True


def _tax(rng: Random) -> Made:
    return rng.choice(
        ("DE136695976", "GB 980 7806 84", "ATU13585627", "NL4495445B01", "91-1144442", "FR40303265045")
    ), True


def _assigned(rng: Random) -> Made:
    return _of(rng, _ALNUM + "!$%&*+", rng.randrange(10, 20)), True


def _connection(rng: Random) -> Made:
    scheme = rng.choice(("postgres", "mysql", "mongodb+srv", "redis", "amqp"))
    return f"{scheme}://app:{_of(rng, _ALNUM, 12)}@db{rng.randrange(9)}.acme.net:5432/prod", False


def _host(rng: Random) -> Made:
    name = rng.choice(("payroll", "jenkins", "vault", "crm-db", "grafana", "hr-portal"))
    return (
        f"{name}.{rng.choice(('fra1', 'eu', 'prod', 'dc2'))}.{rng.choice(('corp', 'internal', 'lan', 'intranet'))}",
        False,
    )


def _vendor(*shapes: tuple[str, str, int]) -> Callable[[Random], Made]:
    def made(rng: Random) -> Made:
        head, alphabet, count = rng.choice(shapes)
        return head + _of(rng, alphabet, count), False

    return made


_STREETS = ("Maple", "Oak", "Cedar Hill", "Rosewood", "Station", "Church", "Mill")
_CITIES = ("Springfield, IL", "Portland, OR", "Austin, TX")


def _address(rng: Random) -> Made:
    style, number, street = rng.randrange(4), rng.randrange(2, 900), rng.choice(_STREETS)
    if style == 0:
        kind = rng.choice(("Street", "Ave", "Road", "Lane"))
        return f"{number} {street} {kind}, {rng.choice(_CITIES)} {_digits(rng, 5)}", False
    if style == 1:
        kind = rng.choice(("Road", "Close", "Lane"))
        return f"{number} {street} {kind}, Leeds LS{rng.randrange(1, 20)} {rng.randrange(1, 10)}AB", False
    if style == 2:
        name = rng.choice(("Linden", "Garten", "Bahnhof", "Goethe"))
        return f"{name}straße {number % 200 + 1}, {rng.randrange(10000, 99999)} Berlin", False
    name = rng.choice(("des Lilas", "de la Paix", "Victor Hugo"))
    return f"{number} rue {name}, {rng.randrange(10000, 95999)} Lyon", False


def _health(rng: Random) -> Made:
    return rng.choice(("cancer", "diabetes", "depression", "epilepsy", "hepatitis", "HIV")), True


def _biometric(rng: Random) -> Made:
    return rng.choice(
        ("fingerprint template", "iris scan", "face scan", "voice print sample", "fingerprint scan")
    ), True


def _marking(rng: Random) -> Made:
    words = ("Company Confidential", "Strictly confidential", "Internal use only", "STRENG VERTRAULICH", "TLP:RED",
             "Do not distribute", "under NDA", "Privileged and confidential", "diffusion restreinte")  # fmt: skip
    return rng.choice(words), False


def _zone(rng: Random) -> Made:
    def check(field: str) -> int:
        return sum((0 if c == "<" else int(c, 36)) * (7, 3, 1)[i % 3] for i, c in enumerate(field)) % 10

    number = "C" + _of(rng, string.digits + "FGHJK", 8)
    birth = f"{rng.randrange(50, 99)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
    expiry = f"{rng.randrange(27, 36)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
    return f"{number}{check(number)}D<<{birth}{check(birth)}F{expiry}{check(expiry)}<<<<<<<<<<<<<<<0", False


_CODE = (
    "from {m} import rates", "def {f}(rows):", "    return self.{f}(rows)", "import {m}", "class {C}(Base):",
    "    self.{m} = load({f})", "for row in {m}:", "const {m} = open({f});", "function {f}(a) {{", "  {m}.close();",
)  # fmt: skip


def _code(rng: Random) -> Made:
    names = {
        "m": rng.choice(("billing", "ledger", "audit")),
        "f": rng.choice(("total", "charge", "settle")),
        "C": "Invoice",
    }
    return "\n" + "\n".join(line.format(**names) for line in rng.sample(_CODE, 5)) + "\n", False


_CLAUSES = ("the parties hereto agree as follows", "this agreement shall be governed by the laws of Delaware",
            "limitation of liability applies", "in no event shall either side pay", "force majeure excepted",
            "the purchase price is due in net 30 days", "hereinafter referred to as Buyer")  # fmt: skip


def _contract(rng: Random) -> Made:
    return "; ".join(rng.sample(_CLAUSES, 4)), False


MATTERS: dict[str, Callable[[Random], Made]] = {
    "ip-address": _ip,
    "geo-coordinates": _place,
    "date-of-birth": _birth,
    "passport-number": _passport,
    "passport-zone": _zone,
    "driving-licence": _licence,
    "bank-account": _account,
    "bank-routing": _routing,
    "bank-identifier": _bic,
    "tax-number": _tax,
    "password-assignment": _assigned,
    "connection-string": _connection,
    "internal-hostname": _host,
    "postal-address": _address,
    "health-data": _health,
    "biometric-data": _biometric,
    "confidentiality-marking": _marking,
    "source-code": _code,
    "contract-text": _contract,
    "gitlab-token": _vendor(("glpat-", _ALNUM, 20), ("glrt-t1_", _ALNUM, 20)),
    "stripe-key": _vendor(("sk_live_", _ALNUM, 24), ("whsec_", _ALNUM, 32), ("rk_test_", _ALNUM, 24)),
    "model-api-key": _vendor(("sk-proj-", _ALNUM, 48), ("sk-ant-api03-", _ALNUM, 60), ("hf_", _ALNUM, 34)),
    "package-registry-token": _vendor(
        ("npm_", _ALNUM, 36), ("dckr_pat_", _ALNUM, 27), ("pypi-AgEIcHlwaS5vcmc", _ALNUM, 80)
    ),
    "cloud-token": _vendor(("dop_v1_", _HEX, 64), ("hvs.", _ALNUM, 40), ("dapi", _HEX, 32), ("LTAI", _ALNUM, 20)),
    "saas-token": _vendor(
        ("shpat_", _HEX, 32), ("lin_api_", _ALNUM, 40), ("110201543:AA", _ALNUM, 33), ("SK", _HEX, 32)
    ),
}
CUES: dict[str, tuple[str, ...]] = {
    "ip-address": ("server {v}", "IP {v}"),
    "geo-coordinates": ("my house at {v}", "our plant is at {v}", "I live at {v}"),
    "date-of-birth": ("born {v}", "DOB: {v}", "date of birth {v}", "geboren am {v}"),
    "passport-number": ("passport number {v}", "passport no. {v}", "Reisepass {v}"),
    "driving-licence": ("driver's license {v}", "driving licence {v}"),
    "bank-account": ("account number {v}", "Kontonummer {v}", "bank account {v}"),
    "bank-routing": ("routing number {v}", "sort code {v}"),
    "bank-identifier": ("BIC {v}", "SWIFT code {v}"),
    "tax-number": ("VAT no {v}", "tax id {v}", "USt-IdNr. {v}"),
    "password-assignment": ("password: {v}", "API_KEY={v}", "my password is {v}", "das Passwort ist {v}"),
    "health-data": ("my colleague has {v}", "Mrs Huber was diagnosed with {v}", "our customer suffers from {v}"),
    "biometric-data": ("our employee's {v}", "the {v} of our employee", "my {v}"),
}
