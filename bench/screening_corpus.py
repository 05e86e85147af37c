"""Labelled prompts made from a seed: values of every kind as people write them, near misses, disguises, harmless prompts.

The rules were written looking at seeds below 1,000 only; figures are reported on seeds from 1,000 on. It is still our own
author's idea of how people write; sets by other authors are what counts.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import phonenumbers
from stdnum import iban as stdnum_iban
from stdnum import luhn

from gateway.screening.text.validators.github import checksum

HELD_OUT_FROM = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and the values in it: (finding type, start, end)."""

    text: str
    values: tuple[tuple[str, int, int], ...]


SUBJECTS = (
    "a poster", "a neon sign", "a birthday card", "a coffee mug", "an office door plate", "a business card",
    "a chalkboard", "a movie still", "a watercolour of a street", "an app mockup", "a book cover", "a T-shirt print",
    "a vintage advert", "a robot holding a sheet", "a close-up of a screen", "a sticky note on a fridge",
)  # fmt: skip
TAILS = (
    "", ", soft light", ", 85mm f/1.8, ISO 400", ", isometric", ", 4k", ", in the style of Bauhaus", ". Add a cat.",
    ", flat vector, pastel colours", " -- make it funny", ", seed 42", ", 16:9, high contrast",
)  # fmt: skip
PLAIN = (
    "that reads {v}",
    "with {v} on it",
    "showing {v}",
    "and write {v} in gold",
    "saying: {v}",
    "({v})",
    'with the text "{v}"',
)
CUES: dict[str, tuple[str, ...]] = {
    "payment-card": ("credit card {v}", "card number: {v}", "pay with my visa {v}", "Kreditkarte {v}", "tarjeta {v}"),
    "iban": ("IBAN {v}", "transfer to {v}", "Konto {v}", "my bank account is {v}"),
    "us-ssn": ("SSN {v}", "my social security number is {v}", "ssn: {v}", "Social Security {v}"),
    "email-address": ("contact {v}", "e-mail: {v}", "write to {v}", "mailto:{v}"),
    "phone-number": ("call {v}", "phone: {v}", "tel. {v}", "my number is {v}", "Telefon {v}", "WhatsApp {v}", "reach me at {v}"),
}  # fmt: skip
Rng = random.Random
_ALNUM = string.ascii_letters + string.digits
_ISSUERS = (
    ("4", 16), ("4", 16), ("4", 13), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15),
    ("36", 14), ("305", 14), ("6011", 16), ("65", 16), ("3530", 16), ("62", 16), ("5018", 16), ("6759", 16),
)  # fmt: skip


def _digits(rng: Rng, count: int) -> str:
    return "".join(rng.choices(string.digits, k=count))


