"""The loop that purges by itself: once a minute, and within a second of the UTC day's change.

Fails open: whatever goes wrong is told, counted and tried again in a minute; a purge that is late is bad, a gateway
that stops over it is worse. The clock is watched first (see ``clock.py``). Where several processes share a log, one
of them holds the lease; should two believe so for a moment, both do the same idempotent steps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

from audit.keys.ring import KeyRing
from audit.record import from_micros
from audit.retention.clock import ClockConfirmation, ClockGuard, Seconds, counted_seconds
from audit.retention.purge import Retention
from audit.retention.receipts import PurgeReceipt
from audit.store.port import StoreReader

_log = logging.getLogger("audit.retention")
ROUND_SECONDS = 60.0
TICK_SECONDS = 1.0


class RetentionWorker:
    """Ticks once a second: takes notice of keys destroyed elsewhere, watches the clock, starts a round when due."""

    def __init__(
        self,
        *,
        purge: Callable[[datetime], Awaitable[list[PurgeReceipt]]],
        retention: Retention,
        ring: KeyRing,
        clock: Callable[[], datetime],
        settle_seconds: float,
        newest_record: datetime | None,
        lease: Callable[[], bool] = lambda: True,
        seconds: Seconds = counted_seconds,
    ) -> None:
        """``lease`` tells whether this process is the one that purges now; it may block."""
        self._purge = purge
        self._retention = retention
        self._ring = ring
        self._clock = clock
        self._lease = lease
        self._seconds = seconds
        self._guard = ClockGuard(settle_seconds, clock(), seconds(), newest_record)
        self._confirmation = ClockConfirmation(ring.folder.path)
        self._last_day: date | None = None
        self._next_round = float("-inf")  # in counted seconds
        self._next_warning = float("-inf")

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except Exception:
                self._retention.failures += 1
                _log.exception("audit.retention.failed")
            await asyncio.sleep(min(TICK_SECONDS, _seconds_left_of_day(self._clock())))

    async def tick(self) -> list[PurgeReceipt]:
        """One step; returns what it purged. Raises what the purge raises."""
        await asyncio.to_thread(self._ring.refresh)
        now, seconds = self._clock(), self._seconds()
        if not self._may_trust(now, seconds):
            return []
        today = now.astimezone(UTC).date()
        if today == self._last_day and seconds < self._next_round:
            return []
        self._last_day, self._next_round = today, seconds + ROUND_SECONDS
        if not await asyncio.to_thread(self._lease):
            return []
        return await self._purge(now)

    def _may_trust(self, now: datetime, seconds: float) -> bool:
        trusted = self._guard.observe(now, seconds)
        if not trusted and self._confirmation.is_given(now):
            self._guard.confirm(now, seconds)
            _log.warning("audit.retention.clock-confirmed", extra={"at": now.isoformat()})
            trusted = True
        self._retention.is_clock_trusted = trusted
        if not trusted and seconds >= self._next_warning:
            self._next_warning = seconds + ROUND_SECONDS
            _log.error("audit.retention.clock-leapt", extra={"at": now.isoformat()})
        return trusted


def newest_record(reader: StoreReader) -> datetime | None:
    """When the log was last written. An outcome lies in the day of its intent, so the last two days are looked at."""
    newest = None
    for day in reader.days()[-2:]:
        view = reader.day(day)
        row = view.row(view.newest_seq()) if view is not None else None
        if row is not None:
            at = from_micros(row.recorded_at)
            newest = at if newest is None else max(newest, at)
    return newest


def _seconds_left_of_day(now: datetime) -> float:
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), clock_time(), UTC)
    return max(0.001, (midnight - now).total_seconds())
