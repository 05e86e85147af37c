"""What a picture may be conditioned on besides words: another picture, and a painted layout of labelled regions.

Both are small arrays with a fixed meaning, the same in training and in service. All zeros means that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SOURCE_SIDE = 8
SOURCE_VALUES = SOURCE_SIDE * SOURCE_SIDE * 3 + 1
"""A source picture: its colours averaged to 8 x 8, -1..1, and a 1 that says that it is there."""

LAYOUT_SIDE = 32
"""Sketches are painted on a grid of 32 x 32 cells, whatever the picture's size."""
LAYOUT_PATCHES = 64
_PATCH_SIDE = 8
_CELLS = LAYOUT_SIDE // _PATCH_SIDE
CELLS_PER_PATCH = _CELLS * _CELLS

NOT_PAINTED = -1

_FINER = 4
"""A stroke is drawn so many times finer than the grid, and a cell counts as painted where enough of it is."""
_COVERED = 80

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.int8]


def source_values(pixels: Floats) -> Floats:
    """The SOURCE_VALUES of a picture (S, S, 3) in -1..1, S a multiple of 8: its colours without its detail."""
    step = pixels.shape[0] // SOURCE_SIDE
    small = pixels.reshape(SOURCE_SIDE, step, SOURCE_SIDE, step, 3).mean((1, 3), dtype=np.float32)
    return np.append(small.ravel(), np.float32(1))


def layout_values(cells: Cells, vectors: Floats) -> Floats:
    """The layout of a painted grid: for each of the 64 patches, (64, table_width + 16).

    `cells` (32, 32) holds the number of the region painted there, or NOT_PAINTED. `vectors` (regions, table_width) has
    each region's label as the mean of its word vectors, zeros for a region without label. A patch gets the mean of
    its painted cells' vectors, then which of its 4 x 4 cells are painted.
    """
    by_patch = cells.reshape(_PATCH_SIDE, _CELLS, _PATCH_SIDE, _CELLS).swapaxes(1, 2).reshape(LAYOUT_PATCHES, -1)
    painted = (by_patch != NOT_PAINTED).astype(np.float32)
    counts = np.stack([(by_patch == region).sum(1) for region in range(len(vectors))], 1).astype(np.float32)
    mean = counts @ vectors / np.maximum(painted.sum(1, keepdims=True), 1)
    return np.concatenate([mean, painted], 1).astype(np.float32)


def label_vector(table: Floats, ids: list[int]) -> Floats:
    """The mean word vector of a label's ids; zeros when it has none that are known (0 is padding)."""
    known = [token for token in ids if token]
    if not known:
        return np.zeros(table.shape[1], np.float32)
    mean: Floats = table[known].mean(0, dtype=np.float32)
    return mean


def blank_cells() -> Cells:
    """A layout with nothing painted."""
    return np.full((LAYOUT_SIDE, LAYOUT_SIDE), NOT_PAINTED, np.int8)


def paint_box(cells: Cells, number: int, box: tuple[float, float, float, float]) -> None:
    """Paint the cells under a box (left, top, right, bottom, in shares of the side); one cell at least."""
    left, top = (min(LAYOUT_SIDE - 1, round(edge * LAYOUT_SIDE)) for edge in box[:2])
    right, bottom = (round(edge * LAYOUT_SIDE) for edge in box[2:])
    cells[top : max(bottom, top + 1), left : max(right, left + 1)] = number


def paint_stroke(cells: Cells, number: int, points: Sequence[tuple[float, float]], width: float) -> None:
    """Paint the cells under a brush of that width (in shares of the side) that went through the points."""
    large = LAYOUT_SIDE * _FINER
    canvas = Image.new("L", (large, large))
    draw = ImageDraw.Draw(canvas)
    places = [(x * large, y * large) for x, y in points]
    radius = max(width * large, _FINER) / 2
    for x, y in places:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    if len(places) > 1:
        draw.line(places, fill=255, width=round(2 * radius))
    small = np.asarray(canvas.resize((LAYOUT_SIDE, LAYOUT_SIDE), Image.Resampling.BOX))
    cells[small > _COVERED] = number
