"""Reads a text for subjects by their meaning. Plain code without a clock of its own; `service` gives it a thread.

Life of a text: it is cut into windows; readers of word pieces and of letters rate all of them in one pass; the encoder
reads the two places that look worst, and every other that looks suspicious, some at a time. So a harmless page costs
two windows, and one with something in it what it takes. A text that was read a moment ago (a hint while it was
typed, then the request itself) is not read again.
"""

from __future__ import annotations

import re
import secrets
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.screening.semantic.encoder import MAX_CHARS, Encoder, Pieces
from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.grams import Spelled
from gateway.screening.semantic.weights import CATEGORIES, SCORES, Heads, load_heads
from gateway.screening.semantic.windows import Window, cut

ALWAYS_READ: Final = 2
AT_ONCE: Final = 4
"""Windows in one run of the network: a fifth faster than one by one, and soon enough to see that it is late."""
_NUMBER: Final = re.compile(r"(?:\d[ .-]?){7,}")
"""Of a card, a telephone: left out for the letters, which learnt from none. Years and a camera's settings stay."""
REMEMBERED: Final = 512
"""Texts whose subjects are kept, under a keyed digest and without a word of them."""
_SENTENCE_END: Final = re.compile(r"[.!?;](?=\s)|\n")
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
    """Safe for several threads; of what it reads it keeps subjects and places only."""

    def __init__(self, encoder: Encoder, heads: Heads) -> None:
        self._encoder = encoder
        self._heads = heads
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._read: OrderedDict[bytes, tuple[Meant, ...]] = OrderedDict()

    def read(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        """Each category that scores `NOTED` or more in some window, once, where it scores highest, in order of name.

        `is_late` is asked between runs of the network; when it says so, `MeaningUnavailable`.
        """
        digest = blake2b(text.encode("utf-8", "surrogatepass"), key=self._key).digest()
        with self._lock:
            if digest in self._read:
                self._read.move_to_end(digest)
                return list(self._read[digest])
        best: dict[str, Meant] = {}
        for meant in self.windows(text, is_late):
            if meant.category not in best or meant.score > best[meant.category].score:
                best[meant.category] = meant
        found = [best[category] for category in sorted(best) if best[category].score >= NOTED]
        with self._lock:
            self._read[digest] = tuple(found)
            if len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        return found

    def windows(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        """What every window that the encoder reads scores in every category."""
        pieces = self._encoder.pieces(text)
        spelled = Spelled(_NUMBER.sub(_blank, text[:MAX_CHARS]), self._heads.grams)
        windows = self._worth_reading(pieces, spelled, cut(len(pieces), _sentence_ends(text, pieces)))
        found: list[Meant] = []
        for now in _runs(windows):
            if is_late():
                raise MeaningUnavailable("reading took too long")
            rows = np.stack([pieces.ids[window.first : window.last] for window in now])
            scored = self._heads.scores(self._encoder.features(rows), _letters(pieces, spelled, now))
            for window, scores in zip(now, scored, strict=True):
                start, end = pieces.span(window.first, window.last)
                found += [Meant(c, float(score), start, end) for c, score in zip(CATEGORIES, scores, strict=True)]
        return found

    def _worth_reading(self, pieces: Pieces, spelled: Spelled, windows: list[Window]) -> list[Window]:
        """Those that look worst to the readers of pieces and letters, worst first."""
        if not windows:
            return []
        suspicion = self._heads.suspicion(
            pieces.ids, [(w.first, w.last) for w in windows], _letters(pieces, spelled, windows)
        )
        chosen: list[Window] = []
        for place in np.argsort(-suspicion, kind="stable"):
            if len(chosen) >= ALWAYS_READ and suspicion[place] < self._heads.suspicious:
                break
            if not any(windows[place].shares_most_with(other) for other in chosen):
                chosen.append(windows[place])  # otherwise its neighbour looked worse, and is read
        return chosen


def _runs(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows of one length together, `AT_ONCE` at most; the rows of a run are all of one length."""
    by_length: dict[int, list[Window]] = {}
    for window in windows:
        by_length.setdefault(window.last - window.first, []).append(window)
    for like in by_length.values():
        for begin in range(0, len(like), AT_ONCE):
            yield like[begin : begin + AT_ONCE]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _sentence_ends(text: str, pieces: Pieces) -> list[int]:
    """Behind which pieces a sentence ends."""
    starts = [start for start, _ in pieces.places]
    return [bisect_left(starts, mark.end()) for mark in _SENTENCE_END.finditer(text)]


def _letters(pieces: Pieces, spelled: Spelled, windows: Sequence[Window]) -> NDArray[np.float32]:
    """What the letters of windows say: (window, category)."""
    starts, ends = zip(*(pieces.span(window.first, window.last) for window in windows), strict=True)
    return spelled.says(np.array(starts), np.array(ends))


_lock: Final = threading.Lock()
_shared: list[Reader] = []


def shared_reader() -> Reader:
    """The process's one reader, loaded when first asked for: 60 MB and a fifth of a second. Raises
    `MeaningUnavailable`; then the next call tries again."""
    with _lock:
        if not _shared:
            _shared.append(Reader(Encoder(), load_heads()))
        return _shared[0]
