"""Lists of pictures that must not be made or uploaded, each known by its PDQ fingerprint; as text, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from gateway.prints.fingerprint import ALIKE, BITS, LEAST_QUALITY, Fingerprint


@dataclass(frozen=True, slots=True)
class Blocked:
    """A picture that must not be made or uploaded, and why: a word for the record, never a description."""

    fingerprint: Fingerprint
    label: str


@dataclass(frozen=True, slots=True)
class Match:
    """A blocked picture and how many bits it is away."""

    blocked: Blocked
    distance: int


class BlockList:
    """Pictures known by fingerprint. Never changes: `with_` and `without` give a new list."""

    def __init__(self, blocked: Iterable[Blocked] = ()) -> None:
        """Raises ValueError for a fingerprint that would match whatever is flat."""
        self._blocked = tuple(dict.fromkeys(blocked))
        poor = next((b for b in self._blocked if b.fingerprint.quality < LEAST_QUALITY), None)
        if poor is not None:
            raise ValueError(
                f"{poor.fingerprint} can't be blocked: its quality is {poor.fingerprint.quality}, and below "
                f"{LEAST_QUALITY} it would match pictures that have nothing to do with it"
            )
        data = b"".join(b.fingerprint.bits.to_bytes(BITS // 8, "big") for b in self._blocked)
        self._words = np.frombuffer(data, np.uint64).reshape(-1, BITS // 64)

    def __len__(self) -> int:
        return len(self._blocked)

    def __iter__(self) -> Iterator[Blocked]:
        return iter(self._blocked)

    def with_(self, blocked: Blocked) -> BlockList:
        """One more."""
        return BlockList([*self._blocked, blocked])

    def without(self, fingerprint: Fingerprint) -> BlockList:
        """All but those with exactly this fingerprint."""
        return BlockList(b for b in self._blocked if b.fingerprint.bits != fingerprint.bits)

    def match(self, candidates: Iterable[Fingerprint], most: int = ALIKE) -> Match | None:
        """The nearest within `most` bits of any candidate (give all of `turned`); None where none is, or where the
        candidate says too little."""
        best: Match | None = None
        for candidate in candidates:
            if not self._blocked or candidate.quality < LEAST_QUALITY:
                continue
            words = np.frombuffer(candidate.bits.to_bytes(BITS // 8, "big"), np.uint64)
            distances = np.bitwise_count(self._words ^ words).sum(1)
            place = int(distances.argmin())
            if distances[place] <= most and (best is None or distances[place] < best.distance):
                best = Match(self._blocked[place], int(distances[place]))
        return best

    @classmethod
    def read(cls, text: str) -> Self:
        """One a line: 64 digits, a space, a label; empty lines and those that begin with `#` don't count.

        Raises ValueError that names the line.
        """
        found: list[Blocked] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            digits, _, label = line.strip().partition(" ")
            try:
                found.append(Blocked(Fingerprint.parse(digits), label.strip()))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            if not label.strip():
                raise ValueError(f"line {number}: expected a label behind the fingerprint")
        return cls(found)

    def write(self) -> str:
        """The text that `read` reads."""
        return "".join(f"{b.fingerprint} {' '.join(b.label.split())}\n" for b in self._blocked)
