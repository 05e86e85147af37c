"""Text in a picture: where it stands (PP-OCRv4's detector), and what it says (its reader).

Lines may be turned, and may be light on dark. Handwriting, letters taller than the picture is wide, and script that
the reader has not learnt (it knows Latin letters, digits and Chinese) are missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.screening.image.weights import Floats, Pixels, shipped

LARGEST: Final = 960
"""Pixels of the longer side that the detector is shown; finer print is lost."""
SMALLEST: Final = 320
"""A small picture is made larger, at most three times: letters of eight pixels are found then."""
MOST_ENLARGED: Final = 3.0
TEXT_FROM: Final = 0.3
LINE_FROM: Final = 0.5
"""Thresholds of the detector's own configuration: of a pixel, and of a line's mean."""
GROWN: Final = 1.6
"""The detector marks the core of a line; so much it grows (the same)."""
MOST_LINES: Final = 200
READ_FROM: Final = 0.5
"""A line that is read with less confidence is noise (the same)."""
LINE_HEIGHT: Final = 48
WIDEST: Final = 2_400
MOST_CHARS: Final = 8_000
_ANGLES: Final = np.deg2rad(np.arange(-45.0, 45.0, 3.0))


@dataclass(frozen=True, slots=True)
class _Line:
    centre: tuple[float, float]
    size: tuple[float, float]
    """Along the text, and across."""
    angle: float
    """Radians, of the text's direction."""


def read(pixels: Pixels) -> str:
    """What is written in the picture, a line each, from top to bottom."""
    lines = _find(pixels)
    said = [text for line in lines if (text := _read_line(_cut(pixels, line)))]
    return "\n".join(said)[:MOST_CHARS]


def _find(pixels: Pixels) -> list[_Line]:
    height, width = pixels.shape[:2]
    longer = max(height, width)
    scale = min(LARGEST / longer, max(1.0, min(MOST_ENLARGED, SMALLEST / longer)))
    rows, columns = (max(32, round(side * scale / 32) * 32) for side in (height, width))
    small = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR))
    (found,) = shipped("text-find.onnx").run(_blob(small))
    marks = found[0, 0]
    lines: list[_Line] = []
    for ys, xs in _blobs(marks > TEXT_FROM):
        if len(ys) < 6 or float(marks[ys, xs].mean()) < LINE_FROM:
            continue
        lines.append(_around(xs * (width / columns), ys * (height / rows), width / columns))
        if len(lines) == MOST_LINES:
            break
    return sorted(lines, key=lambda line: (round(line.centre[1] / max(8.0, line.size[1])), line.centre[0]))


def _blob(pixels: Pixels) -> Floats:
    """As the nets of PaddleOCR were taught: blue first, from -1 to 1."""
    values = pixels[:, :, ::-1].astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def _blobs(mask: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The pixels of each connected spot: runs of each row, joined with those of the row above that they touch."""
    rows = mask.shape[0]
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    run_rows, begins = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(begins)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    first = np.searchsorted(run_rows, np.arange(rows + 1))
    for row in range(1, rows):
        above, here = int(first[row - 1]), int(first[row])
        while above < first[row] and here < first[row + 1]:
            if begins[above] <= ends[here] and begins[here] <= ends[above]:
                parent[root(here)] = root(above)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1
    spots: dict[int, list[int]] = {}
    for run in range(len(begins)):
        spots.setdefault(root(run), []).append(run)
    return [
        (
            np.concatenate([np.full(ends[run] - begins[run], run_rows[run]) for run in runs]),
            np.concatenate([np.arange(begins[run], ends[run]) for run in runs]),
        )
        for runs in spots.values()
    ]


def _around(xs: NDArray[np.float64], ys: NDArray[np.float64], pixel: float) -> _Line:
    """The smallest of the rectangles that hold the spot, at steps of three degrees; grown to the letters' edges."""
    xs, ys = xs + pixel / 2, ys + pixel / 2
    along = np.outer(np.cos(_ANGLES), xs) + np.outer(np.sin(_ANGLES), ys)
    across = np.outer(-np.sin(_ANGLES), xs) + np.outer(np.cos(_ANGLES), ys)
    length, depth = np.ptp(along, axis=1) + pixel, np.ptp(across, axis=1) + pixel
    # Level lines win ties: a long spot has the same area at several small angles.
    best = int((length * depth * (1 + 0.02 * np.abs(_ANGLES))).argmin())
    angle = float(_ANGLES[best])
    a = float(along[best].min() + along[best].max()) / 2
    b = float(across[best].min() + across[best].max()) / 2
    centre = (a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle))
    wide, tall = float(length[best]), float(depth[best])
    grow = 2 * GROWN * wide * tall / (2 * (wide + tall))
    wide, tall = wide + grow, tall + grow
    if tall > 1.5 * wide:  # it runs down or up the page
        return _Line(centre, (tall, wide), angle + math.pi / 2)
    return _Line(centre, (wide, tall), angle)


def _cut(pixels: Pixels, line: _Line) -> Pixels:
    """The line laid level, at the height that the reader knows."""
    wide, tall = line.size
    columns = int(min(WIDEST, max(LINE_HEIGHT, round(LINE_HEIGHT * wide / tall))))
    step_x, step_y = wide / columns, tall / LINE_HEIGHT
    cos, sin = math.cos(line.angle), math.sin(line.angle)
    left = line.centre[0] - cos * wide / 2 + sin * tall / 2
    top = line.centre[1] - sin * wide / 2 - cos * tall / 2
    coefficients = (cos * step_x, -sin * step_y, left, sin * step_x, cos * step_y, top)
    image = Image.fromarray(pixels)
    shrink = max(1.0, min(step_x, step_y))
    if shrink >= 2:  # a transform takes single pixels: of a large line only every nth would be seen
        image = image.reduce(int(shrink))
        a, b, c, d, e, f = (value / int(shrink) for value in coefficients)
        coefficients = (a, b, c, d, e, f)
    cut = image.transform(
        (columns, LINE_HEIGHT), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=None
    )
    return np.asarray(cut)


def _read_line(cut: Pixels) -> str:
    text, sure = _decode(cut)
    if sure < 0.8 and cut.shape[1] > LINE_HEIGHT:  # upside down, perhaps
        turned, turned_sure = _decode(np.ascontiguousarray(cut[::-1, ::-1]))
        if turned_sure > sure:
            text, sure = turned, turned_sure
    return text if sure >= READ_FROM else ""


def _decode(cut: Pixels) -> tuple[str, float]:
    """Of each column the likeliest letter; repeated ones and the blank (the first) fall out (CTC)."""
    net = shipped("text-read.onnx")
    letters = ["", *net.characters.splitlines(), " "]
    (steps,) = net.run(_blob(cut))
    best = steps[0].argmax(axis=1)
    kept = (best != 0) & (np.diff(best, prepend=-1) != 0)
    if not kept.any():
        return "", 0.0
    chosen = best[kept]
    return "".join(letters[i] for i in chosen if i < len(letters)), float(steps[0].max(axis=1)[kept].mean())
