"""Where values of a list stand in a text, alone or two of one row near each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from gateway.screening.exact.lists import ExactList
from gateway.screening.exact.values import MAX_GAP_CHARS, MAX_WORDS, Word, canonical, words_of


class Found(NamedTuple):
    """A stretch of the normalised text. `token` stands for what was found there."""

    start: int
    end: int
    token: int


MAX_WORDS_WITH_DIGITS: Final = 4
"""Pieces that a number may be written in and still be looked up whole: "KD 48 29 11"."""


class Reading:
    """The words of one text, hashed once for all lists under a key."""

    def __init__(self, text: str) -> None:
        self.words = words_of(text)
        self._heads: dict[str, int] = {}
        self._values: dict[str, int] = {}

    def values(self, of: ExactList) -> Iterator[Found]:
        """Every stretch that is a value of the list, longer ones first where several begin at one word."""
        for at, word in enumerate(self.words):
            if word.has_digit:
                yield from self._look(of, at, 1, MAX_WORDS_WITH_DIGITS)
                continue
            head = self._heads.get(word.text)
            if head is None:
                head = self._heads[word.text] = of.key.word(word.text)
            if head in of.heads:
                yield from self._look(of, at, 1, MAX_WORDS)
            elif at + 1 < len(self.words) and self.words[at + 1].has_digit:
                yield from self._look(of, at, 2, MAX_WORDS_WITH_DIGITS)

    def _look(self, of: ExactList, at: int, least: int, most: int) -> Iterator[Found]:
        stretch = [*_stretch(self.words, at, most)]
        for size in range(len(stretch), least - 1, -1):
            piece = stretch[:size]
            has_digit = any(word.has_digit for word in piece)
            written = canonical([word.text for word in piece], has_digit=has_digit)
            if has_digit and len(written) not in of.lengths:
                continue
            token = self._values.get(written)
            if token is None:
                token = self._values[written] = of.key.value(written)
            if token in of.values:
                yield Found(piece[0].start, piece[-1].end, token)


def _stretch(words: list[Word], at: int, most: int) -> Iterator[Word]:
    yield words[at]
    for previous, word in zip(words[at : at + most - 1], words[at + 1 : at + most], strict=False):
        if word.start - previous.end > MAX_GAP_CHARS:
            return
        yield word


def find(
    reading: Reading, of: ExactList, *, require: int, window: int, spend: Callable[[], None]
) -> Iterator[tuple[int, int, int]]:
    """(start, end, token) of each value of the list; with `require` 2, of each two of one row within `window`.

    `spend` is called for each comparison and may raise, so that a text of nothing but customers' names stays cheap.
    """
    known: dict[tuple[int, int], int] = {}
    near: list[Found] = []
    for found in reading.values(of):
        spend()
        if require == 1:
            yield found
            continue
        near = [other for other in near if found.start - other.end <= window]
        for other in near:
            if other.token == found.token:
                continue
            spend()
            both = (other.token, found.token)
            pair = known.get(both)
            if pair is None:
                pair = known[both] = of.key.pair(*both)
            if pair in of.pairs:
                yield min(other.start, found.start), max(other.end, found.end), pair
        near.append(found)
