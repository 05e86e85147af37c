"""How long to wait before sending again: exponential, with full jitter, and the receiver's own wish if it has one.

Full jitter spreads many senders best after a receiver's restart (M. Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015).
"""

from __future__ import annotations

import random
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 60.0
# A wish is followed up to here: a receiver that asks for a year would have silenced its own alarm.
LONGEST_WISH_SECONDS: Final = 3600.0


class Backoff:
    """Waiting times between failures in a row."""

    def __init__(self, first_seconds: float = FIRST_SECONDS, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._failures = 0
        self._random = random.SystemRandom()

    def next_seconds(self, wish_seconds: float | None = None) -> float:
        """Seconds to wait after one more failure."""
        ceiling = min(self._first_seconds * 2.0 ** min(self._failures, 32), self._longest_seconds)
        self._failures += 1
        if wish_seconds is not None:
            return min(max(wish_seconds, 0.0), LONGEST_WISH_SECONDS) + self._random.uniform(0, self._first_seconds)
        return self._random.uniform(0, ceiling)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
