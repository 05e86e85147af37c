"""How fast the log takes records, beside the disk's own rate and bare group-committed inserts of the same size."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit import AuditLog
from bench.support.audit_beds import intent, outcome

WAL_WRITE_BYTES = 8192
BARE_BYTES = 1300
GROUP = 64


def disk_rate(folder: Path, seconds: float) -> float:
    """Overwrites of 8 KiB with ``fdatasync`` a second, one after the other: what one commit of a WAL costs at least."""
    path = folder / "probe"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.write(descriptor, bytes(16 << 20))
        os.fsync(descriptor)
        block, done, place = os.urandom(WAL_WRITE_BYTES), 0, 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            os.pwrite(descriptor, block, place)
            os.fdatasync(descriptor)
            place = (place + WAL_WRITE_BYTES) % (16 << 20)
            done += 1
    finally:
        os.close(descriptor)
        path.unlink()
    return done / seconds


async def drive(one: Callable[[int], Awaitable[object]], writers: int, seconds: float) -> tuple[float, list[float]]:
    """Events a second, and the time of each in ms."""
    times: list[float] = []
    begin = time.perf_counter()
    end = begin + seconds

    async def writer(number: int) -> None:
        while time.perf_counter() < end:
            started = time.perf_counter()
            await one(number)
            times.append((time.perf_counter() - started) * 1e3)

    await asyncio.gather(*(writer(number) for number in range(writers)))
    return len(times) / (time.perf_counter() - begin), times


class _Grouper:
    """Commits whatever queued up during the last commit, at most ``GROUP`` at once."""

    def __init__(self, commit: Callable[[int], None]) -> None:
        self._commit = commit
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._executor = ThreadPoolExecutor(1)
        self._task = asyncio.create_task(self._run())

    async def add(self, _number: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            batch, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            if not self._waiting:
                self._wake.clear()
            await loop.run_in_executor(self._executor, self._commit, len(batch))
            for future in batch:
                future.set_result(None)

    def close(self) -> None:
        self._task.cancel()
        self._executor.shutdown()


async def bare_sqlite(folder: Path, writers: int, seconds: float) -> float:
    """Group-committed inserts of one column of 1.3 KB: no sealing, no index, no sequence, no tree."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        connection = sqlite3.connect(f"{place}/bare.db", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4000"):
            connection.execute(f"pragma {pragma}")
        connection.execute("create table bare (id integer primary key, body blob)")
        body = os.urandom(BARE_BYTES)

        def commit(count: int) -> None:
            connection.execute("begin immediate")
            connection.executemany("insert into bare (body) values (?)", [(body,)] * count)
            connection.execute("commit")

        grouper = _Grouper(commit)
        rate, _ = await drive(grouper.add, writers, seconds)
        grouper.close()
        connection.close()
    return rate


async def bare_postgres(url: str, writers: int, seconds: float) -> float:
    """The same on PostgreSQL, by COPY."""
    import psycopg

    connection = psycopg.connect(url)
    connection.execute("create table bare (id bigint generated always as identity, body bytea)")
    connection.commit()
    body = os.urandom(BARE_BYTES)

    def commit(count: int) -> None:
        with connection.cursor() as cursor, cursor.copy("copy bare (body) from stdin (format binary)") as copy:
            copy.set_types(["bytea"])
            for _ in range(count):
                copy.write_row((body,))
        connection.commit()

    grouper = _Grouper(commit)
    rate, _ = await drive(grouper.add, writers, seconds)
    grouper.close()
    connection.execute("drop table bare")
    connection.commit()
    connection.close()
    return rate


async def two_phase(log: AuditLog, requests_per_second: int, seconds: float) -> list[float]:
    """Time of intent and outcome together, in ms, at a steady rate of requests."""
    times: list[float] = []

    async def request(number: int) -> None:
        started = time.perf_counter()
        ticket = await log.intend(intent(number))
        between = time.perf_counter()
        await asyncio.sleep(0.03)  # the model
        after = time.perf_counter()
        await log.conclude(ticket, outcome(number))
        times.append((between - started + time.perf_counter() - after) * 1e3)

    tasks = []
    begin = time.perf_counter()
    for number in range(int(requests_per_second * seconds)):
        await asyncio.sleep(max(0.0, begin + number / requests_per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(request(number)))
    await asyncio.gather(*tasks)
    return times


async def checkpoint_lag(log: AuditLog, samples: int) -> list[float]:
    """From durable to covered by a signed checkpoint, in seconds, under a light load."""
    lags = []
    for number in range(samples):
        ticket = await log.intend(intent(number))
        durable = time.perf_counter()
        while log.checkpoint_size() <= ticket.seq:
            await asyncio.sleep(0.005)
        lags.append(time.perf_counter() - durable)
        await log.conclude(ticket, outcome(number))
        await asyncio.sleep(0.013 * (number % 7))  # so that samples fall anywhere within the second
    return lags


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
