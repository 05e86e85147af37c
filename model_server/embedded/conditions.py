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
_PLACE_VALUES = LAYOUT_PATCHES + 4
LAYOUT_VALUES = CELLS_PER_PATCH + _PLACE_VALUES
"""Values of a layout for one patch, beside its label's vector."""

_FILLS = 0.8
"""The share of the picture's side that a single thing in the middle takes: its ears lie there as the ears of a small
thing lie in its box."""
_OUTSIDE = 0.2
"""A patch that juts out of a region's box by up to this share of the box still has its place in it."""

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
    """The layout of a painted grid: for each of the 64 patches, (64, table_width + LAYOUT_VALUES).

    `cells` (32, 32) holds the number of the region painted there, or NOT_PAINTED. `vectors` (regions, table_width) has
    each region's label as the mean of its word vectors, zeros for a region without label. A patch gets the mean of
    its painted cells' vectors, then which of its 4 x 4 cells are painted, then its place in the region (`_places`).
    """
    by_patch = cells.reshape(_PATCH_SIDE, _CELLS, _PATCH_SIDE, _CELLS).swapaxes(1, 2).reshape(LAYOUT_PATCHES, -1)
    painted = (by_patch != NOT_PAINTED).astype(np.float32)
    counts = np.stack([(by_patch == region).sum(1) for region in range(len(vectors))], 1).astype(np.float32)
    mean = counts @ vectors / np.maximum(painted.sum(1, keepdims=True), 1)
    return np.concatenate([mean, painted, _places(cells, counts)], 1).astype(np.float32)


def _places(cells: Cells, counts: Floats) -> Floats:
    """Where each patch lies in the box around its region: as weights on an 8 x 8 grid, then the box's own four values.

    The grid is the picture's own 8 x 8 patches, as if the region were a thing that fills the picture: so a patch that
    holds the left ear of a small fox is told the place where the left ear of a large fox is. Zeros outside all boxes.
    """
    values = np.zeros((LAYOUT_PATCHES, _PLACE_VALUES), np.float32)
    centres = (np.arange(_PATCH_SIDE) + 0.5) / _PATCH_SIDE
    grid = np.arange(_PATCH_SIDE)
    for region in range(counts.shape[1]):
        rows, columns = (np.flatnonzero((cells == region).any(axis)) for axis in (1, 0))
        if not len(rows):
            continue
        top, bottom = rows[0] / LAYOUT_SIDE, (rows[-1] + 1) / LAYOUT_SIDE
        left, right = columns[0] / LAYOUT_SIDE, (columns[-1] + 1) / LAYOUT_SIDE
        down, across = (centres - top) / (bottom - top) - 0.5, (centres - left) / (right - left) - 0.5
        # Bilinear weights: a place between four patches of the large thing gets a share of each.
        weights_y, weights_x = (
            np.clip(1 - np.abs((0.5 + _FILLS * place)[:, None] * _PATCH_SIDE - 0.5 - grid), 0, 1)
            for place in (down, across)
        )
        near = (np.abs(down) < 0.5 + _OUTSIDE)[:, None] & (np.abs(across) < 0.5 + _OUTSIDE)
        belongs = near.ravel() & (counts.sum(1) == 0) | (counts.argmax(1) == region) & (counts[:, region] > 0)
        places = np.einsum("ay,bx->abyx", weights_y, weights_x).reshape(LAYOUT_PATCHES, LAYOUT_PATCHES)
        box = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
        values[belongs] = np.concatenate([places, np.broadcast_to(box, (LAYOUT_PATCHES, 4))], 1)[belongs]
    return values


def label_vector(table: Floats, ids: list[int]) -> Floats:
    """The mean word vector of a label's ids; zeros when it has none that are known (0 is padding)."""
    known = [token for token in ids if token]
    if not known:
        return np.zeros(table.shape[1], np.float32)
    mean: Floats = table[known].mean(0, dtype=np.float32)
    return mean


def sketch_prompt(prompt: str, labels: Sequence[str]) -> str:
    """The prompt with the labels that it does not name already said first: words and places help each other."""
    said = prompt.lower()
    missing = [label for label in dict.fromkeys(labels) if label and label.lower() not in said]
    return f"{' and '.join(missing)} {prompt}".strip()


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
