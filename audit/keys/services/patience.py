"""Time limits and attempts, the same for every key service that is far away.

Wrapping and unwrapping change nothing in the service, so both may be tried again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from audit.errors import KeyServiceUnavailable

T = TypeVar("T")


class NotNow(KeyServiceUnavailable):
    """Nothing that mends itself within seconds, such as credentials that do not pass: not tried again."""


FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0


def try_patiently(call: Callable[[float], T], *, timeout_seconds: float, attempts: int) -> T:
    """What ``call`` returns, tried up to ``attempts`` times while it raises ``KeyServiceUnavailable`` (but ``NotNow``).

    ``call`` gets the seconds that it may take: its even share of what is left. Anything else it raises ends the tries.
    Pauses double and are drawn at random up to that (AWS Builders' Library, "Timeouts, retries, and backoff with
    jitter"), and none outlasts the limit.
    """
    end = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    for left in range(attempts, 1, -1):
        try:
            return call((end - time.monotonic()) / left)
        except NotNow:
            raise
        except KeyServiceUnavailable:
            wait = random.uniform(0, pause)  # noqa: S311 - spreads load, guards nothing
            if time.monotonic() + wait >= end:
                raise
            time.sleep(wait)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
    return call(max(end - time.monotonic(), 0.001))
