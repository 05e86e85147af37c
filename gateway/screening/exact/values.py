"""How a value of a list and a stretch of a prompt are written alike before they are hashed."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.screening.text.normalise import fold, normalise

MAX_WORDS: Final = 6
"""Longer values are kept by their first words: nobody types more of an address before it is one."""
MIN_LETTERS: Final = 3
MIN_SIGNS_WITH_DIGITS: Final = 4
"""Shorter values ("Al", "42") stand in harmless prompts every day."""
MAX_GAP_CHARS: Final = 3
"""Between the words of one value: a blank, a comma and a blank, " - "."""
_WORD: Final = re.compile(r"[^\W_]+")
_DIGIT: Final = re.compile(r"\d")


class Word(NamedTuple):
    """A folded word and where it stands in the normalised text. `repr` shows no text."""

    start: int
    end: int
    text: str
    has_digit: bool

    def __repr__(self) -> str:
        return f"Word({self.start}, {self.end})"


def words_of(text: str) -> list[Word]:
    """The words of a normalised text, in order of place."""
    if text.isascii():
        folded = text.lower()
        return [
            Word(m.start(), m.end(), word, _DIGIT.search(word) is not None)
            for m in _WORD.finditer(folded)
            if (word := m.group())
        ]
    return [
        Word(m.start(), m.end(), word, _DIGIT.search(word) is not None)
        for m in _WORD.finditer(text)
        if (word := fold(m.group()))
    ]


def canonical(words: list[str], *, has_digit: bool) -> str:
    """Words in any order ("Roe, Jane"); anything with a digit as one piece in its own ("KD-48 291", "kd48291")."""
    return "".join(words) if has_digit else " ".join(sorted(words))


def canonical_value(value: str) -> tuple[str, tuple[str, ...]] | None:
    """A list's value as it is hashed, and the words by one of which it can begin (none where it holds a digit).

    None for what is empty or too short to be told from ordinary words.
    """
    words = [word.text for word in words_of(normalise(value).text)][:MAX_WORDS]
    has_digit = any(_DIGIT.search(word) for word in words)
    written = canonical(words, has_digit=has_digit)
    if len(written) < (MIN_SIGNS_WITH_DIGITS if has_digit else MIN_LETTERS):
        return None
    return written, () if has_digit else tuple(words)
