"""A blocked picture known again when its edges were cut away: fingerprints of square windows, on both sides.

One fingerprint bears a cut of a few percent. So a listed picture has a coarse net of windows, and a picture in question
a fine one that covers what lies between two windows of the coarse one, in several sizes: whatever is left after a cut
of a fifth of either side, anywhere, has a window that lies nearly where a listed one lay. (Baby steps and giant steps:
some dozen windows listed and some hundred asked stand for thousands of places and sizes.)

A window's fingerprint is made as PDQ's: the 16 x 16 lowest frequencies of 64 x 64 values of brightness. It keeps their
signs, not how they stand to their median: turned and mirrored windows are then other arrangements of the same bits. So
these are no PDQ fingerprints, and lists of other parties have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.prints.fingerprint import SMALLEST, cosines

Prints = NDArray[np.uint64]
"""A window's fingerprint a row, four words; the first holds the lowest frequencies, which bear the most."""
Floats = NDArray[np.float32]

WORDS: Final = 4
PRINT_BYTES: Final = 8 * WORDS
NONE: Final[Prints] = np.empty((0, WORDS), np.uint64)
SHARE: Final = 0.6
"""Of the shorter side: a listed window's."""
APART: Final = 0.1
"""Of the shorter side: from one listed window to the next."""
LEAST_LEFT: Final = 0.75
"""Of either side: what a cut may leave."""
STEP: Final = 0.03
"""Of an asked window's own side: from one to the next."""
LARGER: Final = 1.035
"""From one size of asked windows to the next."""
LONG: Final = 1.8
"""Times the shorter side: from here on a picture has many places to look at, and its middle may well be sky."""
BESIDE: Final = 0.3
"""Of the shorter side: from one place to the next at which a long picture is looked at from edge to edge. The listed
windows of a square reach so far, and APART further."""
NEARBY: Final = 27
"""What `around` answers."""
LONGEST: Final = 16
"""Times the shorter side; what is longer is looked at as if it were pressed to that."""
LEAST_TOLD: Final = 20
"""As PDQ's quality, which is counted alike: a window with less in it would be near to all that are flat."""
_ASIDE: Final = 0.03
_SMALLER: Final = 1.04
_LIGHT: Final[Floats] = np.array([0.299, 0.587, 0.114], np.float32)
_SHORTER: Final = 128
_LONGER: Final = LONGEST * _SHORTER
_GRAIN: Final = 16
_SIDE: Final = 64
_KEPT: Final = 16
_LOW: Final = 8


def listed(pixels: NDArray[np.uint8]) -> Prints:
    """What a list keeps of a picture: RGB pixels (height, width, 3)."""
    light = _light(pixels)
    height, width = light.shape
    side = SHARE * min(height, width)
    places = [
        (top, left, side)
        for top in _spread(height, side, APART * min(height, width))
        for left in _spread(width, side, APART * min(height, width))
    ]
    return _prints(light, places)


def asked(pixels: NDArray[np.uint8]) -> Prints:
    """What is looked up of a picture: RGB pixels (height, width, 3)."""
    light = _light(pixels)
    return _prints(light, [*_searched(light), *_beside(*light.shape)])


def around(pixels: NDArray[np.uint8]) -> Prints:
    """Of the middle half of a square picture, and then of windows that lie a little beside that and are a little
    smaller or larger: what it is like for who lays the same thing down not quite alike. NEARBY in all, or NONE where
    there is too little in the middle."""
    light = pixels.astype(np.float32) @ _LIGHT
    side = len(light)
    places = [
        ((side - share) / 2 + down * side, (side - share) / 2 + across * side, share)
        for share in (side / 2 * size for size in (1, 1 / _SMALLER, _SMALLER))
        for down in (0, -_ASIDE, _ASIDE)
        for across in (0, -_ASIDE, _ASIDE)
    ]
    values = _values(light, places)
    return _signs(values) if _told(values[:1])[0] >= LEAST_TOLD else NONE


def mirrored(prints: Prints) -> Prints:
    """Of the windows mirrored left to right."""
    return prints ^ _LEFT_RIGHT


def by_mirror(prints: Prints) -> Prints:
    """The same bits in other words, by what mirroring does to them: those that never change, those that change when
    up and down are swapped, those that change when left and right are, and those that change with either (but not with
    both). A wave with an even number looks alike from both ends, one with an odd number changes its sign."""
    return _packed(_grids(prints).reshape(-1, _KEPT * _KEPT)[:, _MIRRORED])


def transposed(prints: Prints) -> Prints:
    """Of the windows mirrored along their diagonal."""
    return _in_order(_grids(prints).transpose(0, 2, 1).reshape(-1, _KEPT * _KEPT))


def _light(pixels: NDArray[np.uint8]) -> Floats:
    """Brightness, the shorter side _SHORTER long."""
    if min(pixels.shape[:2]) < SMALLEST:
        return np.zeros((_SHORTER, _SHORTER), np.float32)
    image = Image.fromarray(pixels)
    scale = _SHORTER / min(image.size)
    size = [min(_LONGER, max(_SHORTER, round(side * scale))) for side in image.size]
    small = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
    return small @ _LIGHT


def _spread(length: int, side: float, apart: float) -> NDArray[np.float64]:
    """Where windows begin, from edge to edge; one lies in the middle."""
    room = length - side
    steps = 2 * max(1, int(np.ceil(room / apart / 2 - 1e-6)))
    return np.arange(steps + 1, dtype=np.float64) * (room / steps)


