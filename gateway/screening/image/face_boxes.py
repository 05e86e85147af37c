"""Where faces may be, and where in them the eyes, the nose and the corners of the mouth: CenterFace."""

from __future__ import annotations

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
SCORE: Final = 4
POINTS: Final = 5


def find(pixels: Pixels) -> Floats:
    """Boxes (left, top, right, bottom, score, then x and y of POINTS points: the eye on the left, that on the right,
    the tip of the nose, the corners of the mouth) in the picture's own pixels, the surest first."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    scale = min(LARGEST / longer, max(1.0, min(MOST_ENLARGED, SMALLEST / longer)))
    rows, columns = (max(32, -(-round(side * scale) // 32) * 32) for side in (height, width))
    small = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
    heat, sizes, offsets, points = shipped("centerface.onnx").run(np.ascontiguousarray(small.transpose(2, 0, 1)[None]))
    y, x = np.nonzero(heat[0, 0] > FACE_FROM)
    if not len(y):
        return np.empty((0, SCORE + 1 + 2 * POINTS), np.float32)
    tall, wide = (np.exp(sizes[0, i, y, x]) * 4 for i in (0, 1))
    middle_y, middle_x = ((at + offsets[0, i, y, x] + 0.5) * 4 for i, at in ((0, y), (1, x)))
    left, top = middle_x - wide / 2, middle_y - tall / 2
    boxes = np.stack([left, top, left + wide, top + tall, heat[0, 0, y, x]], axis=1)
    # The net tells points as down, across, from the box's upper left corner and in its sizes.
    told = points[0][:, y, x].T.reshape(-1, POINTS, 2)
    across, down = (told[..., 1] * wide[:, None] + left[:, None], told[..., 0] * tall[:, None] + top[:, None])
    boxes = np.concatenate([boxes, np.stack([across, down], 2).reshape(-1, 2 * POINTS)], axis=1)
    boxes[:, [0, 2, *range(SCORE + 1, boxes.shape[1], 2)]] *= width / columns
    boxes[:, [1, 3, *range(SCORE + 2, boxes.shape[1], 2)]] *= height / rows
    return _distinct(boxes[np.argsort(-boxes[:, SCORE])].astype(np.float32))


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