def _letters(rng: Rng, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def card_digits(rng: Rng) -> str:
    """A Luhn-valid number of a known issuer."""
    prefix, length = rng.choice(_ISSUERS)
    body = prefix + _digits(rng, length - len(prefix) - 1)
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
    bban = "".join(_letters(rng, kinds[kind], int(n)) for n, kind in stdnum_iban._struct_re.findall(structure))
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


_FIRST = (
    "ana bob carla dmitri elena farid gita hugo ines jonas kira liam mona nils olga pavel rosa sam tara uwe".split()
)
_LAST = "meyer silva novak dupont rossi kim haddad larsen garcia okafor tanaka smith ivanova moreau".split()
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
    for _ in range(20):
        tail = 10 ** rng.choice((3, 4, 5))
        other = phonenumbers.PhoneNumber(
            country_code=number.country_code,
            national_number=number.national_number // tail * tail + rng.randrange(tail),
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
    return rng.choice(("AKIA", "ASIA", "AROA")) + _letters(rng, string.ascii_uppercase + "234567", 16), False


def _github(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        return "github_pat_11" + _letters(rng, _ALNUM, 20) + "_" + _letters(rng, _ALNUM, 59), False
    body = _letters(rng, _ALNUM, 30)
    return f"gh{rng.choice('pousr')}_{body}{checksum(body)}", False


def _slack(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        path = "/".join(("T" + _letters(rng, _ALNUM[26:], 8).upper(), "B" + _digits(rng, 9), _letters(rng, _ALNUM, 24)))
        return f"hooks.slack.com/services/{path}", False
    return f"xox{rng.choice('bpar')}-{_digits(rng, 12)}-{_digits(rng, 12)}-{_letters(rng, _ALNUM, 24)}", False


def _google(rng: Rng) -> tuple[str, bool]:
    if rng.random() < 0.3:
        return "GOCSPX-" + _letters(rng, _ALNUM + "-_", 28), False
    return "AIza" + _letters(rng, _ALNUM + "-_", 35), False


def _private_key(rng: Rng) -> tuple[str, bool]:
    kind = rng.choice(("RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "))
    body = "\n".join(_letters(rng, _ALNUM + "+/", 64) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----", False


def _jwt(rng: Rng) -> tuple[str, bool]:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": rng.choice(("HS256", "RS256", "EdDSA")), "typ": "JWT"})
    return f"{head}.{part({'sub': rng.choice(_FIRST), 'iat': rng.randrange(10**9)})}.{_letters(rng, _ALNUM, 43)}", False


MAKERS: dict[str, Callable[[Rng], tuple[str, bool]]] = {
    "payment-card": _card, "iban": _iban, "us-ssn": _ssn, "email-address": _email, "phone-number": _phone,
    "aws-access-key": _aws, "github-token": _github, "slack-token": _slack, "google-api-key": _google,
    "private-key": _private_key, "jwt": _jwt,
}  # fmt: skip


def positive(kind: str, seed: int) -> Sample:
    """A prompt with one value of `kind`."""
    rng = Rng(f"positive {kind} {seed}")
    value, needs_cue = MAKERS[kind](rng)
    frames = CUES.get(kind, PLAIN) if needs_cue or rng.random() < 0.5 else PLAIN
    frame = rng.choice(frames)
    head = f"{rng.choice(SUBJECTS)} {frame.split('{v}')[0]}"
    text = head + value + frame.split("{v}")[1] + rng.choice(TAILS)
    return Sample(text, ((f"dlp.{kind}", len(head), len(head) + len(value)),))


def near_miss(seed: int) -> Sample:
    """A prompt with numbers or words that look like a value and are none."""
    rng = Rng(f"miss {seed}")
    digits = card_digits(rng)
    wrong = digits[:-1] + str((int(digits[-1]) + rng.randrange(1, 10)) % 10)
    value = rng.choice((
        lambda: f"number {wrong}",
        lambda: f"ISBN 978-{_digits(rng, 1)}-{_digits(rng, 2)}-{_digits(rng, 6)}-{_digits(rng, 1)}",
        lambda: f"seed {_digits(rng, rng.choice((9, 10, 16)))}",
        lambda: f"{rng.randrange(640, 4096)}x{rng.randrange(640, 4096)}",
        lambda: f"rgb({rng.randrange(256)}, {rng.randrange(256)}, {rng.randrange(256)})",
        lambda: "#" + _letters(rng, "0123456789abcdef", 6),
        lambda: f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
        lambda: f"order {rng.randrange(100, 999)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}",
        lambda: f"{rng.randrange(1500, 2025)}-{rng.randrange(1500, 2025)}",
        lambda: f"2024-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02} {rng.randrange(24):02}:{rng.randrange(60):02}",
        lambda: f"icon@{rng.randrange(1, 4)}x.png",
        lambda: "commit " + _letters(rng, "0123456789abcdef", 40),
        lambda: f"version {rng.randrange(20)}.{rng.randrange(20)}.{rng.randrange(20)}",
        lambda: f"pi 3.{_digits(rng, 12)}",
        lambda: f"population {rng.randrange(1, 9)},{_digits(rng, 3)},{_digits(rng, 3)}",
        lambda: f"uuid {_letters(rng, '0123456789abcdef', 8)}-{_letters(rng, '0123456789abcdef', 4)}-4{_letters(rng, '0123456789abcdef', 3)}-a{_letters(rng, '0123456789abcdef', 3)}-{_letters(rng, '0123456789abcdef', 12)}",
    ))()  # fmt: skip
    return Sample(f"{rng.choice(SUBJECTS)} {rng.choice(PLAIN).replace('{v}', value)}{rng.choice(TAILS)}", ())


_WORDS = {
    "english": "zero one two three four five six seven eight nine",
    "german": "null eins zwei drei vier fünf sechs sieben acht neun",
    "spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "french": "zéro un deux trois quatre cinq six sept huit neuf",
}


def _spelled(language: str) -> Callable[[str], str]:
    return lambda v: " ".join(_WORDS[language].split()[int(c)] for c in v if c.isdigit())


DISGUISES: dict[str, Callable[[str], str]] = {
    "zero-width": lambda v: "\u200b".join(v),
    "full-width": lambda v: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in v),
    "mathematical digits": lambda v: "".join(chr(0x1D7CE + int(c)) if c.isdigit() else c for c in v),
    "arabic-indic digits": lambda v: "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in v),
    "keycaps": lambda v: "".join(f"{c}\ufe0f\u20e3" if c.isdigit() else c for c in v),
    "strokes": lambda v: "".join(c + "\u0336" for c in v),
    "spaced": lambda v: " ".join(c for c in v if c.isalnum()),
    "dotted": lambda v: ".".join(c for c in v if c.isalnum()),
    "starred": lambda v: "*".join(c for c in v if c.isalnum()),
    "letters for digits": lambda v: v.replace("0", "O").replace("1", "l"),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 twice": lambda v: base64.b64encode(base64.b64encode(v.encode())).decode(),
    "hexadecimal": lambda v: v.encode().hex(),
    "spaced hexadecimal": lambda v: v.encode().hex(" "),
    "url": lambda v: "".join(f"%{ord(c):02x}" for c in v),
    "url of signs": lambda v: quote(v, safe=""),
    "html decimal": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "html hexadecimal": lambda v: "".join(f"&#x{ord(c):x};" for c in v),
    **{language: _spelled(language) for language in _WORDS},
}


def disguised(name: str, seed: int) -> Sample:
    """A prompt with a card number in one disguise."""
    rng = Rng(f"disguise {name} {seed}")
    digits = card_digits(rng)
    while len(digits) != 16:
        digits = card_digits(rng)
    value = DISGUISES[name](" ".join(digits[i : i + 4] for i in range(0, 16, 4)))
    head = f"{rng.choice(SUBJECTS)} that reads "
    return Sample(head + value + rng.choice(TAILS), (("dlp.payment-card", len(head), len(head) + len(value)),))


_THINGS = (
    "a fox in a snowy forest", "an old fisherman mending nets", "a cathedral of glass", "two astronauts playing chess",
    "a bowl of ramen", "a lighthouse in a storm", "a killer whale under the ice", "a medieval market", "a woman reading",
    "a jazz trio", "children flying kites", "a chrome teapot", "a bonsai on a cliff", "a cyberpunk alley", "a red tram",
    "a dragon made of paper", "an office team at a whiteboard", "a blood orange cut in half", "a wedding under olive trees",
    "a rocket launch", "a breast of chicken with rosemary", "a chess queen", "a violinist", "a shooting star over dunes",
)  # fmt: skip
_STYLES = (
    "by Hokusai", "in the style of Van Gogh", "by Zdzislaw Beksinski", "art nouveau, Alphonse Mucha", "Studio Ghibli mood",
    "by Greg Rutkowski", "pixel art", "oil on canvas, 1889", "linocut", "photo by Annie", "Kodak Portra 400", "ukiyo-e",
    "claymation", "blueprint, white lines on #003366", "watercolour", "low poly", "Rembrandt lighting", "film noir, 1947",
)  # fmt: skip
_CAMERA = (
    "85mm f/1.8, ISO 3200, 1/250", "35mm, f/2.8, shutter 1/1000s", "24-70mm lens at 50mm", "1920x1080", "4k, 8k, 16k uhd",
    "octane render, 4096 samples", "--ar 16:9 --v 6.1 --seed 1234567890", "cfg 7.5, 50 steps, seed 4294967295", "3:2",
    "rgb(255, 128, 64)", "#ff8800 and #00aaff", "CMYK 0 50 100 0", "at 48.8584, 2.2945", "Pantone 18-1664", "year 2077",
    "ISBN 978-3-16-148410-0", "120 bpm, 1984", "NGC 6302, 3,800 light years", "(masterpiece:1.2), (detail:1.35)", "",
)  # fmt: skip


def benign(seed: int) -> str:
    """A harmless prompt as people who make pictures write them."""
    rng = Rng(f"benign {seed}")
    parts = [rng.choice(_THINGS), rng.choice(_STYLES), *rng.sample(_CAMERA, 2)]
    return ", ".join(p for p in parts if p)
