"""Pull from a follower, push to a sink, keep the position: at least once each, in order, through crashes.

A turn::

    1. pull     the next covered records, at most ``batch_limit``
    2. push     until the sink has them; waiting longer after each failure in a row
    3. store    the new position, durably
    4. accept   and go on

A crash before 3 sends the batch again, under the same ``uid``. A receiver that refuses parks the consumer: nothing
more is sent, the reason is kept and shown, and a start by a person tries again. Nothing is ever skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.errors import AuditUnavailable, SinkRefused, SinkUnavailable
from audit.export.follow import Batch, Follow
from audit.export.positions import ConsumerPosition, Position
from audit.push.backoff import Backoff
from audit.push.sink import Sink

BATCH_LIMIT: Final = 500
IDLE_SECONDS: Final = 1.0  # checkpoints are signed once a second
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFigures:
    """How a consumer is doing, for probes and alarms."""

    consumer: str
    position: int
    lag_records: int
    lag_seconds: float  # age of the oldest covered record that was not taken yet
    sent: int  # records since the start
    failures: int  # failed tries since the start
    last_failure: str  # "" after a success
    parked_reason: str  # "" while it runs


class Pusher:
    """Serves one consumer in one task. ``run`` until it is parked or ``stop`` is called."""

    def __init__(
        self,
        follow: Follow,
        sink: Sink,
        place: ConsumerPosition,
        *,
        clock: Callable[[], datetime],
        backoff: Backoff | None = None,
        batch_limit: int = BATCH_LIMIT,
        idle_seconds: float = IDLE_SECONDS,
        report: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """``report`` hears of each failure, once, and of the end of a row of them."""
        self._follow = follow
        self._sink = sink
        self._place = place
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._batch_limit = self._limit = batch_limit
        self._idle_seconds = idle_seconds
        self._report = report
        self._stopping = asyncio.Event()
        self._sent = 0
        self._failures = 0
        self._last_failure = ""
        self._parked_reason = ""
        self._last_leaf: bytes | None = None

    async def run(self, *, until_caught_up: bool = False) -> None:
        """Send until stopped or parked; with ``until_caught_up``, until there is nothing left to send.

        Raises ``StoreDamaged`` or ``StoreRolledBack`` if the log is not what it was, ``OSError`` if the position
        cannot be stored. Always closes the sink.
        """
        stored = self._place.load()
        self._last_leaf = stored.last_leaf
        if stored.parked_reason:  # a start is a person's word to try again
            self._store("")
        try:
            while not self._stopping.is_set() and not self._parked_reason:
                batch = await self._pull()
                if batch is not None:
                    await self._push(batch)
                elif until_caught_up and not self._last_failure:
                    return
                else:
                    await self._wait(self._idle_seconds)
        finally:
            await self._sink.aclose()

    def stop(self) -> None:
        """Ask ``run`` to end after what it is sending, or at once if it waits. Call it in the loop's own thread."""
        self._stopping.set()

    async def aclose(self, task: asyncio.Task[None], grace_seconds: float = _STOP_SECONDS) -> None:
        """Stop ``run``'s task; cancels it if a receiver holds it up for longer. What was not accepted is sent again."""
        self.stop()
        done, _ = await asyncio.wait({task}, timeout=grace_seconds)
        if not done:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def figures(self) -> PushFigures:
        """Figures now. Reads one record of the log."""
        try:
            lag = await self._follow.lag()
            lag_records, lag_seconds = lag.records, lag.seconds
        except AuditUnavailable:
            lag_records, lag_seconds = -1, -1.0  # cannot be known now
        return PushFigures(
            consumer=self._place.consumer,
            position=self._follow.cursor.position,
            lag_records=lag_records,
            lag_seconds=lag_seconds,
            sent=self._sent,
            failures=self._failures,
            last_failure=self._last_failure,
            parked_reason=self._parked_reason,
        )

    async def _pull(self) -> Batch | None:
        try:
            batch = await self._follow.next_batch(self._limit)
        except AuditUnavailable as error:
            await self._failed(str(error), None)
            return None
        if batch is None:
            self._succeeded()
        return batch

    async def _push(self, batch: Batch) -> None:
        try:
            if batch.records:  # else all were of tenants that this consumer does not get
                await self._sink.send(batch.records)
        except SinkUnavailable as error:
            await self._failed(str(error), error.retry_after_seconds)
            return
        except SinkRefused as error:
            self._note(str(error))
            if error.is_too_large and len(batch.records) > 1:
                self._limit = len(batch.records) // 2
                return
            self._parked_reason = str(error)
            self._store(self._parked_reason)
            return
        self._last_leaf = batch.last_leaf
        self._store("", batch)
        self._follow.accept(batch)
        self._sent += len(batch.records)
        self._limit = min(self._limit * 2, self._batch_limit)
        self._succeeded()

    def _store(self, parked_reason: str, batch: Batch | None = None) -> None:
        cursor = batch.cursor if batch else self._follow.cursor
        position = Position(cursor=cursor, last_leaf=self._last_leaf, parked_reason=parked_reason)
        # On the loop, on purpose: a small fsync, and nothing may happen between it and ``accept``.
        self._place.store(position, self._clock())

    async def _failed(self, message: str, wish_seconds: float | None) -> None:
        self._note(message)
        await self._wait(self._backoff.next_seconds(wish_seconds))

    def _note(self, message: str) -> None:
        self._failures += 1
        if message != self._last_failure:
            self._report(message)
        self._last_failure = message

    def _succeeded(self) -> None:
        if self._last_failure:
            self._report("going on")
        self._last_failure = ""
        self._backoff.reset()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
