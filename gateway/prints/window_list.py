"""The windows of listed pictures: lines of a block list that other readers of such lists take for comments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from gateway.prints.windows import WORDS, Prints, by_mirror, transposed

Places = NDArray[np.intp]
MARK: Final = "#window "
"""Begins a line: 64 hexadecimal digits, a space and the picture's label follow."""
NEAR: Final = 42
"""At most so many of 256 bits apart: the same window. PDQ's 31 are for one comparison, and a picture in question has
some thousand; what that does is measured in `bench.pictures`."""
STEADY_NEAR: Final = 18
"""Of the 64 bits that mirroring doesn't change, which are compared first, and once for four ways to lie. A quarter of
NEAR is their share, and hardly a window that is near is further apart in these."""
_AT_ONCE: Final = 1 << 16
"""Comparisons a step: what fits a processor's cache."""


class WindowList:
    """Never changes. Safe for threads."""

    def __init__(self, prints: Prints, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._words = by_mirror(prints)
        self._steady = np.ascontiguousarray(self._words[:, 0])

    def __len__(self) -> int:
        return len(self._labels)

    @classmethod
    def read(cls, text: str) -> Self:
        """The windows in a block list. Raises ValueError that names the line."""
        prints: list[bytes] = []
        labels: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.startswith(MARK):
                continue
            digits, _, label = line.removeprefix(MARK).strip().partition(" ")
            if len(digits) != 16 * WORDS or not set(digits) <= set("0123456789abcdef") or not label.strip():
                raise ValueError(f"line {number}: expected 64 hexadecimal digits and a label behind {MARK.strip()!r}")
            prints.append(bytes.fromhex(digits))
            labels.append(label.strip())
        return cls(np.frombuffer(b"".join(prints), np.uint64).reshape(-1, WORDS), tuple(labels))

    def match(self, asked: Prints) -> tuple[str, int] | None:
        """Label and distance of the listed window that is nearest to any of `asked`, turned and mirrored too; None
        where none is near."""
        if not self._labels or not len(asked):
            return None
        laid = np.concatenate([by_mirror(asked), by_mirror(transposed(asked))])
        best: tuple[int, int] | None = None
        for places, lines in self._candidates(np.ascontiguousarray(laid[:, 0])):
            apart = _nearest_of_four(np.bitwise_count(laid[places] ^ self._words[lines]).astype(np.int16))
            nearest = int(apart.argmin())
            if apart[nearest] <= NEAR and (best is None or apart[nearest] < best[0]):
                best = int(apart[nearest]), int(lines[nearest])
        return None if best is None else (self._labels[best[1]], best[0])

    def _candidates(self, asked: NDArray[np.uint64]) -> Iterator[tuple[Places, Places]]:
        """Places in `asked` and in the list whose steady bits are near: some at a time, never none."""
        for first in range(0, len(self._steady), _AT_ONCE):
            listed = self._steady[first : first + _AT_ONCE]
            step = max(1, _AT_ONCE // len(listed))
            # Written over at each step: new memory for each costs as much as the comparing.
            apart = np.empty((step, len(listed)), np.uint64)
            bits, near = np.empty(apart.shape, np.uint8), np.empty(apart.shape, np.bool_)
            for begin in range(0, len(asked), step):
                some = asked[begin : begin + step]
                np.bitwise_xor(some[:, None], listed, out=apart[: len(some)])
                np.bitwise_count(apart[: len(some)], out=bits[: len(some)])
                np.less_equal(bits[: len(some)], STEADY_NEAR, out=near[: len(some)])
                # Flat: in two dimensions numpy takes ten times as long to find the few that are set.
                found = np.flatnonzero(near[: len(some)])
                if len(found):
                    places, lines = np.divmod(found, len(listed))
                    yield begin + places, first + lines


def _nearest_of_four(apart: NDArray[np.int16]) -> NDArray[np.int16]:
    """Different bits of the words of `by_mirror`, a pair a row; answers how many there are as the pair lies nearest:
    upright, or mirrored either way or both ways."""
    steady, down, across, either = apart.T
    other_down, other_across, other_either = (64 - word for word in (down, across, either))
    nearest: NDArray[np.int16] = steady + np.minimum.reduce(
        [
            down + across + either,
            other_down + across + other_either,
            down + other_across + other_either,
            other_down + other_across + either,
        ]
    )
    return nearest


def written(prints: Prints, label: str) -> str:
    """The lines that `WindowList.read` reads."""
    return "".join(f"{MARK}{one.tobytes().hex()} {label}\n" for one in prints)
