"""Words near a candidate that speak for it ("card number") or against it ("order no.")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.screening.text.normalise import fold
from gateway.screening.text.patterns import compile_pattern


class Cues:
    """Cue words of one rule; `window` characters are looked at before a candidate, half of that after it."""

    def __init__(self, cues: Sequence[str], against: Sequence[str], window: int) -> None:
        self._for = _alternatives(cues)
        self._against = _alternatives(against)
        self._window = window

    def judge(self, text: str, start: int, end: int) -> tuple[bool, bool]:
        """Whether the candidate at `text[start:end]` is (cued, countered); the nearest word wins."""
        if self._for is None and self._against is None:
            return False, False
        before = fold(text[max(0, start - self._window) : start])
        after = fold(text[end : end + self._window // 2])
        near_for = _nearest(self._for, before, after)
        near_against = _nearest(self._against, before, after)
        if near_for is None:
            return False, near_against is not None
        if near_against is None or near_for <= near_against:
            return True, False
        return False, True


def _alternatives(words: Sequence[str]) -> Any | None:
    if not words:
        return None
    escaped = sorted({_escape(fold(word)) for word in words}, key=len, reverse=True)
    return compile_pattern(r"(?:^|[^\pL\pN])(" + "|".join(escaped) + r")(?:$|[^\pL])")


def _escape(word: str) -> str:
    """`word` literally; a blank stands for any short gap."""
    literal = "".join(c if c.isalnum() or c == " " else "\\" + c for c in word)
    return literal.replace(" ", r"[\s_.:-]{1,3}")


def _nearest(pattern: Any | None, before: str, after: str) -> int | None:
    """Characters between the candidate and the nearest word, or None. A word behind counts as further away."""
    if pattern is None:
        return None
    best: int | None = None
    for match in pattern.finditer(before):
        best = len(before) - match.end(1)
    match = pattern.search(after)
    if match is not None:
        behind = match.start(1) + 8
        best = behind if best is None else min(best, behind)
    return best
