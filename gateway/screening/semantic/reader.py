"""Reads a text for subjects by their meaning. Plain code without a clock of its own; `service` gives it a thread.

Life of a text: it is cut into windows; a reader of word pieces alone rates all of them in one pass; the encoder reads
the two places that look worst, and every other that looks suspicious. So a harmless page costs two windows, and one
with something in it what it takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.screening.semantic.encoder import Encoder
from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.weights import CATEGORIES, SCORES, Heads, load_heads
from gateway.screening.semantic.windows import Window, cut

ALWAYS_READ: Final = 2
NOTED: Final = SCORES[1]
"""A score below this says nothing: two of a hundred harmless texts on the same subjects have it."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A subject that a stretch of the text seems to be about."""

    category: str
    score: float
    start: int
    end: int


class Reader:
    """Immutable, safe for several threads."""

    def __init__(self, encoder: Encoder, heads: Heads) -> None:
        self._encoder = encoder
        self._heads = heads

    def read(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        """Each category that scores `NOTED` or more in some window, once, where it scores highest, in order of name.

        `is_late` is asked between windows; when it says so, `MeaningUnavailable`.
        """
        best: dict[str, Meant] = {}
        for meant in self.windows(text, is_late):
            if meant.category not in best or meant.score > best[meant.category].score:
                best[meant.category] = meant
        return [best[category] for category in sorted(best) if best[category].score >= NOTED]

    def windows(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        """What every window that the encoder reads scores in every category."""
        pieces = self._encoder.pieces(text)
        windows = cut(len(pieces))
        if not windows:
            return []
        suspicion = self._heads.suspicion(pieces.ids, [(w.first, w.last) for w in windows])
        found: list[Meant] = []
        done: list[Window] = []
        for place in np.argsort(-suspicion, kind="stable"):
            if len(done) >= ALWAYS_READ and suspicion[place] < self._heads.suspicious:
                break
            window = windows[place]
            if any(window.shares_most_with(other) for other in done):
                continue  # its neighbour looked worse, and was read
            if is_late():
                raise MeaningUnavailable("reading took too long")
            done.append(window)
            ids = pieces.ids[window.first : window.last]
            start, end = pieces.span(window.first, window.last)
            scores = self._heads.scores(self._encoder.features(ids), ids)
            found += [Meant(c, float(score), start, end) for c, score in zip(CATEGORIES, scores, strict=True)]
        return found


_lock: Final = threading.Lock()
_shared: list[Reader] = []


def shared_reader() -> Reader:
    """The process's one reader, loaded when first asked for: 90 MB and a fifth of a second. Raises
    `MeaningUnavailable`; then the next call tries again."""
    with _lock:
        if not _shared:
            _shared.append(Reader(Encoder(), load_heads()))
        return _shared[0]