def _searched(light: Floats) -> Iterator[tuple[float, float, float]]:
    """Windows (top, left, side) in the middle, as far as two listed ones lie apart, in all sizes; in a long picture
    where it has most to tell, too."""
    height, width = light.shape
    shorter = min(height, width)
    spots = [(0.5, 0.5)]
    if height >= LONG * shorter:
        spots.append((_telling(light, 0), 0.5))
    elif width >= LONG * shorter:
        spots.append((0.5, _telling(light, 1)))
    share = SHARE
    while share <= min(1.0, SHARE / LEAST_LEFT) + 1e-6:
        side = share * shorter
        apart = APART / SHARE * side
        for down, across in spots:
            for top in _within(height, side, apart, down):
                for left in _within(width, side, apart, across):
                    yield top, left, side
        share *= LARGER


def _beside(height: int, width: int) -> Iterator[tuple[float, float, float]]:
    """Windows (top, left, side) all along a long picture, as a listed one has them that stands in it from edge to edge
    beside others."""
    shorter, longer = min(height, width), max(height, width)
    if longer < LONG * shorter:
        return
    side, apart = SHARE * shorter, APART * shorter
    middle, room = (shorter - side) / 2, longer - side - apart
    for begin in np.linspace(0, room, int(np.ceil(room / (BESIDE * shorter) - 1e-6)) + 1):
        for at in np.arange(begin, begin + apart, STEP * side):
            yield (at, middle, side) if height > width else (middle, at, side)


def _telling(light: Floats, axis: int) -> float:
    """Where along a picture most changes within a window, 0 to 1; fine grain and small letters don't count."""
    size = [max(2, side // _GRAIN) for side in light.shape]
    coarse = np.asarray(Image.fromarray(light).resize(size[::-1], Image.Resampling.BOX))
    told = sum(np.abs(change).sum(1 - axis) for change in np.gradient(coarse))
    within = np.convolve(told, np.ones(max(1, int(SHARE * min(coarse.shape)))), "valid")
    return float(within.argmax() / max(1, len(within) - 1))


def _within(length: int, side: float, apart: float, around: float) -> NDArray[np.float64]:
    room = min(length - side, apart)
    steps = max(1, int(np.ceil(room / (STEP * side) - 1e-6)))
    middle = float(np.clip(around * (length - side), room / 2, length - side - room / 2))
    # The middle itself is one of them: there a picture that was not cut has its like.
    return middle + (np.arange(steps) - steps // 2) * room / steps


def _prints(light: Floats, places: list[tuple[float, float, float]]) -> Prints:
    """Of the windows that have something in them."""
    values = _values(light, places)
    return _signs(values[_told(values) >= LEAST_TOLD])


def _values(light: Floats, places: list[tuple[float, float, float]]) -> Floats:
    """Brightness within each window, 64 x 64."""
    values = np.empty((len(places), _SIDE, _SIDE), np.float32)
    middles = (np.arange(_SIDE) + 0.5) / _SIDE
    for values_of_one, (top, left, side) in zip(values, places, strict=True):
        rows, below = _between(top + middles * side - 0.5, light.shape[0])
        columns, beside = _between(left + middles * side - 0.5, light.shape[1])
        lines = light[rows] * (1 - below)[:, None] + light[rows + 1] * below[:, None]
        values_of_one[:] = lines[:, columns] * (1 - beside) + lines[:, columns + 1] * beside
    return values


def _told(values: Floats) -> Floats:
    """As PDQ counts its quality."""
    steps = (np.abs(np.trunc(np.diff(values, axis=axis) * (100 / 255))).sum((1, 2)) for axis in (1, 2))
    told: Floats = sum(steps, np.zeros(len(values), np.float32)) // 90
    return told


def _signs(values: Floats) -> Prints:
    waves = cosines().astype(np.float32)
    frequencies = np.matmul(np.matmul(waves, values), waves.T)
    return _in_order((frequencies > 0).reshape(-1, _KEPT * _KEPT).astype(np.uint8))


def _between(at: NDArray[np.float64], length: int) -> tuple[NDArray[np.int64], Floats]:
    before = np.clip(np.floor(at).astype(np.int64), 0, length - 2)
    return before, np.clip(at - before, 0, 1).astype(np.float32)


def _grids(prints: Prints) -> NDArray[np.uint8]:
    """The bits, each where its frequency stands: down, across."""
    return np.unpackbits(np.ascontiguousarray(prints).view(np.uint8), axis=1)[:, _PLACE].reshape(-1, _KEPT, _KEPT)


def _in_order(bits: NDArray[np.uint8]) -> Prints:
    return _packed(bits[:, _ORDER])


def _packed(bits: NDArray[np.uint8]) -> Prints:
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)


_down, _across = np.divmod(np.arange(_KEPT * _KEPT), _KEPT)
_ORDER: Final = np.argsort(np.maximum(_down, _across) >= _LOW, kind="stable")
"""The 8 x 8 lowest frequencies first."""
_PLACE: Final = np.argsort(_ORDER)
# The first wave has the number one and the place nought.
_MIRRORED: Final = np.argsort(2 * ((_across + 1) % 2) + (_down + 1) % 2, kind="stable")
"""Even both ways; odd down; odd across; odd both ways."""
_LEFT_RIGHT: Final = _packed(((_across[_ORDER] + 1) % 2).astype(np.uint8)[None])
"""The bits that change when left and right are swapped."""
