"""From a handle to 240 signs, and from 240 noisy numbers back to a handle or to nothing.

The handle (48 bits) is followed by 24 bits of an HMAC of it and eight zeros, and goes through the convolutional code of
rate 1/3 and constraint length 9 (generators 557, 663, 711 octal: Proakis, *Digital Communications*, table 8.2-1; 3GPP
TS 25.212, section 4.2.3.1, uses the same). A Viterbi decoder finds the likeliest codeword; the HMAC says whether it is
one of ours. So a picture without a mark passes for marked once in 2^24 tries, whatever is in it, and nobody can make up
a mark for a handle without the secret.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import numpy as np
from numpy.typing import NDArray

HANDLE_BITS: Final = 48
TAG_BITS: Final = 24
MESSAGE_BITS: Final = HANDLE_BITS + TAG_BITS
_GENERATORS: Final = (0o557, 0o663, 0o711)
_MEMORY: Final = 8
_STATES: Final = 1 << _MEMORY
CODED_BITS: Final = (MESSAGE_BITS + _MEMORY) * len(_GENERATORS)


def _branches() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """For each state the two states before it, and the three signs that each way there sends."""
    states = np.arange(_STATES)
    before = ((2 * states) & (_STATES - 1), (2 * states + 1) & (_STATES - 1))
    newest = states >> (_MEMORY - 1)
    signs = []
    for old in before:
        register = (newest << _MEMORY) | old
        parities = [[int(r & g).bit_count() & 1 for g in _GENERATORS] for r in register.tolist()]
        signs.append((1 - 2 * np.array(parities)).astype(np.float32))
    return before[0], before[1], signs[0], signs[1]


_BEFORE_A, _BEFORE_B, _SIGNS_A, _SIGNS_B = _branches()


def tag(secret: bytes, handle: int) -> int:
    """The 24 bits that say that a handle was written by whoever has the secret."""
    digest = hmac.digest(secret, b"imprimatur watermark 1 tag" + handle.to_bytes(6, "big"), hashlib.sha256)
    return int.from_bytes(digest[: TAG_BITS // 8], "big")


def encode(secret: bytes, handle: int) -> NDArray[np.float32]:
    """240 signs (+1, -1). Raises ValueError for a handle that is no 48-bit number."""
    if not 0 <= handle < 1 << HANDLE_BITS:
        raise ValueError(f"handle out of range: expected 0 to 2^{HANDLE_BITS} - 1")
    message = handle << TAG_BITS | tag(secret, handle)
    bits = [message >> (MESSAGE_BITS - 1 - place) & 1 for place in range(MESSAGE_BITS)] + [0] * _MEMORY
    state, sent = 0, []
    for bit in bits:
        register = bit << _MEMORY | state
        sent += [1 - 2 * ((register & generator).bit_count() & 1) for generator in _GENERATORS]
        state = register >> 1
    return np.array(sent, np.float32)


def decode(secret: bytes, heard: NDArray[np.float32]) -> int | None:
    """The handle in 240 numbers, each positive where a +1 is likelier; None when the likeliest is not one of ours."""
    steps = heard.astype(np.float32).reshape(-1, len(_GENERATORS))
    score = np.full(_STATES, -np.inf, np.float32)
    score[0] = 0
    chosen = np.empty((len(steps), _STATES), bool)
    for place, step in enumerate(steps):
        by_a, by_b = score[_BEFORE_A] + _SIGNS_A @ step, score[_BEFORE_B] + _SIGNS_B @ step
        chosen[place] = by_b > by_a
        score = np.where(chosen[place], by_b, by_a)
    state, message = 0, 0  # the eight zeros at the end led back to state 0
    for place in range(len(steps) - 1, -1, -1):
        if place < MESSAGE_BITS:
            message |= (state >> (_MEMORY - 1)) << (MESSAGE_BITS - 1 - place)
        state = int((_BEFORE_B if chosen[place, state] else _BEFORE_A)[state])
    handle, claimed = message >> TAG_BITS, message & ((1 << TAG_BITS) - 1)
    ours = hmac.compare_digest(tag(secret, handle).to_bytes(3, "big"), claimed.to_bytes(3, "big"))
    return handle if ours else None
