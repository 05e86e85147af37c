"""PDQ: 256 bits that stay nearly the same while a picture is saved again, resized or marked.

Meta's algorithm (ThreatExchange, *The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm*, 2019),
written with numpy because its package has no wheels and would bring a compiler into every installation. It gives the
package's own values (tests/vectors/pdq), and the lists that other parties exchange can be used as they are.

A picture with little in it (a flat colour, a gradient) has a fingerprint that says little: its *quality* tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS: Final = 256
LARGEST: Final = 512
"""Pixels a side; larger pictures are made smaller first, as the reference does."""
SMALLEST: Final = 5
ALIKE: Final = 31
"""At most so many different bits: the same picture (the reference's recommendation)."""
LEAST_QUALITY: Final = 50
"""Below, a match means nothing (the same)."""
_SIDE: Final = 64
_KEPT: Final = 16
_PASSES: Final = 2

_DCT: Final[NDArray[np.float64]] = np.sqrt(2 / _SIDE) * np.cos(
    np.pi / (2 * _SIDE) * np.outer(np.arange(1, _KEPT + 1), 2 * np.arange(_SIDE) + 1)
)


def cosines() -> NDArray[np.float64]:
    """PDQ's transform: 16 waves over 64 values, the longest first, without the constant."""
    return _DCT.copy()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """256 bits, written as 64 hexadecimal digits as everybody does, and how much they say (0 to 100)."""

    bits: int
    quality: int

    def __str__(self) -> str:
        return f"{self.bits:064x}"

    @classmethod
    def parse(cls, text: str, quality: int = 100) -> Self:
        """From 64 hexadecimal digits. Raises ValueError for anything else."""
        if len(text) != BITS // 4 or not set(text) <= set("0123456789abcdefABCDEF"):
            raise ValueError("expected a PDQ fingerprint of 64 hexadecimal digits")
        return cls(int(text, 16), quality)

    def distance(self, other: Fingerprint) -> int:
        """Different bits, 0 to 256; unrelated pictures are about 128 apart."""
        return (self.bits ^ other.bits).bit_count()


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Of RGB pixels (height, width, 3)."""
    return next(_all(pixels, turns=1))


def turned(pixels: NDArray[np.uint8]) -> tuple[Fingerprint, ...]:
    """Of the picture in the eight ways it can be laid down: turned by quarters, and mirrored. The first is upright."""
    return tuple(_all(pixels, turns=8))


def _all(pixels: NDArray[np.uint8], turns: int) -> Iterator[Fingerprint]:
    if min(pixels.shape[:2]) < SMALLEST:
        yield from [Fingerprint(0, 0)] * turns
        return
    small = _small(pixels)
    quality = _quality(small)
    frequencies = _DCT @ small @ _DCT.T
    # Mirroring a picture changes the sign of every second frequency: no need to transform it eight times.
    signs = (-1.0) ** np.arange(1, _KEPT + 1)
    down, across = signs[:, None], signs[None, :]
    laid = [
        frequencies,
        frequencies * down,
        frequencies * across,
        frequencies * down * across,
    ]
    laid += [grid.T for grid in laid]
    for grid in laid[:turns]:
        yield Fingerprint(_bits(grid), quality)


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness at 64 x 64: twice blurred each way with a box, then every nth pixel."""
    if max(pixels.shape[:2]) > LARGEST:
        image = Image.fromarray(pixels)
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
    light: NDArray[np.float64] = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    if light.shape == (_SIDE, _SIDE):
        return light
    rows, columns = light.shape
    for _ in range(_PASSES):
        light = _box(light, _window(columns), axis=1)
        light = _box(light, _window(rows), axis=0)
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    small: NDArray[np.float64] = light[np.ix_((middle * rows).astype(int), (middle * columns).astype(int))]
    return small


def _window(length: int) -> int:
    return (length + 2 * _SIDE - 1) // (2 * _SIDE)


def _box(values: NDArray[np.float64], window: int, axis: int) -> NDArray[np.float64]:
    """The mean of `window` values around each, of fewer at the edges; an even window reaches further ahead."""
    length = values.shape[axis]
    ahead = (window + 2) // 2 - 1
    behind = window - ahead - 1
    sums = np.concatenate([np.zeros_like(np.take(values, [0], axis)), values.cumsum(axis)], axis)
    places = np.arange(length)
    begin, end = np.maximum(places - behind, 0), np.minimum(places + ahead + 1, length)
    count = (end - begin).reshape((-1, 1) if axis == 0 else (1, -1))
    mean: NDArray[np.float64] = (np.take(sums, end, axis) - np.take(sums, begin, axis)) / count
    return mean


def _quality(small: NDArray[np.float64]) -> int:
    steps = sum(
        int(np.abs(np.trunc(np.diff(small, axis=axis).astype(np.float32) * 100 / 255)).sum()) for axis in (0, 1)
    )
    return min(100, steps // 90)


def _bits(frequencies: NDArray[np.float64]) -> int:
    flat = frequencies.ravel()
    median = np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]  # the lower of the two middle ones
    return int.from_bytes(np.packbits(flat > median, bitorder="little").tobytes(), "little")
