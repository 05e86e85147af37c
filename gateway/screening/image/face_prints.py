"""Prints of faces: whether two pictures show the same face as it was once photographed, whatever is around it.

This is not face recognition, and can't do it: another photograph of the same person has another print. What it tells
is that a face came out nearly the same to the pixel, as a model gives it back that has remembered a picture.

A face is laid down so that its eyes, nose and mouth lie where those of all others do: first by where CenterFace finds
them in the picture, then by where it finds them in the face thus laid down, upright and mirrored, as that doesn't
depend on what is around. Of the innermost part (brows to lips; no hair, no ground) the print is taken, as of the
windows of a listed picture (`gateway.prints.windows`), and with it those of windows a little beside, for what is left
of chance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.prints.windows import around
from gateway.screening.image.face_boxes import POINTS, SCORE, find
from gateway.screening.image.weights import Floats, Pixels

MOST: Final = 3
"""Faces of one picture, the largest."""
SMALLEST: Final = 32
"""Pixels of the longer side of a face: smaller ones have too little in them to be told apart."""
_SIDE: Final = 192
_LOOKS: Final = 2
"""How often a face is looked for in itself, laid down better each time. `bench.pictures` says what that is worth."""
_EYES: Final = 0.28
"""Of the side: from one eye to the other."""
_FACE: Final = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.05], [-0.42, 0.55], [0.42, 0.55]])
"""Where the points of a face lie, in distances of its eyes."""
_OTHER_SIDE: Final = [1, 0, 2, 4, 3]
Points = NDArray[np.float64]
Grid = tuple[float, float, float, float, float, float]
"""x = a u + b v + c and y = d u + e v + f, as Pillow wants it."""


def face_prints(pixels: Pixels, boxes: Floats) -> tuple[bytes, ...]:
    """Of the largest faces in `boxes` (see `find`): NEARBY prints of each, its own first. A face in which nothing is
    found any more when it is laid down, or too little, has none."""
    sizes = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    chosen = [place for place in np.argsort(-sizes, kind="stable")[:MOST] if sizes[place] >= SMALLEST]
    image = Image.fromarray(pixels)
    found = (_print(image, boxes[place, SCORE + 1 :].reshape(POINTS, 2).astype(np.float64)) for place in chosen)
    return tuple(one for one in found if one)


def _print(image: Image.Image, points: Points) -> bytes:
    for _ in range(_LOOKS):
        grid = _laid(points)
        again = _found_again(np.asarray(_shown(image, grid)))
        if again is None:
            return b""
        a, b, c, d, e, f = grid
        x, y = again.T
        points = np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)
    return around(np.asarray(_shown(image, _laid(points)))).tobytes()


def _laid(points: Points) -> Grid:
    """The turn, size and place that bring _FACE nearest to `points` (least squares, as complex numbers)."""
    middle, middle_of_face = points.mean(0), _FACE.mean(0)
    own, theirs = (centred @ np.array([1, 1j]) for centred in (_FACE - middle_of_face, points - middle))
    turn = complex((own.conj() * theirs).sum() / (np.abs(own) ** 2).sum())

    def at(u: float, v: float) -> complex:
        face = complex(u / _SIDE - 0.5, v / _SIDE - 0.5) / _EYES - complex(*middle_of_face)
        return turn * face + complex(*middle)

    origin = at(0, 0)
    across, down = at(1, 0) - origin, at(0, 1) - origin
    return across.real, down.real, origin.real, across.imag, down.imag, origin.imag


def _shown(image: Image.Image, grid: Grid) -> Image.Image:
    return image.transform((_SIDE, _SIDE), Image.Transform.AFFINE, grid, Image.Resampling.BILINEAR)


def _found_again(face: Pixels) -> Points | None:
    """The points of the face in the middle, from it and its mirror image."""
    upright, mirrored = _middle_one(face), _middle_one(np.ascontiguousarray(face[:, ::-1]))
    if upright is None or mirrored is None:
        return upright
    mirrored[:, 0] = _SIDE - mirrored[:, 0]
    return (upright + mirrored[_OTHER_SIDE]) / 2


def _middle_one(face: Pixels) -> Points | None:
    boxes = find(face)
    if not len(boxes):
        return None
    middles = (boxes[:, 0:2] + boxes[:, 2:4]) / 2
    nearest = int(np.abs(middles - _SIDE / 2).sum(1).argmin())
    return boxes[nearest, SCORE + 1 :].reshape(POINTS, 2).astype(np.float64)
