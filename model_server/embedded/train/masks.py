"""The shapes that people mask in an edit, drawn at random: 1 where the model paints, 0 where pixels are known."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Mask = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first outside."""

_KINDS = ("half", "box", "box", "brush", "brush", "strokes", "object", "surroundings")
_STROKES, _BLOBS = (1, 5), (3, 9)


def everything(size: int) -> Mask:
    """The mask of no edit: the whole picture is painted."""
    return np.ones((size, size), np.float32)


def random_mask(rng: random.Random, size: int, coverage: Mask) -> Mask:
    """The mask of some edit. `coverage` (S, S) is the alpha of the scene's objects, for masks that follow them."""
    kind = rng.choice(_KINDS)
    if kind == "half":
        mask = np.zeros((size, size), np.float32)
        first = rng.randrange(2) * (size // 2)
        half = np.s_[first : first + size // 2]
        mask[(half, np.s_[:]) if rng.random() < 0.5 else (np.s_[:], half)] = 1
        return mask
    if kind == "box":
        height, width = rng.randint(size // 4, size), rng.randint(size // 4, size)
        x, y = rng.randint(0, size - width), rng.randint(0, size - height)
        return box_mask((x, y, x + width, y + height), size)
    if kind == "object":
        return box_mask(widened(box_of(coverage), rng, size), size)
    if kind == "surroundings":
        return 1 - grown(coverage > 0.05, rng.randint(0, size // 16))
    return _brush(rng, size) if kind == "brush" else _strokes(rng, size)


def box_mask(box: Box, size: int) -> Mask:
    """1 inside the box."""
    mask = np.zeros((size, size), np.float32)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = 1
    return mask


def box_of(coverage: npt.NDArray[np.float32]) -> Box:
    """The smallest box around what is covered; the whole picture when nothing is."""
    rows, columns = (np.flatnonzero((coverage > 0.05).any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, coverage.shape[1], coverage.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def widened(box: Box, rng: random.Random, size: int) -> Box:
    """The box as a person would draw it: somewhat larger, not quite centred, inside the picture."""
    left, top, right, bottom = (
        edge + sign * rng.randint(0, size // 12) for edge, sign in zip(box, (-1, -1, 1, 1), strict=True)
    )
    return max(0, left), max(0, top), min(size, right), min(size, bottom)


def grown(covered: npt.NDArray[np.bool_], by: int) -> Mask:
    """The area and what lies within `by` pixels of it, along rows and columns."""
    if by <= 0:
        return covered.astype(np.float32)
    for axis in (0, 1):
        padded = np.pad(covered, [(by, by) if a == axis else (0, 0) for a in (0, 1)])
        sums = np.cumsum(padded, axis=axis, dtype=np.int32)
        sums = np.insert(sums, 0, 0, axis=axis)
        span = 2 * by + 1
        length = covered.shape[axis]
        later, earlier = (np.take(sums, range(at, at + length), axis=axis) for at in (span, 0))
        covered = later > earlier
    return covered.astype(np.float32)


def _brush(rng: random.Random, size: int) -> Mask:
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    y, x = rng.randrange(size), rng.randrange(size)
    for _ in range(rng.randint(*_BLOBS)):
        radius = rng.randint(size // 12, size // 5)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        y = min(size - 1, max(0, y + rng.randint(-radius, radius)))
        x = min(size - 1, max(0, x + rng.randint(-radius, radius)))
    return np.asarray(canvas, dtype=np.float32)


def _strokes(rng: random.Random, size: int) -> Mask:
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.randint(*_STROKES)):
        points = [(rng.randrange(size), rng.randrange(size)) for _ in range(rng.randint(2, 4))]
        draw.line(points, fill=1, width=rng.randint(size // 32, size // 12), joint="curve")
    return np.asarray(canvas, dtype=np.float32)
