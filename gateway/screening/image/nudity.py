"""Nudity: open_nsfw's score of the whole picture, 0 to 1.

Taught on photographs. It misses drawings and small figures, and is sometimes sure of skin-coloured things that are
none (sand, dough, close portraits): policy should send a middling score to a person.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image

from gateway.screening.image.weights import Pixels, nudity_net

SIDE: Final = 256
CUT: Final = 224
_MEAN: Final = np.array([104, 117, 123], np.float32)
"""Blue, green, red, as the net was taught."""


def nudity(pixels: Pixels) -> float:
    """How sure the net is. Resized to a square and cut as Yahoo's own example does, its JPEG step included."""
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    kept = io.BytesIO()
    image.save(kept, "JPEG")
    edge = (SIDE - CUT) // 2
    square = np.asarray(Image.open(kept), np.float32)[edge : edge + CUT, edge : edge + CUT, ::-1] - _MEAN
    (said,) = nudity_net().run(np.ascontiguousarray(square[None]))
    return float(said[0, 1])
