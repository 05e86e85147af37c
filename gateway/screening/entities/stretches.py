"""Which parts of a text are worth reading for names: what surrounds a rule's cues, where a capital stands at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from gateway.screening.text.cues import Cues

CONTEXT_CHARS: Final = 24
"""What the model reads beyond the place where a name may stand: about four words. With ten more on each side it finds
as many names, and takes twice as long."""
WORD_CHARS: Final = 30
"""A stretch ends between two words, where one ends within so many characters."""
MOST_CHARS: Final = 600
"""Stretches that touch are one up to here, and so many characters are read at once: a third faster than one by one,
and soon enough to see that it is late."""
ASK_EVERY: Final = 256
"""Cues between two looks at the clock."""


class Stretch(NamedTuple):
    """A part of a normalised text, `end` exclusive."""

    start: int
    end: int


def around(text: str, cues: Sequence[Cues], look_at_the_clock: Callable[[], None]) -> list[Stretch]:
    """The parts of `text` in which a name would stand near a cue of one of the rules, in order.

    They may overlap. A cue without a word with a capital in its reach is left out: names are found by their capitals.
    """
    reaches: list[Stretch] = []
    for cue in cues:
        for number, (start, end) in enumerate(cue.places(text)):
            if number % ASK_EVERY == 0:
                look_at_the_clock()
            first, last = max(0, start - cue.window // 2), min(len(text), end + cue.window)
            before, behind = _has_capital(text, first, start), _has_capital(text, end, last)
            if before or behind:
                reaches.append(Stretch(first if before else start, last if behind else end))
    return list(_together(text, sorted(reaches)))


def batches(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """`stretches` in runs of `MOST_CHARS` or a little more."""
    run: list[Stretch] = []
    chars = 0
    for stretch in stretches:
        if run and chars + stretch.end - stretch.start > MOST_CHARS:
            yield run
            run, chars = [], 0
        run.append(stretch)
        chars += stretch.end - stretch.start
    if run:
        yield run


def _has_capital(text: str, start: int, end: int) -> bool:
    return any(character.isupper() for character in text[start:end])


def _together(text: str, reaches: Sequence[Stretch]) -> Iterator[Stretch]:
    held: Stretch | None = None
    for reach in reaches:
        wide = Stretch(_word_start(text, reach.start - CONTEXT_CHARS), _word_end(text, reach.end + CONTEXT_CHARS))
        if held is not None and wide.start <= held.end and wide.end - held.start <= MOST_CHARS:
            held = Stretch(held.start, max(held.end, wide.end))
            continue
        if held is not None:
            yield held
        held = wide
    if held is not None:
        yield held


def _word_start(text: str, place: int) -> int:
    if place <= 0:
        return 0
    blank = text.find(" ", place, place + WORD_CHARS)
    return place if blank < 0 else blank + 1


def _word_end(text: str, place: int) -> int:
    if place >= len(text):
        return len(text)
    blank = text.rfind(" ", place - WORD_CHARS, place)
    return place if blank < 0 else blank
