"""The common ground of marking and reading: a picture's brightness at one fixed number of pixels, evened out.

Whatever size a picture has, its waves are laid and measured on a canvas of 256 x 256 pixels (as many, in its own
shape), so a resized copy shows the same waves at the same place. Small pictures have a canvas of 128 x 128: on the
large one the fast waves would be finer than their own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.provenance.watermark.carriers import FASTEST, Carriers

TILE: Final = 32
"""Pixels of the canvas; every wave has a whole number of periods in it."""
LARGE: Final = 256
SMALL: Final = 128
SMALL_BELOW: Final = 192
"""Pixels of a picture (square root of width times height) below which the small canvas is used."""
_REACH: Final = 5
"""The evening out looks so many pixels to each side."""
_QUIETEST: Final = 4.0
_LOUDEST: Final = 60.0
_PEAK: Final = 2.5
_LEAST_SIDE: Final = 16
_DOWN: Final = np.arange(-FASTEST, FASTEST + 1)
_ACROSS: Final = np.arange(FASTEST + 1)

Floats = NDArray[np.float32]
Waves = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Brightness (0..255), and how far apart its pixels are in canvas units: 1 but for rounding."""

    light: Floats
    step_down: float
    step_across: float


def canvas_of(pixels: NDArray[np.uint8], size: int) -> Canvas:
    """The canvas of an RGB picture (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = size / (width * height) ** 0.5
    shape = (max(_LEAST_SIDE, round(width * scale)), max(_LEAST_SIDE, round(height * scale)))
    light = Image.fromarray(pixels).convert("L").convert("F")
    if light.size != shape:
        light = light.resize(shape, Image.Resampling.LANCZOS)
    return Canvas(np.asarray(light, np.float32), height * scale / shape[1], width * scale / shape[0])


def even(light: Floats) -> tuple[Floats, Floats]:
    """The brightness without its slow part, everywhere about equally loud and without peaks; and the loudness."""
    detail = light - _mean_around(light)
    loudness = np.sqrt(np.maximum(_mean_around(detail * detail), 0))
    loudness = np.clip(loudness, _QUIETEST, _LOUDEST)
    return np.clip(detail / loudness, -_PEAK, _PEAK), loudness


def _mean_around(values: Floats) -> Floats:
    side = 2 * _REACH + 1
    padded = np.pad(values, ((_REACH + 1, _REACH), (_REACH + 1, _REACH)), mode="reflect").astype(np.float64)
    padded[0], padded[:, 0] = 0, 0
    sums = padded.cumsum(0).cumsum(1)
    around = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    mean: Floats = (around / side**2).astype(np.float32)
    return mean


class Lattice:
    """All waves with a whole number of periods in a tile, on one canvas; `zoom` is how much smaller the canvas shows
    the marked picture than it was (a part cut out fills the whole canvas: then it is below 1)."""

    def __init__(self, canvas: Canvas, zoom_down: float = 1.0, zoom_across: float = 1.0) -> None:
        height, width = canvas.light.shape
        self._down = _waves(_DOWN, height, canvas.step_down * zoom_down)
        self._across = _waves(_ACROSS, width, canvas.step_across * zoom_across)

    def measure(self, evened: Floats) -> Waves:
        """Amplitudes, by `[down + FASTEST, across]`."""
        lines = np.empty((len(evened), len(_ACROSS)), np.complex64)
        lines.real, lines.imag = evened @ self._across.real.T, evened @ self._across.imag.T
        amplitudes: Waves = (self._down @ lines) * np.float32(2 / evened.size)
        return amplitudes

    def lay(self, carriers: Carriers, amplitudes: Waves) -> Floats:
        """The sum of the carriers' waves."""
        grid = np.zeros((len(_DOWN), len(_ACROSS)), np.complex64)
        grid[carriers.down + FASTEST, carriers.across] = amplitudes
        lines = self._down.conj().T @ grid
        return (lines.real @ self._across.real + lines.imag @ self._across.imag).astype(np.float32)


def _waves(periods: NDArray[np.intp], pixels: int, step: float) -> Waves:
    # Turns are reduced to less than one before they become single precision: fast, and as exact as is needed.
    turns = np.outer(periods, (np.arange(pixels) + 0.5) * (step / TILE))
    angles = ((turns - np.rint(turns)) * (-2 * np.pi)).astype(np.float32)
    waves = np.empty(angles.shape, np.complex64)
    waves.real, waves.imag = np.cos(angles), np.sin(angles)
    return waves
