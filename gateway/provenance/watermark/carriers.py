"""Which waves carry what: the plan that the secret gives, the same for every picture while the secret lives.

A wave has a whole number of periods in a tile of the canvas, down and across. Those that are neither so slow that the
picture drowns them nor so fast that a smaller copy loses them are the carriers, 174 of them. The secret shuffles them:
50 are *pilots*, whose phases it fixes, so that a reader finds scale and position; the others carry two signs each.

Everything here comes from HMAC-SHA-256 and sorting, not from a random generator of a library: those may change their
streams, and a mark must be readable in ten years.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.provenance.watermark.coding import CODED_BITS

MIN_SECRET_BYTES: Final = 32
FASTEST: Final = 10
"""Periods in a tile, along one axis."""
_SLOWEST_RADIUS: Final = 3.0
_FASTEST_RADIUS: Final = 10.9
PILOTS: Final = 50


@dataclass(frozen=True, slots=True)
class Carriers:
    """The plan. Arrays of `down` and `across` begin with the pilots."""

    secret: bytes = field(repr=False)
    down: NDArray[np.intp]
    across: NDArray[np.intp]
    ring: NDArray[np.intp]
    """Rounded periods in a tile: waves of one ring suffer alike."""
    pilots: NDArray[np.complex64]
    source: NDArray[np.intp]
    """Which coded bit each of the signs carries; a few are carried twice."""
    flips: NDArray[np.float32]
    """A sign for each of the signs, so that no picture of ours looks like another before the secret is known."""

    def signal(self, coded: NDArray[np.float32]) -> NDArray[np.complex64]:
        """The wanted phase of each carrier for 240 coded signs."""
        signs = coded[self.source] * self.flips
        data = (signs[0::2] + 1j * signs[1::2]) / np.sqrt(2)
        return np.concatenate([self.pilots, data]).astype(np.complex64)

    def heard(self, measured: NDArray[np.complex64]) -> NDArray[np.float32]:
        """240 numbers from the carriers' measured amplitudes (pilots among them)."""
        data = measured[PILOTS:]
        signs = np.empty(2 * len(data), np.float32)
        signs[0::2], signs[1::2] = data.real, data.imag
        return np.bincount(self.source, weights=signs * self.flips, minlength=CODED_BITS).astype(np.float32)


def plan(secret: bytes) -> Carriers:
    """The carriers of a secret. Raises ValueError when it is too short to be one."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"watermark secret is too short: expected {MIN_SECRET_BYTES} bytes, got {len(secret)}")

    def drawn(label: str, count: int) -> list[bytes]:
        key = hmac.digest(secret, f"imprimatur watermark 1 {label}".encode(), hashlib.sha256)
        return [hmac.digest(key, place.to_bytes(4, "big"), hashlib.sha256) for place in range(count)]

    def shuffled(label: str, count: int) -> list[int]:
        digests = drawn(label, count)
        return sorted(range(count), key=digests.__getitem__)

    waves = [
        (down, across)
        for across in range(FASTEST + 1)
        for down in range(-FASTEST, FASTEST + 1)
        if (across > 0 or down > 0) and _SLOWEST_RADIUS <= np.hypot(down, across) <= _FASTEST_RADIUS
    ]  # half of the plane: a real picture's other half is its mirror
    waves = [waves[place] for place in shuffled("order", len(waves))]
    down, across = np.array(waves, np.intp).T
    quarters = np.array([digest[0] & 3 for digest in drawn("pilots", PILOTS)])
    signs = 2 * (len(waves) - PILOTS)
    twice = shuffled("twice", CODED_BITS)[: signs - CODED_BITS]
    source = np.array([*range(CODED_BITS), *twice], np.intp)[shuffled("places", signs)]
    return Carriers(
        secret=secret,
        down=down,
        across=across,
        ring=np.rint(np.hypot(down, across)).astype(np.intp),
        pilots=np.exp(0.25j * np.pi * (2 * quarters + 1)).astype(np.complex64),
        source=source,
        flips=np.array([1 - 2 * (digest[0] & 1) for digest in drawn("flips", signs)], np.float32),
    )
