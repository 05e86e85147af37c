"""What passes between patterns and validators: a stretch of text that may be a value, and one that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Surroundings(NamedTuple):
    """What the words around a candidate say."""

    cued: bool = False
    """A word of the rule's `context.cues` is near, and no word of `context.against` is nearer."""
    countered: bool = False
    """A word of `context.against` is near, and no cue is nearer."""


def _nothing_around() -> Surroundings:
    return Surroundings()


@dataclass(frozen=True, slots=True)
class Candidate:
    """`text[start:end]` matched a rule's pattern. `repr` shows no text."""

    text: str = field(repr=False)
    start: int
    end: int
    look: Callable[[], Surroundings] = field(repr=False, default=_nothing_around)
    """Looks around. Costs more than most checks: for last."""

    @property
    def value(self) -> str:
        return self.text[self.start : self.end]

    def before(self, count: int) -> str:
        return self.text[max(0, self.start - count) : self.start]

    def after(self, count: int) -> str:
        return self.text[self.end : self.end + count]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A validator says: this is one. The span may be narrower than the candidate's."""

    start: int
    end: int
    canonical: str = field(repr=False)
    """The value without its writing (digits only, lower case): equal values get equal HMACs."""
    score: float = 1.0


Validator = Callable[[Candidate], Sequence[Accepted]]
"""The values found in a candidate: none refuses it. Never raises for normalised text; linear in its length."""
