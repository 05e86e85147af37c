"""Leave a failing neighbour alone for a while, so that its trouble doesn't become a queue of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.policy.engine import EngineFailed


class Breaker:
    """Opens after `failures` failures in a row, for `open_seconds`; then one call may try, and the rest wait for it.

    Open means refused at once: nothing is let through that would otherwise have been asked.
    """

    def __init__(self, *, failures: int, open_seconds: float, monotonic: Callable[[], float]) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._monotonic = monotonic
        self._failed = 0  # touched by the event loop's thread only, like the two below
        self._opened_at = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a probe when its time has come."""
        return self._failed >= self._limit

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one call. Raises EngineFailed when it may not be made; counts EngineFailed that comes out of it."""
        probe = self.is_open
        if probe:
            waited = self._monotonic() - self._opened_at
            if self._probing or waited < self._open_seconds:
                raise EngineFailed(f"left alone after {self._failed} failures in a row")
            self._probing = True
        try:
            yield
        except EngineFailed:
            self._failed += 1
            self._opened_at = self._monotonic()
            raise
        else:
            self._failed = 0
        finally:
            # Also when the caller was cancelled: a probe that nobody waits for must not keep the door shut for ever.
            if probe:
                self._probing = False
