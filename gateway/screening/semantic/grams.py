"""A reader of letters: words, pairs of words and short runs of letters, hashed, each with a weight for each category.

It knows what the encoder doesn't: words of German, French and Spanish, and slips of the finger. It costs next to
nothing: a text's weights are looked up once, for all of its windows.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 16
BUCKETS: Final = 1 << BITS
RUNS: Final = (3, 4, 5)
"""Letters in a row, within a word and the spaces at its edges."""
_BASE: Final = 1_000_003
_INVERSE: Final = pow(_BASE, -1, 1 << 64)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SPACE: Final = ord(" ")


class Spelled:
    """What a text's letters say for each category, for any stretch of it. `repr` shows no text.

    Within a stretch each counts once: who writes a word a hundred times says no more than who writes it once, and an
    invented one, which falls into the bucket of some word, would say that word a hundred times.
    """

    def __init__(self, text: str, weights: NDArray[np.float32]) -> None:
        self._places, buckets = grams(text)
        self._before = _before(self._places, buckets)
        self._said = weights[buckets].astype(np.float32)

    def says(self, starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.float32]:
        """(stretch, category) for stretches between these places."""
        said = np.zeros((len(starts), self._said.shape[1]), np.float32)
        edges = np.searchsorted(self._places, starts), np.searchsorted(self._places, ends)
        for number, (start, first, last) in enumerate(zip(starts, *edges, strict=True)):
            is_new = self._before[first:last] < start
            length = math.sqrt(max(1, int(np.count_nonzero(is_new))))
            said[number] = is_new.astype(np.float32) @ self._said[first:last] / length
        return said


def grams(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(where each stands in the text, its bucket), in order of place."""
    letters = _letters(text)
    count = len(letters)
    is_space = letters == _SPACE
    spaces = np.concatenate(([0], np.cumsum(is_space)))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(letters.astype(np.uint64) * _powers(_BASE, count))))
    back = _powers(_INVERSE, count + 1)

    def hashed(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
        return np.asarray((sums[ends] - sums[starts]) * back[starts], np.uint64)

    places, buckets = [], []
    for length in RUNS:
        starts = np.arange(max(0, count - length + 1))
        starts = starts[spaces[starts + length - 1] == spaces[starts + 1]]  # no space inside
        places.append(starts)
        buckets.append(_bucket(hashed(starts, starts + length), length))
    edges = np.flatnonzero(np.diff(np.concatenate(([True], is_space, [True])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    words = hashed(starts, ends)
    places += [starts, starts[:-1]]
    buckets += [_bucket(words, 1), _bucket(words[:-1] * _MIX + words[1:], 2)]
    place, bucket = np.concatenate(places), np.concatenate(buckets)
    place = place - 1 + is_space[place]  # a run that begins with the space before a word begins with the word
    order = np.argsort(place, kind="stable")
    return place[order], bucket[order]


def _before(places: NDArray[np.int64], buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the same bucket stood last, before each place; -1 where it comes first."""
    order = np.argsort(buckets.astype(np.uint16), kind="stable")  # of 16 bits: sorted by counting
    again = buckets[order[1:]] == buckets[order[:-1]]
    before = np.full(len(places), -1)
    before[order[1:][again]] = places[order[:-1][again]]
    return before


def _letters(text: str) -> NDArray[np.uint32]:
    """A space, the text in small letters with a space for whatever is none, a space: one number a character."""
    small = text.lower()
    if len(small) != len(text):
        small = "".join(letter.lower()[0] for letter in text)
    kept = "".join([letter if letter.isalnum() else " " for letter in small])
    return np.frombuffer(f" {kept} ".encode("utf-32-le", "surrogatepass"), np.uint32)


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)


def _bucket(hashes: NDArray[np.uint64], kind: int) -> NDArray[np.int64]:
    mixed = (hashes + np.uint64(kind)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX
    return np.asarray(mixed >> np.uint64(64 - BITS), np.int64)
