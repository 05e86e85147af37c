"""Fingerprints of a window of time, in memory: which of them are nearly the same, and another person's.

All are compared, word by word: no clever index beats that below some millions, and this one has no case in which it
misses. 56 bytes a picture; a million take 20 to 70 ms of a thread that leaves the event loop alone (`bench.pictures`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORDS: Final = 4
"""Of 64 bits: the 256 of a fingerprint."""
ACTOR_BYTES: Final = 8
MOST_NEAR: Final = 200
"""Pictures told of one question, nearest first."""
_SMALLEST: Final = 1_024
_AT_ONCE: Final = 1 << 16
"""Comparisons a step: what fits a processor's cache."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture: its row, its fingerprint, whose it is (a pseudonym) and when, in whole seconds."""

    seq: int
    fingerprint: bytes
    actor: bytes
    at: int


class Nearness:
    """Not safe for threads: ask and tell it one at a time."""

    def __init__(self) -> None:
        self._count = 0
        self._allot(_SMALLEST)

    def __len__(self) -> int:
        return self._count

    def add(self, pictures: Iterable[Seen]) -> None:
        """Take them in, in any order; each once."""
        new = list(pictures)
        begin, end = self._count, self._count + len(new)
        if end > len(self._seqs):
            self._grow(max(end, 2 * len(self._seqs)))
        if not new:
            return
        self._seqs[begin:end] = [one.seq for one in new]
        self._times[begin:end] = [one.at for one in new]
        self._actors[begin:end] = np.frombuffer(b"".join(one.actor for one in new), np.uint64)
        prints = np.frombuffer(b"".join(one.fingerprint for one in new), np.uint64)
        self._words[:, begin:end] = prints.reshape(-1, WORDS).T
        self._count = end

    def near(self, fingerprints: Iterable[bytes], *, most: int, actor: bytes, since: int) -> list[tuple[int, int]]:
        """(seq, different bits) of the pictures of other people, not older than `since`, that are within `most` bits of
        any of `fingerprints`; the nearest first."""
        asked = [np.frombuffer(fingerprint, np.uint64) for fingerprint in fingerprints]
        best = np.full(self._count, 64 * WORDS + 1, np.uint16)
        for begin in range(0, self._count, _AT_ONCE):
            words = self._words[:, begin : min(begin + _AT_ONCE, self._count)]
            # Written over by each comparison: new memory for each costs as much as comparing.
            apart, half = np.empty_like(words[0]), np.empty((2, words.shape[1]), np.uint8)
            for one in asked:
                for word, mine, bits in zip(words[:2], one[:2], half, strict=True):
                    np.bitwise_xor(word, mine, out=apart)
                    np.bitwise_count(apart, out=bits)
                # Who is further away in half of the words is no nearer in all.
                places = np.flatnonzero(half[0] + half[1] <= most)
                if len(places):
                    whole = np.bitwise_count(words[:, places] ^ one[:, None]).sum(0, dtype=np.uint16)
                    best[begin + places] = np.minimum(best[begin + places], whole)
        (whose,) = np.frombuffer(actor, np.uint64)
        places = np.flatnonzero(best <= most)
        places = places[(self._actors[places] != whose) & (self._times[places] >= since)]
        places = places[np.argsort(best[places], kind="stable")][:MOST_NEAR]
        return [(int(self._seqs[place]), int(best[place])) for place in places]

    def drop_before(self, at: int) -> None:
        """Let go of what is older."""
        count = self._count
        keep = self._times[:count] >= at
        seqs, times, actors = self._seqs[:count][keep], self._times[:count][keep], self._actors[:count][keep]
        words = self._words[:, :count][:, keep]
        self._count = len(seqs)
        self._allot(max(_SMALLEST, self._count))
        self._fill(seqs, times, actors, words)

    def _allot(self, room: int) -> None:
        self._seqs: NDArray[np.int64] = np.empty(room, np.int64)
        self._times: NDArray[np.int64] = np.empty(room, np.int64)
        self._actors: NDArray[np.uint64] = np.empty(room, np.uint64)
        self._words: NDArray[np.uint64] = np.empty((WORDS, room), np.uint64)

    def _grow(self, room: int) -> None:
        count = self._count
        seqs, times, actors = self._seqs[:count], self._times[:count], self._actors[:count]
        words = self._words[:, :count]
        self._allot(room)
        self._fill(seqs, times, actors, words)

    def _fill(
        self,
        seqs: NDArray[np.int64],
        times: NDArray[np.int64],
        actors: NDArray[np.uint64],
        words: NDArray[np.uint64],
    ) -> None:
        count = len(seqs)
        self._seqs[:count], self._times[:count], self._actors[:count] = seqs, times, actors
        self._words[:, :count] = words
