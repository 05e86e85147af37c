"""Values of every kind that screening looks for, made from a seed and written as people write them."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

import phonenumbers
from stdnum import iban as stdnum_iban
from stdnum import luhn

from gateway.screening.text.validators.github import checksum

Rng = random.Random
_ALNUM = string.ascii_letters + string.digits
_ISSUERS = (
    ("4", 16),
    ("4", 16),
    ("4", 13),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("36", 14),
    ("305", 14),
    ("6011", 16),
    ("65", 16),
    ("3530", 16),
    ("62", 16),
    ("5018", 16),
    ("6759", 16),
)


def digits_of(rng: Rng, count: int) -> str:
    return "".join(rng.choices(string.digits, k=count))


def letters_of(rng: Rng, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def card_digits(rng: Rng) -> str:
    """A Luhn-valid number of a known issuer."""
    prefix, length = rng.choice(_ISSUERS)
    body = prefix + digits_of(rng, length - len(prefix) - 1)
    return body + str(luhn.calc_check_digit(body))


def _card(rng: Rng) -> tuple[str, bool]:
    digits = card_digits(rng)
    sizes = {15: (4, 6, 5), 14: (4, 6, 4)}.get(len(digits), (4,) * 5)
    separator = rng.choice(("", " ", "-", " ", "."))
    groups, position = [], 0
    for size in sizes:
        if position < len(digits):
            groups.append(digits[position : position + size])
            position += size
    return separator.join(groups), len(digits) == 13


_COUNTRIES = (
    "DE",
    "GB",
    "FR",
    "ES",
    "IT",
    "NL",
    "CH",
    "AT",
    "BE",
    "SE",
    "NO",
    "DK",
    "PL",
    "PT",
    "IE",
    "SA",
    "TR",
    "FI",
)


def _iban(rng: Rng) -> tuple[str, bool]:
    country = rng.choice(_COUNTRIES)
    structure = stdnum_iban._ibandb.info(country + "00")[0][1]["bban"]
    kinds = {"n": string.digits, "a": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}
    bban = "".join(letters_of(rng, kinds[kind], int(n)) for n, kind in stdnum_iban._struct_re.findall(structure))
    number = country + stdnum_iban.calc_check_digits(country + "00" + bban) + bban
    style = rng.randrange(4)
    if style == 0:
        return stdnum_iban.format(number), False
    if style == 1:
        return stdnum_iban.format(number, "-"), False
    return (number.lower() if style == 2 else number), False


def _ssn(rng: Rng) -> tuple[str, bool]:
    area = rng.choice([a for a in range(1, 900) if a != 666])
    group, serial = rng.randrange(1, 100), rng.randrange(1, 10000)
    style = rng.choice(("-", "-", " ", ""))
    return f"{area:03}{style}{group:02}{style}{serial:04}", style == ""


_FIRST = [
    "ana",
    "bob",
    "carla",
    "dmitri",
    "elena",
    "farid",
    "gita",
    "hugo",
    "ines",
    "jonas",
    "kira",
    "liam",
    "mona",
    "nils",
    "olga",
    "pavel",
    "rosa",
    "sam",
    "tara",
    "uwe",
]
_LAST = [
    "meyer",
    "silva",
    "novak",
    "dupont",
    "rossi",
    "kim",
    "haddad",
    "larsen",
    "garcia",
    "okafor",
    "tanaka",
    "smith",
    "ivanova",
    "moreau",
]
_DOMAINS = (
    "gmail.com acme-corp.com uni-muenster.de web.de orange.fr correo.es example.org startup.io mail.co.uk firma.at"
)


def _email(rng: Rng) -> tuple[str, bool]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    local = rng.choice(
        (f"{first}.{last}", f"{first}_{last}", f"{first[0]}{last}{rng.randrange(99)}", f"{first}+{last}")
    )
    address = f"{local}@{rng.choice(_DOMAINS.split())}"
    return (address.upper() if rng.random() < 0.1 else address), False


def _phone(rng: Rng) -> tuple[str, bool]:
    """(number, whether it can only be told from other numbers by a cue)."""
    style = rng.randrange(6)
    if style == 0:
        area, middle = rng.choice((212, 415, 303, 617, 206)), rng.randrange(200, 1000)
        shape = rng.choice(("({}) {}-{:04}", "{}-{}-{:04}", "{}.{}.{:04}", "+1 {} {} {:04}", "1-{}-{}-{:04}"))
        return shape.format(area, middle, rng.randrange(10000)), False
    region = rng.choice(("US", "GB", "DE", "FR", "ES", "IT", "IN", "AU", "BR", "JP", "CH", "AT", "NL", "PL", "MX"))
    kind = rng.choice((phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE))
    number = phonenumbers.example_number_for_type(region, kind)
    if number is None:
        raise LookupError(f"no example number for {region}")
    for _ in range(20):
        tail = 10 ** rng.choice((3, 4, 5))
        other = phonenumbers.PhoneNumber(
            country_code=number.country_code,
            national_number=(number.national_number or 0) // tail * tail + rng.randrange(tail),
            italian_leading_zero=number.italian_leading_zero,
        )
        if phonenumbers.is_valid_number(other):
            number = other
            break
    formats = phonenumbers.PhoneNumberFormat
    if style in (1, 2):
        return phonenumbers.format_number(number, formats.INTERNATIONAL), False
    if style == 3:
        return phonenumbers.format_number(number, formats.E164), False
    return phonenumbers.format_number(number, formats.NATIONAL), True


def _aws(rng: Rng) -> tuple[str, bool]:
    return rng.choice(("AKIA", "ASIA", "AROA")) + letters_of(rng, string.ascii_uppercase + "234567", 16), False


def _github(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        return "github_pat_11" + letters_of(rng, _ALNUM, 20) + "_" + letters_of(rng, _ALNUM, 59), False
    body = letters_of(rng, _ALNUM, 30)
    return f"gh{rng.choice('pousr')}_{body}{checksum(body)}", False


def _slack(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        path = "/".join(
            ("T" + letters_of(rng, _ALNUM[26:], 8).upper(), "B" + digits_of(rng, 9), letters_of(rng, _ALNUM, 24))
        )
        return f"hooks.slack.com/services/{path}", False
    return f"xox{rng.choice('bpar')}-{digits_of(rng, 12)}-{digits_of(rng, 12)}-{letters_of(rng, _ALNUM, 24)}", False


def _google(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        return "GOCSPX-" + letters_of(rng, _ALNUM + "-_", 28), False
    return "AIza" + letters_of(rng, _ALNUM + "-_", 35), False


def _private_key(rng: Rng) -> tuple[str, bool]:
    kind = rng.choice(("RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "))
    body = "\n".join(letters_of(rng, _ALNUM + "+/", 64) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----", False


def _jwt(rng: Rng) -> tuple[str, bool]:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": rng.choice(("HS256", "RS256", "EdDSA")), "typ": "JWT"})
    return (
        f"{head}.{part({'sub': rng.choice(_FIRST), 'iat': rng.randrange(10**9)})}.{letters_of(rng, _ALNUM, 43)}",
        False,
    )


MAKERS: dict[str, Callable[[Rng], tuple[str, bool]]] = {
    "payment-card": _card,
    "iban": _iban,
    "us-ssn": _ssn,
    "email-address": _email,
    "phone-number": _phone,
    "aws-access-key": _aws,
    "github-token": _github,
    "slack-token": _slack,
    "google-api-key": _google,
    "private-key": _private_key,
    "jwt": _jwt,
}
