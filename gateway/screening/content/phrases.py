"""The small language of the lexicons: phrases of words, choices and options, with simple inflection.

gore                        the word, with its simple inflections
=gore                       this form only
slit (wrist|throat)         a choice
make (a|an|the)? bomb       an option
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from gateway.screening.text.normalise import fold

MAX_VARIANTS: Final = 64
MAX_WORDS: Final = 10
_PIECE: Final = re.compile(r"(=)?(?:\(([^()]+)\)|([^\s()|?=]+))(\?)?")
_VOWELS: Final = "aeiou"


class PhraseError(ValueError):
    """A phrase can't be read."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One way to say something: for each place, the words that may stand there."""

    places: tuple[frozenset[str], ...]


def parse_phrase(text: str, language: str) -> tuple[Phrase, ...]:
    """Every way that `text` allows, options taken and left. Raises `PhraseError`."""
    pieces: list[tuple[frozenset[str], bool]] = []
    position = 0
    for match in _PIECE.finditer(text):
        if text[position : match.start()].strip():
            raise PhraseError("expected words, (choices|between|words) and ? after what may be missing")
        position = match.end()
        exact, choices, word, optional = match.groups()
        words = [w.strip() for w in (choices or word).split("|")]
        if not all(words) or any(" " in w for w in words):
            raise PhraseError("each choice in ( | ) must be a single word")
        forms: set[str] = set()
        for w in words:
            forms |= {fold(w)} if exact or w.startswith("=") else inflections(fold(w), language)
        pieces.append((frozenset(f.lstrip("=") for f in forms), optional is not None))
    if text[position:].strip() or not pieces:
        raise PhraseError("expected words, (choices|between|words) and ? after what may be missing")
    if len(pieces) > MAX_WORDS:
        raise PhraseError(f"too long: expected at most {MAX_WORDS} words, got {len(pieces)}")
    variants = [
        tuple(words for words, is_taken in zip((w for w, _ in pieces), taken, strict=True) if is_taken)
        for taken in product(*([True, False] if optional else [True] for _, optional in pieces))
    ]
    if len(variants) > MAX_VARIANTS or not all(variants):
        raise PhraseError("too many optional words, or nothing but optional words")
    return tuple(Phrase(v) for v in variants)


def _english(word: str) -> set[str]:
    forms = {word}
    if len(word) < 3 or not word.isalpha():
        return forms
    last, before = word[-1], word[-2]
    if last == "y" and before not in _VOWELS:
        return forms | {word[:-1] + "ies", word[:-1] + "ied", word + "ing"}
    if last == "e":
        return forms | {word + "s", word + "d", word[:-1] + "ing"}
    sibilant = word.endswith(("s", "x", "z", "ch", "sh"))
    forms |= {word + ("es" if sibilant else "s"), word + "ed", word + "ing"}
    if before in _VOWELS and last not in _VOWELS + "wxy" and word[-3] not in _VOWELS:
        forms |= {word + last + "ed", word + last + "ing"}  # stab, stabbed
    return forms


_ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "de": ("e", "en", "er", "es", "em", "n", "s", "t", "te", "ten"),
    "fr": ("s", "e", "es", "x"),
    "es": ("s", "es"),
}
_INFLECTORS: Final[Mapping[str, Callable[[str], set[str]]]] = {"en": _english}
LANGUAGES: Final = ("en", "de", "fr", "es")


def inflections(word: str, language: str) -> set[str]:
    """`word` and its regular forms: few and certain, so that no other word is among them by accident."""
    inflect = _INFLECTORS.get(language)
    if inflect is not None:
        return inflect(word)
    return {word} | {word + ending for ending in _ENDINGS[language] if len(word) > 2 and word.isalpha()}
