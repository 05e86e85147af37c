"""Is this string random enough to be a secret, and not a stand-in somebody wrote for one?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.patterns import compile_pattern

MIN_BITS_A_CHARACTER: Final = 2.5
"""Random base-62 strings of 20 or more characters lie above 3.5; words and repeated characters lie below 2.5."""

_STAND_IN: Final = compile_pattern(
    r"(?i)x{5,}|\*{3,}|\.{3,}|_{4,}|<[^>]{1,40}>|\$\{|\{\{|your[_-]|[_-]here\b|change[_-]?me|placeholder|redacted|insert[_-]|dummy"
)


def entropy_bits(text: str) -> float:
    """Shannon entropy in bits a character."""
    if not text:
        return 0.0
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def is_stand_in(text: str) -> bool:
    """Whether `text` is a placeholder ("YOUR_API_KEY", "xxxxxxxx") and nobody's secret."""
    return _STAND_IN.search(text) is not None


def secret(candidate: Candidate) -> Sequence[Accepted]:
    """Accepts what could be a secret as it stands."""
    value = candidate.value
    if is_stand_in(value) or entropy_bits(value) < MIN_BITS_A_CHARACTER:
        return ()
    return (Accepted(candidate.start, candidate.end, value),)
