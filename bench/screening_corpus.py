"""Labelled prompts made from a seed: values of every kind, near misses, disguises, harmless prompts.

The rules were written looking at seeds below 1,000 only; figures are reported on seeds from 1,000 on. It is still one
author's idea of how people write: sets by other authors are what counts.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from bench import screening_identities, screening_matters
from bench.screening_values import MAKERS as VALUES
from bench.screening_values import Rng, card_digits, digits_of, letters_of

HELD_OUT_FROM = 1_000
MAKERS = VALUES | screening_identities.IDENTITIES | screening_matters.MATTERS


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and the values in it: (finding type, start, end)."""

    text: str
    values: tuple[tuple[str, int, int], ...]


SUBJECTS = (
    "a poster",
    "a neon sign",
    "a birthday card",
    "a coffee mug",
    "an office door plate",
    "a business card",
    "a chalkboard",
    "a movie still",
    "a watercolour of a street",
    "an app mockup",
    "a book cover",
    "a T-shirt print",
    "a vintage advert",
    "a robot holding a sheet",
    "a close-up of a screen",
    "a sticky note on a fridge",
)
TAILS = (
    "",
    ", soft light",
    ", 85mm f/1.8, ISO 400",
    ", isometric",
    ", 4k",
    ", in the style of Bauhaus",
    ". Add a cat.",
    ", flat vector, pastel colours",
    " -- make it funny",
    ", seed 42",
    ", 16:9, high contrast",
)
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
    "phone-number": (
        "call {v}",
        "phone: {v}",
        "tel. {v}",
        "my number is {v}",
        "Telefon {v}",
        "WhatsApp {v}",
        "reach me at {v}",
    ),
    **screening_identities.CUES,
    **screening_matters.CUES,
}


def positive(kind: str, seed: int) -> Sample:
    """A prompt with one value of `kind`."""
    rng = Rng(f"positive {kind} {seed}")
    value, needs_cue = MAKERS[kind](rng)
    frames = CUES.get(kind, PLAIN) if needs_cue or rng.random() < 0.5 else PLAIN
    frame = rng.choice(frames)
    head = f"{rng.choice(SUBJECTS)} {frame.split('{v}')[0]}"
    text = head + value + frame.split("{v}")[1] + rng.choice(TAILS)
    return Sample(text, ((f"dlp.{kind}", len(head), len(head) + len(value)),))


def _wrong_card(rng: Rng) -> str:
    digits = card_digits(rng)
    return f"number {digits[:-1]}{(int(digits[-1]) + rng.randrange(1, 10)) % 10}"


def _hex(rng: Rng, *counts: int) -> str:
    return "-".join(letters_of(rng, "0123456789abcdef", count) for count in counts)


_LIKENESSES: tuple[Callable[[Rng], str], ...] = (
    _wrong_card,
    lambda r: f"ISBN 978-{digits_of(r, 1)}-{digits_of(r, 2)}-{digits_of(r, 6)}-{digits_of(r, 1)}",
    lambda r: f"seed {digits_of(r, r.choice((9, 10, 16)))}",
    lambda r: f"{r.randrange(640, 4096)}x{r.randrange(640, 4096)}",
    lambda r: f"rgb({r.randrange(256)}, {r.randrange(256)}, {r.randrange(256)})",
    lambda r: "#" + _hex(r, 6),
    lambda r: f"{r.uniform(-90, 90):.6f}, {r.uniform(-180, 180):.6f}",
    lambda r: f"order {r.randrange(100, 999)}-{r.randrange(10, 99)}-{r.randrange(1000, 9999)}",
    lambda r: f"{r.randrange(1500, 2025)}-{r.randrange(1500, 2025)}",
    lambda r: f"2024-{r.randrange(1, 13):02}-{r.randrange(1, 29):02} {r.randrange(24):02}:{r.randrange(60):02}",
    lambda r: f"icon@{r.randrange(1, 4)}x.png",
    lambda r: "commit " + _hex(r, 40),
    lambda r: f"version {r.randrange(20)}.{r.randrange(20)}.{r.randrange(20)}",
    lambda r: f"pi 3.{digits_of(r, 12)}",
    lambda r: f"population {r.randrange(1, 9)},{digits_of(r, 3)},{digits_of(r, 3)}",
    lambda r: "uuid " + _hex(r, 8, 4, 4, 4, 12),
)


