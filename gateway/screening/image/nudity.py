"""Nudity: open_nsfw's score of the whole picture, 0 to 1; with NudeNet beside it where the operator installed that.

open_nsfw was taught on photographs. It misses drawings and small figures, and is sometimes sure of skin-coloured things
that are none (sand, dough, close portraits): policy should send a middling score to a person. NudeNet looks for bare
parts of bodies, small ones too, and errs in other ways. Where both look, one alone is a reason to ask a person, and
only both together are a reason to refuse.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image

from gateway.screening.image.weights import Net, Pixels, body_parts_net, nudity_net

SIDE: Final = 256
CUT: Final = 224
_MEAN: Final = np.array([104, 117, 123], np.float32)
"""Blue, green, red, as the net was taught."""


BODY_SIDE: Final = 320
BARE: Final = (2, 3, 4, 6, 14)
"""NudeNet's classes of what is not covered: buttocks, female breast, female genitalia, anus, male genitalia."""
ALONE_AT_MOST: Final = 0.8
"""Of a score that only one of two nets gives. Below what policy denies as shipped (0.85), above what it reviews."""


def nudity(pixels: Pixels) -> float:
    """How sure the nets are that there is: the one, or both together."""
    whole, second = of_the_whole(pixels), body_parts_net()
    return whole if second is None else together(whole, of_parts(second, pixels))


def together(one: float, other: float) -> float:
    """What two nets come to."""
    return max(min(one, other), min(max(one, other), ALONE_AT_MOST))


def of_parts(net: Net, pixels: Pixels) -> float:
    """The surest bare part that NudeNet sees. The picture lies at the top left of a black square, as its package does
    it; boxes are of no interest here, so overlapping ones need not be told apart."""
    image = Image.fromarray(pixels)
    scale = BODY_SIDE / max(image.size)
    small = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    square = Image.new("RGB", (BODY_SIDE, BODY_SIDE))
    square.paste(small)
    values = np.asarray(square, np.float32).transpose(2, 0, 1) / 255
    (said,) = net.run(np.ascontiguousarray(values[None], np.float32))
    boxes = said[0, 4:]  # classes, boxes
    return float(np.clip(boxes[list(BARE)].max(initial=0.0), 0, 1))


def of_the_whole(pixels: Pixels) -> float:
    """How sure open_nsfw is. Resized to a square and cut as Yahoo's own example does, its JPEG step included."""
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    kept = io.BytesIO()
    image.save(kept, "JPEG")
    edge = (SIDE - CUT) // 2
    square = np.asarray(Image.open(kept), np.float32)[edge : edge + CUT, edge : edge + CUT, ::-1] - _MEAN
    (said,) = nudity_net().run(np.ascontiguousarray(square[None]))
    return float(said[0, 1])
