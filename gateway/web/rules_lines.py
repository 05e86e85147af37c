"""Lines of a file, as people say them: 3–5 and 9."""

from __future__ import annotations

from collections.abc import Iterable


def spans(lines: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each run of lines that follow each other, in order."""
    found: list[tuple[int, int]] = []
    for line in sorted(set(lines)):
        if found and line == found[-1][1] + 1:
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found
