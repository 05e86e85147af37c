"""A text with some stretches rewritten, and the way back to where each character came from."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

Edit = tuple[int, int, str]
"""Replace `text[start:end]` by a string."""


@dataclass(frozen=True, slots=True)
class View:
    """A rewritten text. `repr` shows no text."""

    name: str
    text: str = field(repr=False)
    starts: array[int] = field(repr=False)
    """For each character, the start of the stretch of the parent it stands for."""
    ends: array[int] = field(repr=False)
    rewritten: bytes = field(repr=False)
    """1 for each character that stands in a rewritten stretch."""

    def parent_span(self, start: int, end: int) -> tuple[int, int]:
        return min(self.starts[start:end]), max(self.ends[start:end])

    def is_new(self, start: int, end: int) -> bool:
        """Whether the stretch holds anything that the parent did not show."""
        return 1 in self.rewritten[start:end]


def rewrite(name: str, text: str, edits: Sequence[Edit]) -> View:
    """`text` with `edits` (in order, not overlapping) carried out."""
    parts: list[str] = []
    starts, ends, marks = array("I"), array("I"), bytearray()
    position = 0
    for start, end, replacement in edits:
        _copy(starts, ends, marks, position, start)
        parts += (text[position:start], replacement)
        starts.extend([start] * len(replacement))
        ends.extend([end] * len(replacement))
        marks.extend(b"\x01" * len(replacement))
        position = end
    _copy(starts, ends, marks, position, len(text))
    parts.append(text[position:])
    return View(name, "".join(parts), starts, ends, bytes(marks))


def _copy(starts: array[int], ends: array[int], marks: bytearray, start: int, end: int) -> None:
    starts.extend(range(start, end))
    ends.extend(range(start + 1, end + 1))
    marks.extend(bytes(end - start))
