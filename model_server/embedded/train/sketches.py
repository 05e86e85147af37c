"""How a person paints the place of a thing: a box, its rough shape, an oval or a few strokes, never quite exact."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from model_server.embedded.conditions import LAYOUT_SIDE
from model_server.embedded.train.masks import Box, box_of, grown

_COVERED = 0.3
_BOX, _SHAPE, _OVAL = 0.4, 0.75, 0.85
_SLIP = 0.08
"""A painted box is off by up to this share of the thing's size at each edge."""

Painted = npt.NDArray[np.bool_]


def paint(alpha: npt.NDArray[np.float32], rng: random.Random) -> Painted:
    """The cells (32, 32) that somebody paints for a thing whose alpha (S, S) lies where it will be drawn."""
    small = Image.fromarray(alpha).resize((LAYOUT_SIDE, LAYOUT_SIDE), Image.Resampling.BOX)
    cells = np.asarray(small) > _COVERED
    kind = rng.random()
    if kind < _BOX:
        return _drawn(_slipped(box_of(cells.astype(np.float32)), rng), oval=False)
    if kind < _SHAPE:
        shape = grown(cells, rng.randint(0, 1)) > 0
        return np.roll(shape, (rng.randint(-1, 1), rng.randint(-1, 1)), (0, 1))
    if kind < _OVAL:
        return _drawn(_slipped(box_of(cells.astype(np.float32)), rng), oval=True)
    return _scribble(cells, rng)


def _slipped(box: Box, rng: random.Random) -> Box:
    left, top, right, bottom = box
    slips = [round(rng.uniform(-_SLIP, _SLIP) * side) for side in (right - left, bottom - top) * 2]
    return left + slips[0], top + slips[1], right + slips[2], bottom + slips[3]


def _drawn(box: Box, *, oval: bool) -> Painted:
    canvas = Image.new("L", (LAYOUT_SIDE, LAYOUT_SIDE))
    draw = ImageDraw.Draw(canvas)
    left, top, right, bottom = box
    corners = (left, top, max(left, right - 1), max(top, bottom - 1))
    (draw.ellipse if oval else draw.rectangle)(corners, fill=1)
    return np.asarray(canvas) > 0


def _scribble(cells: Painted, rng: random.Random) -> Painted:
    places = np.argwhere(cells)
    if len(places) < 2:
        return cells
    points = [tuple(map(int, places[rng.randrange(len(places))][::-1])) for _ in range(rng.randint(4, 9))]
    canvas = Image.new("L", (LAYOUT_SIDE, LAYOUT_SIDE))
    ImageDraw.Draw(canvas).line(points, fill=1, width=rng.randint(1, 3))
    return np.asarray(canvas) > 0
