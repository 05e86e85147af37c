"""Faces: CenterFace says where one may be, MTCNN's last net whether it looks like a photographed one.

Both together: *realistic*. CenterFace alone: *doubtful*, which drawings, masks and statues are, and photographs of
faces from the side. Neither says whose face it is: nobody is recognised here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from gateway.screening.image.weights import Floats, Pixels, shipped

LARGEST: Final = 640
SMALLEST: Final = 256
MOST_ENLARGED: Final = 2.0
FACE_FROM: Final = 0.35
MOST_FACES: Final = 32
OVERLAP: Final = 0.3
CROP: Final = 48


@dataclass(frozen=True, slots=True)
class Faces:
    """The surest of either kind, 0 to 1; 0 = none."""

    realistic: float = 0.0
    doubtful: float = 0.0


def faces(pixels: Pixels) -> Faces:
    """The faces of a picture."""
    boxes = _find(pixels)
    if not len(boxes):
        return Faces()
    real = _real(pixels, boxes)
    sure = boxes[:, 4]
    is_real = real >= REAL_FROM
    return Faces(
        realistic=float(np.minimum(sure, real)[is_real].max(initial=0.0)),
        doubtful=float(sure[~is_real].max(initial=0.0)),
    )


REAL_FROM: Final = 0.7
"""MTCNN's own threshold of its last step."""


def _find(pixels: Pixels) -> Floats:
    """Boxes (left, top, right, bottom, score) in the picture's own pixels, the surest first."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    scale = min(LARGEST / longer, max(1.0, min(MOST_ENLARGED, SMALLEST / longer)))
    rows, columns = (max(32, -(-round(side * scale) // 32) * 32) for side in (height, width))
    small = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
    heat, sizes, offsets, _ = shipped("centerface.onnx").run(np.ascontiguousarray(small.transpose(2, 0, 1)[None]))
    y, x = np.nonzero(heat[0, 0] > FACE_FROM)
    if not len(y):
        return np.empty((0, 5), np.float32)
    tall, wide = (np.exp(sizes[0, i, y, x]) * 4 for i in (0, 1))
    middle_y, middle_x = ((at + offsets[0, i, y, x] + 0.5) * 4 for i, at in ((0, y), (1, x)))
    boxes = np.stack(
        [middle_x - wide / 2, middle_y - tall / 2, middle_x + wide / 2, middle_y + tall / 2, heat[0, 0, y, x]], axis=1
    )
    boxes[:, 0:4:2] *= width / columns
    boxes[:, 1:4:2] *= height / rows
    return _distinct(boxes[np.argsort(-boxes[:, 4])].astype(np.float32))


def _distinct(boxes: Floats) -> Floats:
    """Of boxes that overlap the surest."""
    kept: list[Floats] = []
    while len(boxes) and len(kept) < MOST_FACES:
        best, boxes = boxes[0], boxes[1:]
        kept.append(best)
        wide = np.minimum(best[2], boxes[:, 2]) - np.maximum(best[0], boxes[:, 0])
        tall = np.minimum(best[3], boxes[:, 3]) - np.maximum(best[1], boxes[:, 1])
        both = np.maximum(wide, 0) * np.maximum(tall, 0)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        boxes = boxes[both / ((best[2] - best[0]) * (best[3] - best[1]) + area - both) < OVERLAP]
    return np.stack(kept)


def _real(pixels: Pixels, boxes: Floats) -> Floats:
    """For each box how much its content looks like a photographed face: the surest of two cuts, as the second net was
    taught with squares that CenterFace's narrow boxes are not."""
    image = Image.fromarray(pixels)
    cuts: list[Floats] = []
    for left, top, right, bottom, _ in boxes:
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        for share in (1.0, 1.25):
            half = max(right - left, bottom - top) * share / 2
            square = (middle_x - half, middle_y - half, middle_x + half, middle_y + half)
            # `box` must lie within the picture for `resize`; `transform` fills what lies outside with black.
            cut = image.transform((CROP * 4, CROP * 4), Image.Transform.EXTENT, square, Image.Resampling.BILINEAR)
            cut = cut.resize((CROP, CROP), Image.Resampling.BOX)
            cuts.append(((np.asarray(cut, np.float32) - 127.5) / 128).astype(np.float32))
    blob = np.ascontiguousarray(np.stack(cuts).transpose(0, 3, 1, 2))
    (said,) = shipped("onet.onnx").run(blob)
    return np.asarray(said[:, 1].reshape(len(boxes), -1).max(axis=1), np.float32)
