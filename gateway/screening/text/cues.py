"""Words near a candidate that speak for it ("card number") or against it ("order no.")."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.screening.text.candidate import Surroundings
from gateway.screening.text.normalise import fold, normalise
from gateway.screening.text.patterns import EncodedText, compile_pattern

BEHIND_CHARS: Final = 8
"""A cue behind a value counts as so much further away than one before it."""


class Cues:
    """Cue words of one rule.

    A cue is looked for in `window` characters before a candidate and half of that after it. A word against it counts
    only before it and with no other number between ("order no. 123", not "order 7 of 123"; not "123, seed 42").
    """

    def __init__(self, cues: Sequence[str], against: Sequence[str], window: int) -> None:
        self.pattern = _pattern(cues)
        """Occurs in a folded text wherever a word that speaks for a value does; empty where there are none."""
        self._words = frozenset(fold(form) for word in cues for form in _forms(word))
        self._for = compile_pattern(self.pattern) if self.pattern else None
        against_them = _pattern(against)
        self._against = compile_pattern(against_them) if against_them else None
        self._window = window

    def judge(self, text: str, start: int, end: int) -> Surroundings:
        """What the words around `text[start:end]` say; the nearer word wins."""
        before = fold(text[max(0, start - self._window) : start])
        near_for = self._distance(self._for, before)
        behind = self._for.search(fold(text[end : end + self._window // 2])) if self._for and near_for is None else None
        if behind is not None:
            near_for = behind.start(behind.lastindex) + BEHIND_CHARS
        near_against = self._distance(self._against, before)
        if near_against is not None and any(c.isdigit() for c in before[len(before) - near_against :]):
            near_against = None
        if near_for is None:
            return Surroundings(countered=near_against is not None)
        if near_against is None or near_for <= near_against:
            return Surroundings(cued=True)
        return Surroundings(countered=True)

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where words that speak for a value stand in a normalised text, in order."""
        if self._for is None:
            return
        folded, back = _folded(text)
        encoded = EncodedText(folded)
        for match in self._for.finditer(encoded.raw):
            start, end = (encoded.character(byte) for byte in match.span(match.lastindex))
            yield (start, end) if back is None else (back[start], back[end])

    def is_cue(self, word: str) -> bool:
        """Whether `word` is one of the words that speak for a value, and nothing else."""
        return fold(word) in self._words

    @property
    def window(self) -> int:
        return self._window

    @staticmethod
    def _distance(pattern: Any | None, before: str) -> int | None:
        """Characters between the candidate and the last word before it."""
        last = None
        if pattern is not None:
            for match in pattern.finditer(before):
                last = len(before) - match.end(match.lastindex)
        return last


def _folded(text: str) -> tuple[str, array[int] | None]:
    """`text` folded, and for each character of that (and one past the end) its place in `text`; None = the same."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, None
    back = array("I")
    for place, character in enumerate(text):
        back.extend([place] * len(fold(character)))
    back.append(len(text))
    # Marks that are folded away change no length but their own, so character by character comes to the same.
    return folded, back


FIRST_IDEOGRAPH: Final = "\u2e80"
"""From here on Unicode has the scripts of East Asia, which put no blanks between words."""


def alternatives(words: Sequence[str]) -> str:
    """A pattern of which group 1 is one of `words`, standing by itself."""
    return rf"(?i)(?:^|[^\pL\pN])({_any_of(words)})(?:$|[^\pL\pN])"


def _pattern(words: Sequence[str]) -> str:
    folded = [fold(form) for word in words for form in _forms(word)]
    spaced = [word for word in folded if word[0] < FIRST_IDEOGRAPH]
    joined = [word for word in folded if word[0] >= FIRST_IDEOGRAPH]
    parts = [rf"(?:^|[^\pL\pN])({_any_of(spaced)})(?:$|[^\pL])"] if spaced else []
    parts += [f"({_any_of(joined)})"] if joined else []
    return "|".join(parts)


def _forms(word: str) -> set[str]:
    """`word` as it stands in a normalised text: of other alphabets, only some letters of some case look Latin."""
    return {form for written in (word, word.upper()) if fold(form := normalise(written).text)}


def _any_of(words: Sequence[str]) -> str:
    return "|".join(sorted({_escape(form) for word in words for form in _forms(word)}, key=len, reverse=True))


def _escape(word: str) -> str:
    """`word` literally; a blank stands for any short gap."""
    literal = "".join("\\" + c if c.isascii() and not c.isalnum() and c != " " else c for c in word)
    return literal.replace(" ", r"[\s_.:-]{1,3}")
