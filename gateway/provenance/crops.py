"""Fingerprints of what is left of a picture when its edges are cut away: one fingerprint stands a few percent only.

So a blocked picture is listed with its crops in the middle, at the corners and at the sides. A cut in another place is
found now and then only: what was measured stands in docs/explanation/pictures.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.provenance.fingerprint import LEAST_QUALITY, Fingerprint, fingerprint

SHARES: Final = (0.05, 0.1, 0.15, 0.2)
"""Of width and height that are cut away."""
APART: Final = 12
"""A crop that is nearer than this to one that is listed already would find nothing that the other doesn't."""
_SHIFTS: Final = (0.0, 0.5, 1.0)


def crops(pixels: NDArray[np.uint8]) -> tuple[Fingerprint, ...]:
    """Of RGB pixels (height, width, 3): those that differ from the picture and from each other, the smallest cut first.
    A crop that says too little is left out."""
    kept = [fingerprint(pixels)]
    for cut in _cuts(pixels):
        mark = fingerprint(cut)
        if mark.quality >= LEAST_QUALITY and all(mark.distance(other) >= APART for other in kept):
            kept.append(mark)
    return tuple(kept[1:])


def _cuts(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Cut alike both ways (middle, corners, sides), and one way only."""
    height, width = pixels.shape[:2]
    for share in SHARES:
        rows, columns = round(height * share), round(width * share)
        for down in _SHIFTS:
            for across in _SHIFTS:
                top, left = round(rows * down), round(columns * across)
                yield pixels[top : top + height - rows, left : left + width - columns]
        for shift in _SHIFTS:
            top, left = round(rows * shift), round(columns * shift)
            yield pixels[top : top + height - rows]
            yield pixels[:, left : left + width - columns]
