"""Reading: scale and position from the pilots, then the handle from the rest.

First the picture is taken as it is; then as a part of the marked one (up to half of it may be cut away), at 90 scales;
then turned and mirrored; then stretched. At each, one inverse Fourier transform tells for every position how well the
pilots agree. Only where they agree best is a handle looked for, and only its HMAC says that it is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.provenance.watermark.canvas import LARGE, SMALL, Canvas, Floats, Lattice, Waves, canvas_of, even
from gateway.provenance.watermark.carriers import FASTEST, PILOTS, Carriers
from gateway.provenance.watermark.coding import decode, encode
from gateway.provenance.watermark.mark import Watermark

PILOTS_AGREE: Final = 5.2
"""In standard deviations of what they would say of a picture without a mark. Below, no handle is looked for."""
_ZOOMS: Final = tuple(1.02 * 0.995**step for step in range(90))
_CLOSER: Final = tuple(step / 1000 for step in range(-4, 5) if step)
_SIDES: Final = tuple(1 - step / 200 for step in range(1, 50))
_ASPECTS: Final = tuple(1 + step / 200 for step in range(-44, 56) if step)
_POSITIONS: Final = 64
"""Positions down and across a tile at which the pilots are compared: half a canvas pixel apart."""
_MIN_SIDE: Final = 16

Turn = tuple[bool, int, int]
_TURNS: Final[tuple[Turn, ...]] = tuple(
    (swapped, down, across) for swapped in (False, True) for down in (1, -1) for across in (1, -1)
)
"""Whether rows and columns are swapped, and which of them run backwards: the eight ways to lay a picture down."""


@dataclass(frozen=True, slots=True)
class Found:
    """A handle, and how clearly it was written: the share of all signs that agree with it, pilots not counted. About
    0.99 in a fresh picture; below 0.8 it was hard to read, and still nobody else's."""

    handle: int
    confidence: float


@dataclass(frozen=True, slots=True)
class _Guess:
    agreement: float
    position: tuple[int, int]
    waves: Waves
    """Amplitudes of the carriers, in their order."""
    zoom: tuple[float, float]
    turn: Turn


def find(marks: Iterable[Watermark], pixels: NDArray[np.uint8]) -> Found | None:
    """The handle in RGB pixels (height, width, 3), by the first of `marks` (the newest, then older secrets) that finds
    one. None where there is none, or no longer. Never raises for what is in the picture."""
    if min(pixels.shape[:2]) < _MIN_SIDE:
        return None
    pages = [(canvas, even(canvas.light)[0]) for canvas in (canvas_of(pixels, size) for size in (LARGE, SMALL))]
    for mark in marks:
        for canvas, evened in pages:
            found = _find(mark.carriers, canvas, evened)
            if found is not None:
                return found
    return None


def _find(carriers: Carriers, canvas: Canvas, evened: Floats) -> Found | None:
    for guess in _guesses(carriers, canvas, evened):
        if guess.agreement < PILOTS_AGREE:
            continue
        found = _read(carriers, guess)
        if found is not None:
            return found
    return None


def _guesses(carriers: Carriers, canvas: Canvas, evened: Floats) -> Iterator[_Guess]:
    """Cheap ones first; four at most, so that chance has four tries at the HMAC on each canvas and no more."""

    def at(down: float, across: float) -> Waves:
        return Lattice(canvas, down, across).measure(evened)

    upright = _TURNS[0]
    yield _best(carriers, [((1.0, 1.0), at(1.0, 1.0))], [upright])
    scaled = [((zoom, zoom), at(zoom, zoom)) for zoom in _ZOOMS]
    guess = _best(carriers, scaled, [upright])
    near = [(guess.zoom[0] + by, guess.zoom[1] + by) for by in _CLOSER]
    yield max(guess, _best(carriers, [(zoom, at(*zoom)) for zoom in near], [upright]), key=_agreement)
    yield _best(carriers, scaled[:60:2], _TURNS[1:])
    stretched = [pair for side in _SIDES for pair in ((1.0, side), (side, 1.0))]
    stretched += [(aspect, 1 / aspect) for aspect in _ASPECTS]
    yield _best(carriers, [(zoom, at(*zoom)) for zoom in stretched], [upright])


def _agreement(guess: _Guess) -> float:
    return guess.agreement


def _best(carriers: Carriers, scaled: Sequence[tuple[tuple[float, float], Waves]], turns: Sequence[Turn]) -> _Guess:
    """The zoom, turn and position at which the pilots agree best."""
    tried = [(zoom, turn, _turned(carriers, lattice, turn)) for zoom, lattice in scaled for turn in turns]
    pilots = _limited(np.stack([waves for _, _, waves in tried]))[:, :PILOTS] * carriers.pilots.conj()
    grid = np.zeros((len(tried), _POSITIONS, _POSITIONS // 2 + 1), np.complex64)
    grid[:, carriers.down[:PILOTS], carriers.across[:PILOTS]] = pilots
    # Only half of the plane is filled, and a real transform knows the other; of waves straight down it does not.
    straight = carriers.across[:PILOTS] == 0
    grid[:, -carriers.down[:PILOTS][straight], 0] = pilots[:, straight].conj()
    sums = np.fft.irfft2(grid, (_POSITIONS, _POSITIONS)).reshape(len(tried), -1) * (_POSITIONS**2 / 2)
    deviation = np.sqrt(np.square(np.abs(pilots)).sum(1) / 2) + 1e-12
    places = sums.argmax(1)
    agreement = sums[np.arange(len(tried)), places] / deviation
    place = int(agreement.argmax())
    zoom, turn, waves = tried[place]
    down, across = divmod(int(places[place]), _POSITIONS)
    return _Guess(float(agreement[place]), (down, across), waves, zoom, turn)


def _turned(carriers: Carriers, lattice: Waves, turn: Turn) -> Waves:
    """The carriers' amplitudes, had the picture been laid down another way."""
    swapped, sign_down, sign_across = turn
    down, across = sign_down * carriers.down, sign_across * carriers.across
    if swapped:
        down, across = across, down
    mirror = np.where(across < 0, -1, 1)  # the half of the plane that was not measured is the other's conjugate
    waves = lattice[mirror * down + FASTEST, mirror * across]
    return np.where(mirror < 0, waves.conj(), waves)


def _limited(waves: Waves) -> Waves:
    """No wave counts for more than the median one: what a picture itself repeats (lines of text, tiles) is loud."""
    sizes = np.abs(waves)
    limit = np.median(sizes, axis=-1, keepdims=True) + 1e-9
    limited: Waves = waves * np.minimum(1, limit / np.maximum(sizes, 1e-9)).astype(np.float32)
    return limited


def _read(carriers: Carriers, guess: _Guess) -> Found | None:
    turns = 2j * np.pi / _POSITIONS * (carriers.down * guess.position[0] + carriers.across * guess.position[1])
    waves = _limited((guess.waves * np.exp(turns)).astype(np.complex64))
    power = np.bincount(carriers.ring, weights=np.square(np.abs(waves))) / np.maximum(1, np.bincount(carriers.ring))
    heard = carriers.heard((waves / np.sqrt(power[carriers.ring] + 1e-12)).astype(np.complex64))
    handle = decode(carriers.secret, heard)
    if handle is None:
        return None
    return Found(handle, float((encode(carriers.secret, handle) == np.sign(heard)).mean()))