def near_miss(seed: int) -> Sample:
    """A prompt with numbers or words that look like a value and are none."""
    rng = Rng(f"miss {seed}")
    value = rng.choice(_LIKENESSES)(rng)
    return Sample(f"{rng.choice(SUBJECTS)} {rng.choice(PLAIN).replace('{v}', value)}{rng.choice(TAILS)}", ())


_WORDS = {
    "english": "zero one two three four five six seven eight nine",
    "german": "null eins zwei drei vier fünf sechs sieben acht neun",
    "spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "french": "zéro un deux trois quatre cinq six sept huit neuf",
}


def _spelled(language: str) -> Callable[[str], str]:
    return lambda v: " ".join(_WORDS[language].split()[int(c)] for c in v if c.isdigit())


def _pairs(value: str) -> list[str]:
    digits = "".join(c for c in value if c.isdigit())
    return [digits[i : i + 2] for i in range(0, len(digits), 2)]


def _german_pair(pair: str) -> str:
    """Two digits as a German says them; with a zero in front one by one."""
    units = ("", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
    tens = ("", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
    teens = ["zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"]
    first, second = int(pair[0]), int(pair[1])
    if first == 0:
        return " ".join(_WORDS["german"].split()[int(c)] for c in pair)
    if first == 1:
        return teens[second]
    return f"{units[second]}und{tens[first]}" if second else tens[first]


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
    "german pairs": lambda v: " ".join(_german_pair(pair) for pair in _pairs(v)),
    "glued words": lambda v: _spelled("english")(v).replace(" ", ""),
    "dashes": lambda v: "-".join(c for c in v if c.isalnum()),
    "turned round": lambda v: v[::-1],
    "binary": lambda v: " ".join(f"{ord(c):08b}" for c in v),
    "decimal codes": lambda v: " ".join(str(ord(c)) for c in v),
    "base 32": lambda v: base64.b32encode(v.encode()).decode(),
    "quoted-printable": lambda v: "".join(f"={ord(c):02X}" for c in v),
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
    "a fox in a snowy forest",
    "an old fisherman mending nets",
    "a cathedral of glass",
    "two astronauts playing chess",
    "a bowl of ramen",
    "a lighthouse in a storm",
    "a killer whale under the ice",
    "a medieval market",
    "a woman reading",
    "a jazz trio",
    "children flying kites",
    "a chrome teapot",
    "a bonsai on a cliff",
    "a cyberpunk alley",
    "a red tram",
    "a dragon made of paper",
    "an office team at a whiteboard",
    "a blood orange cut in half",
    "a wedding under olive trees",
    "a rocket launch",
    "a breast of chicken with rosemary",
    "a chess queen",
    "a violinist",
    "a shooting star over dunes",
)
_STYLES = (
    "by Hokusai",
    "in the style of Van Gogh",
    "by Zdzislaw Beksinski",
    "art nouveau, Alphonse Mucha",
    "Studio Ghibli mood",
    "by Greg Rutkowski",
    "pixel art",
    "oil on canvas, 1889",
    "linocut",
    "photo by Annie",
    "Kodak Portra 400",
    "ukiyo-e",
    "claymation",
    "blueprint, white lines on #003366",
    "watercolour",
    "low poly",
    "Rembrandt lighting",
    "film noir, 1947",
)
_CAMERA = (
    "85mm f/1.8, ISO 3200, 1/250",
    "35mm, f/2.8, shutter 1/1000s",
    "24-70mm lens at 50mm",
    "1920x1080",
    "4k, 8k, 16k uhd",
    "octane render, 4096 samples",
    "--ar 16:9 --v 6.1 --seed 1234567890",
    "cfg 7.5, 50 steps, seed 4294967295",
    "3:2",
    "rgb(255, 128, 64)",
    "#ff8800 and #00aaff",
    "CMYK 0 50 100 0",
    "at 48.8584, 2.2945",
    "Pantone 18-1664",
    "year 2077",
    "ISBN 978-3-16-148410-0",
    "120 bpm, 1984",
    "NGC 6302, 3,800 light years",
    "(masterpiece:1.2), (detail:1.35)",
    "",
)


def benign(seed: int) -> str:
    """A harmless prompt as people who make pictures write them."""
    rng = Rng(f"benign {seed}")
    parts = [rng.choice(_THINGS), rng.choice(_STYLES), *rng.sample(_CAMERA, 2)]
    return ", ".join(p for p in parts if p)
