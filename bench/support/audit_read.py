"""How fast a full log answers: searches, proofs, verification, and the purge of a day, each with its spread."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from audit import AuditLog, Query, Subject
from bench.support.audit_append import quantile
from bench.support.audit_beds import intent

READER = Subject(actor="idp|auditor")


@dataclass(frozen=True, slots=True)
class Spread:
    """Times in ms."""

    p50: float
    p99: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Spread:
        return cls(quantile(times, 0.5), quantile(times, 0.99))


async def timed(one: Callable[[], Awaitable[object]], times: int) -> Spread:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await one()
        found.append((time.perf_counter() - started) * 1e3)
    return Spread.of(found)


async def searches(log: AuditLog, queries: Sequence[tuple[str, Callable[[], Query]]], times: int) -> dict[str, Spread]:
    """Newest 50 of each kind of question. The access record that each search writes first is part of its time."""
    return {
        name: await timed(lambda make=make: log.search(make(), searched_by=READER), times) for name, make in queries
    }


async def proofs(log: AuditLog, event_ids: Sequence[str], times: int) -> Spread:
    """Proof of a random record against the newest checkpoint."""
    chosen = random.Random(7).choices(event_ids, k=times)
    found = iter(chosen)

    async def one() -> None:
        await log.proof(next(found))

    return await timed(one, times)


async def verify_times(log: AuditLog, event_ids: Sequence[str], times: int) -> Spread:
    """Checking one proof: signature and path."""
    made = [(await log.proof(event_id))[0] for event_id in random.Random(8).choices(event_ids, k=20)]
    found = []
    for number in range(times):
        proof = made[number % len(made)]
        started = time.perf_counter()
        assert proof.verify(log.verifier_key)
        found.append((time.perf_counter() - started) * 1e3)
    return Spread.of(found)


@dataclass(frozen=True, slots=True)
class PurgeFigures:
    space_seconds: float
    writers: Spread
    writers_before: Spread


async def purge(log: AuditLog, at_day_end: Callable[[], object], writers: int = 8) -> PurgeFigures:
    """Purge what is due while writers go on; ``at_day_end`` moves the log's clock so that a day is due."""
    times: list[float] = []
    stop = asyncio.Event()

    async def writer(number: int) -> None:
        while not stop.is_set():
            started = time.perf_counter()
            await log.note(intent(number))
            times.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(writer(number)) for number in range(writers)]
    await asyncio.sleep(1.5)
    before, times[:] = list(times), []
    at_day_end()
    started = time.perf_counter()
    receipts = await log.purge()
    space = time.perf_counter() - started
    assert receipts, "nothing was due"
    stop.set()
    await asyncio.gather(*tasks)
    return PurgeFigures(space, Spread.of(times or [0.0]), Spread.of(before))
