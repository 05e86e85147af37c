"""An inclusion proof as a picture: the path from one record to the signed head, and what hangs on each step of it.

The path runs from left (the record) to right (the head). At each step it is hashed together with one neighbour, drawn
as a triangle: above the path when its records were written later, below when they were written before. The triangles
grow with the number of records under them, so the drawing is the shape of this very proof (RFC 9162, section 2.1.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 178
AXIS: Final = 88
LEFT: Final = 34
HEAD_ROOM: Final = 168
"""Space right of the head for the words about its signature."""
REACH: Final = 44
"""How far a neighbour's centre stands off the path."""
SMALLEST: Final = 7.0
LARGEST: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One hash of the proof, and what it stands for."""

    hash: bytes
    records: int
    is_later: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Geometry of one step: the neighbour's triangle as SVG points, its centre, and where it joins the path."""

    neighbour: Neighbour
    at: float
    joins: float
    centre: float
    points: str

    @property
    def hash_hex(self) -> str:
        return self.neighbour.hash.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """All a template needs."""

    width: int
    height: int
    axis: int
    leaf_x: float
    head_x: float
    steps: tuple[Step, ...]
    before: int
    later: int


def neighbours(seq: int, size: int, path: Sequence[bytes]) -> tuple[Neighbour, ...]:
    """What each hash of an inclusion proof covers, from the leaf up. Raises ValueError when the proof has another
    length than a proof for leaf `seq` of a tree of `size` leaves has: such a proof must not be drawn as if it held."""
    spans = _siblings(seq, 0, size) if 0 <= seq < size else []
    if len(spans) != len(path) or not 0 <= seq < size:
        raise ValueError(f"proof has wrong size: expected {len(spans)}, got {len(path)}")
    return tuple(
        Neighbour(hash=digest, records=end - start, is_later=start > seq)
        for digest, (start, end) in zip(path, spans, strict=True)
    )


def draw(seq: int, size: int, path: Sequence[bytes]) -> Drawing:
    """The drawing of a proof. Raises ValueError as `neighbours` does."""
    found = neighbours(seq, size, path)
    head_x = float(WIDTH - HEAD_ROOM)
    gap = (head_x - LEFT) / max(1, len(found))
    biggest = max((n.records for n in found), default=1).bit_length()
    steps = []
    for index, neighbour in enumerate(found):
        x = LEFT + gap * (index + 0.38)
        y = AXIS - REACH if neighbour.is_later else AXIS + REACH
        half = min(SMALLEST + (LARGEST - SMALLEST) * neighbour.records.bit_length() / biggest, gap * 0.46)
        # The apex looks at the path: the triangle is the tree below that hash.
        apex, base = (y + half, y - half) if neighbour.is_later else (y - half, y + half)
        points = f"{x:.1f},{apex:.1f} {x - half:.1f},{base:.1f} {x + half:.1f},{base:.1f}"
        steps.append(Step(neighbour=neighbour, at=x, joins=LEFT + gap * (index + 1), centre=apex, points=points))
    return Drawing(
        width=WIDTH,
        height=HEIGHT,
        axis=AXIS,
        leaf_x=float(LEFT),
        head_x=head_x if found else float(LEFT) + 60,
        steps=tuple(steps),
        before=seq,
        later=size - seq - 1,
    )


def _siblings(seq: int, start: int, end: int) -> list[tuple[int, int]]:
    """The leaf ranges whose hashes prove leaf `seq` of [start, end), from the leaf up (RFC 6962, section 2.1.1)."""
    found: list[tuple[int, int]] = []
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if seq < split:
            found.append((split, end))
            end = split
        else:
            found.append((start, split))
            start = split
    return found[::-1]
