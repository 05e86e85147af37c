"""The same thing in another colour, so that "a blue car" can be learnt apart from "a car on blue"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = {"red": 0, "orange": 28, "yellow": 50, "green": 125, "blue": 212, "purple": 275, "pink": 330}
"""Colour word -> hue in degrees."""

_BINS, _VIVID, _SOLID = 32, 60, 127
_LEAST_SHARE = 0.35
"""A thing with less of its area in one vivid colour has no colour of its own to change."""
_NEAR = 34
"""Hues (of 256) this close to the main one change with it; eyes, wheels and leaves stay as they are."""
_LIGHT = ("yellow", "orange", "pink")


def recoloured(pixels: npt.NDArray[np.uint8], colour: str) -> npt.NDArray[np.uint8] | None:
    """RGBA with the main colour's hue moved to the one named; None when there is no main colour."""
    hsv = np.asarray(Image.fromarray(pixels[..., :3]).convert("HSV")).astype(np.int16)
    hue, saturation, value = np.moveaxis(hsv, -1, 0)
    solid = pixels[..., 3] > _SOLID
    vivid = solid & (saturation > _VIVID) & (value > _VIVID)
    bins = np.bincount(hue[vivid] * _BINS // 256, minlength=_BINS)
    spread = bins + np.roll(bins, 1) + np.roll(bins, -1)
    main = int(spread.argmax())
    if spread[main] < _LEAST_SHARE * solid.sum():
        return None
    off = (hue - (main * 256 + 128) // _BINS + 128) % 256 - 128
    near = (np.abs(off) < _NEAR) & (saturation > _VIVID // 3)
    hue[near] = (COLOURS[colour] * 256 // 360 + off[near] // 2) % 256
    if colour in _LIGHT:  # a dark yellow is called brown
        value[near] = 255 - (255 - value[near]) // 2
    if colour == "pink":
        saturation[near] = saturation[near] * 3 // 5
    changed = Image.fromarray(np.stack([hue, saturation, value], -1).astype(np.uint8), "HSV").convert("RGB")
    return np.concatenate([np.asarray(changed), pixels[..., 3:]], -1)
