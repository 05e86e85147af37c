"""The worker: a round a minute and one at midnight, by one process, by a clock that is to be believed."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from audit.retention.clock import ClockConfirmation
from audit.retention.worker import RetentionWorker, newest_record
from audit.store.disk import Disk
from tests.support.cases import open_content

DAY = date(2026, 11, 22)


class Counted:
    """Counted seconds that are moved together with the wall clock, or apart from it."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds
        self._clock.forward(seconds=seconds)


class Worker:
    """A worker of a log, its clocks, and how often it purged."""

    def __init__(self, house: Any, log: Any, **options: Any) -> None:
        self.time = Counted(house.clock)
        self.rounds: list[datetime] = []
        self.log = log
        self.worker = RetentionWorker(
            purge=self._purge,
            retention=log.retention,
            ring=log._ring,
            clock=house.clock,
            seconds=self.time,
            settle_seconds=3600,
            newest_record=log.newest_record_at_start,
            **options,
        )

    async def _purge(self, now: datetime) -> Any:
        self.rounds.append(now)
        return await self.log.purge(now)

    async def tick(self, after_seconds: float = 1.0) -> Any:
        self.time.forward(after_seconds)
        return await self.worker.tick()


async def test_it_purges_at_the_start_and_once_a_minute(house: Any) -> None:
    async with house.open() as log:
        worker = Worker(house, log)
        for _ in range(150):
            await worker.tick()
        assert len(worker.rounds) == 3


async def test_keys_are_gone_within_a_second_of_the_days_change(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    house.clock.now = datetime(2026, 12, 22, 23, 59, 57, tzinfo=UTC)
    async with house.open() as log:
        log.newest_record_at_start = house.clock.now
        worker = Worker(house, log)
        assert await worker.tick() == []
        assert await worker.tick() == []
        assert await worker.tick(0.5) == []
        house.clock.now = datetime(2026, 12, 23, 0, 0, 0, 1000, tzinfo=UTC)
        (receipt,) = await worker.worker.tick()
        assert (receipt.day, receipt.keys_destroyed, receipt.space_freed) == (DAY, 1, True)


async def test_it_sleeps_no_longer_than_to_the_end_of_the_day(house: Any, make: Any) -> None:
    """With a real loop and a real clock that is half a second before midnight."""
    async with house.open() as log:
        await make.request(log)
    loop = asyncio.get_running_loop()
    began = loop.time()
    midnight = datetime(2026, 12, 23, tzinfo=UTC)

    def clock() -> datetime:
        return midnight + timedelta(seconds=loop.time() - began - 0.3)

    async with house.open() as log:
        purged: list[datetime] = []

        async def purge(now: datetime) -> Any:
            purged.append(now)
            return await log.purge(now)

        worker = RetentionWorker(
            purge=purge, retention=log.retention, ring=log._ring, clock=clock, settle_seconds=0, newest_record=None
        )
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while len(purged) < 2:
                await asyncio.sleep(0.01)
        task.cancel()
        assert purged[0] < midnight <= purged[1] <= midnight + timedelta(seconds=1)


async def test_a_clock_that_leaps_destroys_nothing_and_health_says_so(
    house: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        worker = Worker(house, log)
        await worker.tick()
        house.clock.forward(days=31)
        with caplog.at_level(logging.ERROR, "audit.retention"):
            for _ in range(100):
                assert await worker.tick() == []
        assert [record.getMessage() for record in caplog.records] == ["audit.retention.clock-leapt"] * 2
        health = log.health()
        assert not health.retention_clock_trusted
        assert health.days_past_retention == 1
        assert (await open_content(log, ticket.event_id, by="d", purpose="case 1")).contents
        house.clock.forward(days=-31)
        await worker.tick(61)
        assert log.health().retention_clock_trusted
        assert len(worker.rounds) == 2
        house.clock.forward(days=31)
        await worker.tick()
        receipts = [one for minute in range(61) for one in await worker.tick(60)]
        assert [one.day for one in receipts] == [DAY]
        assert log.health().retention_clock_trusted


async def test_a_start_after_a_long_rest_waits_for_the_clock_or_an_operator(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    house.clock.forward(days=40)
    async with house.open() as log:
        worker = Worker(house, log)
        assert await worker.tick() == []
        assert not log.health().retention_clock_trusted
        ClockConfirmation(house.store / "keys").give(house.clock(), Disk())
        (receipt,) = await worker.tick()
        assert receipt.day == DAY
        assert log.health().retention_clock_trusted


async def test_only_the_holder_of_the_lease_purges(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        log.newest_record_at_start = None
        is_mine = False
        worker = Worker(house, log, lease=lambda: is_mine)
        for _ in range(3):
            assert await worker.tick(60) == []
        is_mine = True
        await worker.tick(60)
        assert len(worker.rounds) == 1


async def test_what_goes_wrong_in_a_round_is_counted_and_tried_again(house: Any, make: Any) -> None:
    async with house.open() as log:
        rounds = 0

        async def purge(_now: datetime) -> Any:
            nonlocal rounds
            rounds += 1
            raise OSError(28, "No space left on device")

        seconds = iter(range(0, 100_000, 61))
        worker = RetentionWorker(
            purge=purge,
            retention=log.retention,
            ring=log._ring,
            clock=house.clock,
            seconds=lambda: float(next(seconds)),
            settle_seconds=0,
            newest_record=None,
        )
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while rounds < 2:
                await asyncio.sleep(0.01)
        task.cancel()
        assert log.health().purge_failures >= 1


async def test_it_takes_notice_of_keys_destroyed_by_another_process_every_second(house: Any, make: Any) -> None:
    from audit.keys.ring import KeyRing
    from audit.keys.services.file import FileKeyService

    async with house.open() as log:
        await make.request(log)
        worker = Worker(house, log)
        await worker.tick()
        keys = log._ring.get(DAY, "default", "standard")
        other = KeyRing(house.store / "keys", FileKeyService(house.settings.kek_path), Disk())
        other.destroy(DAY, house.clock())
        await worker.tick()
        assert keys.is_wiped
        assert not any(keys.dek)


async def test_the_newest_record_is_that_of_the_log_and_not_of_its_newest_day(house: Any, make: Any) -> None:
    async with house.open() as log:
        assert await log._store.read(newest_record) is None
        ticket = await log.intend(make.intent())
        house.clock.forward(hours=13)
        await make.request(log)
        house.clock.forward(minutes=3)
        await log.conclude(ticket, make.outcome())
        assert await log._store.read(newest_record) == house.clock()
    async with house.open() as log:
        assert log.newest_record_at_start == house.clock()
        assert log.retention_worker() is not None
