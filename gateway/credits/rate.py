"""How fast one person may ask: a token bucket each, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import RateLimited
from gateway.exchange import ActorId

MAX_BUCKETS: Final = 10_000
"""Full buckets are forgotten beyond this: they mean the same as none."""


class RateLimit:
    """`per_minute` requests a person, as many at once when they were quiet. Replicas count each for themselves."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._now = now
        self._prune_at = 0.0
        self._buckets: dict[ActorId, tuple[float, float]] = {}  # actor -> (tokens, at); the event loop's thread only

    def take(self, actor: ActorId) -> Mapping[str, str]:
        """Count one request. Returns OpenAI's `x-ratelimit-*` headers; raises RateLimited when there were too many."""
        now = self._now()
        per_second = self._size / 60
        tokens, at = self._buckets.get(actor, (self._size, now))
        tokens = min(self._size, tokens + (now - at) * per_second)
        if len(self._buckets) >= MAX_BUCKETS and now >= self._prune_at:
            self._prune_at = now + 1  # looking through all of them costs milliseconds, so once a second at most
            self._buckets = {
                a: (t, s) for a, (t, s) in self._buckets.items() if t + (now - s) * per_second < self._size
            }
        if tokens < 1:
            self._buckets[actor] = (tokens, now)
            wait = (1 - tokens) / per_second
            raise RateLimited(
                f"More than {self._size:.0f} requests in a minute. Try again in {wait:.0f} s; nothing was charged.",
                retry_after_seconds=wait,
            )
        self._buckets[actor] = (tokens - 1, now)
        return {
            "x-ratelimit-limit-requests": f"{self._size:.0f}",
            "x-ratelimit-remaining-requests": f"{tokens - 1:.0f}",
            "x-ratelimit-reset-requests": f"{(self._size - tokens + 1) / per_second:.0f}s",
        }
