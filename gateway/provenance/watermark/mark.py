"""Marking: waves are added until the picture itself says the handle, within a budget of change.

The picture's own detail is noise to the reader, and the marker knows it: a wave that the picture already has with the
right phase gets nothing, one that it has with the wrong phase gets more (Malvar and Florencio, *Improved Spread
Spectrum*, 2003). Where the picture is quiet the waves are weak, where it is lively they are stronger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.provenance.watermark.canvas import (
    LARGE,
    SMALL,
    SMALL_BELOW,
    Canvas,
    Floats,
    Lattice,
    Waves,
    canvas_of,
    even,
)
from gateway.provenance.watermark.carriers import FASTEST, Carriers, plan
from gateway.provenance.watermark.coding import encode

PSNR_DECIBEL: Final = 40.5
"""How near the marked picture is to the other, at least (peak signal to noise ratio; 40 is our promise)."""
SMALL_PSNR_DECIBEL: Final = 40.2
"""The same of a small picture, which has fewer pixels to share the work."""
_ROUNDS: Final = 5
_LARGEST_PUSH: Final = 2.5
"""In margins. A wave that would need more is given up: the code repairs it."""
_STRONGEST: Final = 12.0
_GAIN: Final = 0.8
_MOST_STRONGER: Final = 2.0
MIN_SIDE: Final = 64


class Watermark:
    """Marks pictures with one secret. Holds no state besides; may be used by many threads."""

    def __init__(self, secret: bytes) -> None:
        self.carriers = plan(secret)

    def __repr__(self) -> str:
        return "Watermark()"

    def mark(self, pixels: NDArray[np.uint8], handle: int) -> NDArray[np.uint8]:
        """`pixels` (height, width, 3; RGB) with the handle in them; the argument stays as it is.

        Raises ValueError for another shape, a picture below 64 pixels a side, or a handle of more than 48 bits.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"expected RGB pixels (height, width, 3) of 8 bits, got {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"picture is too small to mark: expected {MIN_SIDE} pixels a side, got {width}x{height}")
        wanted = self.carriers.signal(encode(self.carriers.secret, handle))
        small = (width * height) ** 0.5 < SMALL_BELOW
        budget = 255.0**2 / 10 ** ((SMALL_PSNR_DECIBEL if small else PSNR_DECIBEL) / 10)
        change = _change(self.carriers, canvas_of(pixels, SMALL if small else LARGE), wanted, budget)
        if change.shape != (height, width):
            change = np.asarray(Image.fromarray(change).resize((width, height), Image.Resampling.LANCZOS))
        for _ in range(2):  # resizing took or gave a little, and so did white and black, which have no room
            change = change * _scale(budget, _room(np.asarray(pixels, np.float32), change[..., None]))
        marked: NDArray[np.uint8] = np.clip(np.rint(pixels + change[..., None]), 0, 255).astype(np.uint8)
        return marked


def _room(values: Floats, change: Floats) -> Floats:
    """What is left of a change where values end at 0 and 255."""
    left: Floats = np.clip(values + change, 0, 255) - values
    return left


def _scale(budget: float, change: Floats) -> np.float32:
    """How much stronger a change may become, or must be weaker, for its mean square to be the budget."""
    return np.float32(min(_MOST_STRONGER, (budget / max(1e-9, float(np.square(change).mean()))) ** 0.5))


def _change(carriers: Carriers, canvas: Canvas, wanted: Waves, budget: float) -> Floats:
    """What to add to the canvas, at a mean square of `budget`."""
    lattice = Lattice(canvas)
    evened, loudness = even(canvas.light)
    strength = np.minimum(loudness, _STRONGEST)
    share = float((strength / loudness).mean())  # of an added wave that is left after evening out
    power = float(np.square(strength).mean()) / 2

    def measured(values: Floats) -> Waves:
        return lattice.measure(values)[carriers.down + FASTEST, carriers.across]

    def cost(amplitudes: Waves) -> float:
        return power * float(np.square(np.abs(amplitudes)).sum())

    own = measured(evened)
    margin = _largest_margin(lambda tried: cost(_push(tried, own, wanted, share)), budget)
    amplitudes = _push(margin, own, wanted, share)
    change = strength * lattice.lay(carriers, amplitudes)
    for _ in range(_ROUNDS):
        now = measured(even(np.clip(canvas.light + change, 0, 255))[0])
        amplitudes = _clipped(amplitudes + _GAIN * _push(margin, now, wanted, share), _LARGEST_PUSH * margin / share)
        change = strength * lattice.lay(carriers, amplitudes)
        scale = _scale(budget, _room(canvas.light, change))
        amplitudes, change = amplitudes * scale, change * scale
    return change.astype(np.float32)


def _push(margin: float, measured: Waves, wanted: Waves, share: float) -> Waves:
    """What to add so that each sign stands out by `margin`, as far as that is worth it."""
    down, across = np.sign(wanted.real), np.sign(wanted.imag)
    most = _LARGEST_PUSH * margin
    real = np.clip(margin - measured.real * down, 0, most) * down
    imaginary = np.clip(margin - measured.imag * across, 0, most) * across
    pushed: Waves = ((real + 1j * imaginary) / share).astype(np.complex64)
    return pushed


def _clipped(amplitudes: Waves, most: float) -> Waves:
    real, imaginary = np.clip(amplitudes.real, -most, most), np.clip(amplitudes.imag, -most, most)
    clipped: Waves = (real + 1j * imaginary).astype(np.complex64)
    return clipped


def _largest_margin(cost: Callable[[float], float], budget: float) -> float:
    """By bisection: the largest margin that the budget pays for."""
    low, high = 0.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) > budget else (middle, high)
    return low
