"""Differences as pages show them: a line each, with both line numbers and a word for what happened to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.lifecycle.content import Difference

MAX_LINES: Final = 1_500
"""Of one file; the rest is left to the API, and the page says so."""
_HUNK: Final = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line; a number is None where the line does not stand in that text."""

    kind: Literal["same", "added", "removed", "gap"]
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """One file's difference."""

    path: str
    status: str
    added: int
    removed: int
    lines: tuple[DiffLine, ...]
    left_out: int


def file_diffs(found: Iterable[Difference]) -> list[FileDiff]:
    """Each of them with its lines."""
    made = []
    for one in found:
        lines = _lines(one.diff.split("\n")[2:-1])
        made.append(
            FileDiff(
                path=one.path,
                status=one.status,
                added=one.added,
                removed=one.removed,
                lines=tuple(lines[:MAX_LINES]),
                left_out=max(0, len(lines) - MAX_LINES),
            )
        )
    return made


def _lines(unified: Sequence[str]) -> list[DiffLine]:
    found: list[DiffLine] = []
    old = new = 0
    for line in unified:
        hunk = _HUNK.match(line)
        if hunk:
            if found:
                found.append(DiffLine("gap", None, None, ""))
            old, new = int(hunk[1]), int(hunk[2])
        elif line.startswith("+"):
            found.append(DiffLine("added", None, new, line[1:]))
            new += 1
        elif line.startswith("-"):
            found.append(DiffLine("removed", old, None, line[1:]))
            old += 1
        elif not line.startswith("\\"):
            found.append(DiffLine("same", old, new, line[1:]))
            old, new = old + 1, new + 1
    return found
