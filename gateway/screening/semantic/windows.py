"""A text in windows that the encoder reads one by one: what is meant in one sentence must not drown in a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

PIECES: Final = 48
"""About 35 words: a usual prompt is one window."""
NARROW: Final = 32
"""A longer text is read in windows of two thirds of that, so that what stands around a sentence weighs less than it."""
STEP: Final = 8
"""A thought of up to 24 pieces lies whole in some window."""
SHORT: Final = 8
"""A sentence with fewer pieces is read together with what follows it; what follows is read alone as well."""


class Window(NamedTuple):
    """Pieces `first` to `last`, exclusive."""

    first: int
    last: int

    def shares_most_with(self, other: Window) -> bool:
        """Whether more than half of it lies in `other`."""
        return 2 * (min(self.last, other.last) - max(self.first, other.first)) > self.last - self.first


def cut(pieces: int, ends: Iterable[int] = ()) -> list[Window]:
    """Windows that cover a text of so many pieces; the last one is moved back so that none is a stump. `ends`: behind
    which pieces a sentence ends, rising. A longer text's sentences are windows, too."""
    if pieces <= 0:
        return []
    if pieces <= PIECES:
        return [Window(0, pieces)]
    windows = [Window(first, first + NARROW) for first in range(0, pieces - NARROW, STEP)]
    return [*windows, Window(pieces - NARROW, pieces), *_sentences(pieces, ends)]


def _sentences(pieces: int, ends: Iterable[int]) -> Iterable[Window]:
    first = own = 0  # where the window begins, and its last sentence
    for end in (*ends, pieces):
        if own > first and SHORT <= end - own <= PIECES:
            yield Window(own, end)  # without the short one before it, too: what that says may drown it
        own = end
        if end - first < SHORT:
            continue
        if end - first <= PIECES:
            yield Window(first, end)
        first = end
