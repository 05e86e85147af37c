"""Faces: CenterFace says where one may be, MTCNN's last net whether it looks like a photographed one.

Both together: *realistic*. CenterFace alone: *doubtful*, which drawings, masks and statues are, and photographs of
faces from the side. Neither says whose face it is: nobody is recognised here. Of the largest realistic ones there are
prints (see `face_prints`), for the memorisation watch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from PIL import Image

from gateway.screening.image.face_boxes import SCORE, find
from gateway.screening.image.face_prints import face_prints
from gateway.screening.image.weights import Floats, Pixels, shipped

CROP: Final = 48


@dataclass(frozen=True, slots=True)
class Faces:
    """The surest of either kind, 0 to 1; 0 = none."""

    realistic: float = 0.0
    doubtful: float = 0.0
    prints: tuple[bytes, ...] = field(default=(), repr=False)
    """Of the largest realistic ones."""


def faces(pixels: Pixels) -> Faces:
    """The faces of a picture."""
    boxes = find(pixels)
    if not len(boxes):
        return Faces()
    real = _real(pixels, boxes)
    sure = boxes[:, SCORE]
    is_real = real >= REAL_FROM
    return Faces(
        realistic=float(np.minimum(sure, real)[is_real].max(initial=0.0)),
        doubtful=float(sure[~is_real].max(initial=0.0)),
        prints=face_prints(pixels, boxes[is_real]),
    )


REAL_FROM: Final = 0.7
"""MTCNN's own threshold of its last step."""


def _real(pixels: Pixels, boxes: Floats) -> Floats:
    """For each box how much its content looks like a photographed face: the surest of two cuts, as the second net was
    taught with squares that CenterFace's narrow boxes are not."""
    image = Image.fromarray(pixels)
    cuts: list[Floats] = []
    for left, top, right, bottom in boxes[:, :SCORE]:
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
