"""The windows of listed pictures: lines of a block list that other readers of such lists take for comments."""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from gateway.prints.windows import WORDS, Prints, turned

MARK: Final = "#window "
"""Begins a line: 64 hexadecimal digits, a space and the picture's label follow."""
NEAR: Final = 42
"""At most so many of 256 bits apart: the same window. PDQ's 31 are for one comparison, and a picture in question has
some thousand; what that does is measured in `bench.pictures`."""
LOW_NEAR: Final = 18
"""Of the 64 bits of the lowest frequencies, which are compared first. A quarter of NEAR is their share, and few windows
that are near are further apart in these."""
_AT_ONCE: Final = 1 << 18
"""Comparisons a step: what fits a processor's cache."""


class WindowList:
    """Never changes. Safe for threads."""

    def __init__(self, prints: Prints, labels: tuple[str, ...]) -> None:
        self._prints, self._labels = prints, labels
        self._low = np.ascontiguousarray(prints[:, 0])

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
        laid = turned(asked)
        step = max(1, _AT_ONCE // len(self._low))
        best: tuple[int, int] | None = None
        for begin in range(0, len(laid), step):
            some = laid[begin : begin + step]
            places, lines = np.nonzero(np.bitwise_count(some[:, :1] ^ self._low) <= LOW_NEAR)
            if not len(lines):
                continue
            apart = np.bitwise_count(some[places] ^ self._prints[lines]).sum(1)
            nearest = int(apart.argmin())
            if apart[nearest] <= NEAR and (best is None or apart[nearest] < best[0]):
                best = int(apart[nearest]), int(lines[nearest])
        return None if best is None else (self._labels[best[1]], best[0])


def written(prints: Prints, label: str) -> str:
    """The lines that `WindowList.read` reads."""
    return "".join(f"{MARK}{one.tobytes().hex()} {label}\n" for one in prints)
