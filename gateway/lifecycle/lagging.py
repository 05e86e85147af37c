"""What follows a list and may fall behind it: since when, why, and when it tries again what it could not take."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 60.0


class Lagging:
    """Keeps the account; whoever inherits follows."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._refused: object = None
        self._retry_at = 0.0
        self._retry_seconds = FIRST_RETRY_SECONDS
        self.behind_since: datetime | None = None
        self.error = ""
        """Why what it should run is not what it runs; empty when it is."""

    def _fall_behind(self) -> None:
        self.behind_since = self.behind_since or self._clock()

    def _may_try(self, what: object) -> bool:
        """Whether `what` was not refused here, or long enough ago."""
        return self._refused != what or time.monotonic() >= self._retry_at

    def _stay(self, what: object, why: str) -> None:
        """`what` was refused: it is tried again after a second, and each time after twice as long."""
        if self._refused != what:
            self._retry_seconds = FIRST_RETRY_SECONDS
        self._refused, self.error = what, why
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, LONGEST_RETRY_SECONDS)

    def _catch_up(self) -> None:
        self.behind_since, self.error, self._refused = None, "", None
        self._retry_seconds = FIRST_RETRY_SECONDS
