"""A watch over the clock: one that leapt ahead would have the worker destroy what is not due.

A wrong time server, a virtual machine that woke up, a board without a battery: any of them can put the clock years
ahead in one step, and keys that are destroyed do not come back. So the wall clock is compared with one that only
counts seconds. Where the two part by more than an hour, and at a start that seems long after the newest record,
nothing is destroyed until the clock has kept its new time for a while, or until somebody confirms it. A clock that is
behind destroys nothing too early and needs no guard.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from audit.store.disk import Disk

LEAP: Final = timedelta(hours=1)  # more than any leap second, slewing or summer time of a badly set clock
QUIET: Final = timedelta(days=1)  # a log that rested longer is not told from a clock that leapt
CONFIRMATION_HOLDS: Final = timedelta(minutes=10)  # between confirming a time and the worker's seeing it
CONFIRMATION_NAME: Final = "clock-confirmed"

Seconds = Callable[[], float]


def counted_seconds() -> float:
    """Seconds since some moment, counted through a suspended machine's sleep where the system can."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class ClockGuard:
    """Compares a wall clock with counted seconds. Used by one task."""

    def __init__(self, settle_seconds: float, now: datetime, seconds: float, newest_record: datetime | None) -> None:
        """``newest_record``: when the log was last written before this start; ``None`` for a new log.

        ``settle_seconds``: how long a clock that leapt must keep its time; 0 trusts any clock at once.
        """
        self._settle_seconds = settle_seconds
        rested = newest_record is not None and now - newest_record > QUIET
        self._anchor_at = newest_record if rested and newest_record is not None else now  # a time that was believed
        self._anchor_seconds = seconds
        self._offset = timedelta(0)  # how far the clock was ahead of the anchor when it was last looked at
        self._steady_since = seconds

    def observe(self, now: datetime, seconds: float) -> bool:
        """Look at both clocks; tells whether the wall clock may be trusted to destroy by."""
        offset = now - (self._anchor_at + timedelta(seconds=seconds - self._anchor_seconds))
        if abs(offset - self._offset) > LEAP:
            self._steady_since = seconds
            self._offset = offset
        is_settled = seconds - self._steady_since >= self._settle_seconds
        if offset > LEAP and not is_settled:
            return False
        # Believed. The anchor follows slowly, so that many small steps in a row are seen as the leap that they are.
        if is_settled and seconds - self._anchor_seconds >= self._settle_seconds:
            self.confirm(now, seconds)
        return True

    def confirm(self, now: datetime, seconds: float) -> None:
        """Believe the clock as it is now."""
        self._anchor_at, self._anchor_seconds = now, seconds
        self._offset, self._steady_since = timedelta(0), seconds


class ClockConfirmation:
    """An operator's word that the clock is right, as a file beside the keys: it reaches a running log from outside."""

    def __init__(self, keys_folder: Path) -> None:
        self._path = keys_folder / CONFIRMATION_NAME

    def give(self, now: datetime, disk: Disk) -> None:
        """Confirm the present time. Raises ``OSError``."""
        self._path.unlink(missing_ok=True)
        disk.write_whole(self._path, json.dumps({"at": now.isoformat()}).encode(), 0o600)

    def is_given(self, now: datetime) -> bool:
        """Did somebody confirm about this very time? One given for another time confirms nothing."""
        try:
            at = datetime.fromisoformat(json.loads(self._path.read_text())["at"])
            return abs(now - at) <= CONFIRMATION_HOLDS
        except (OSError, ValueError, KeyError, TypeError):
            return False
