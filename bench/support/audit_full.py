"""A log that is full: thirty days of requests written through its own front door, then searched, proven, verified and
purged. Nothing is put in behind its back, so what is measured is what a company would have."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, Entry, Query
from audit.verify import verify_store
from bench.support import audit_read as read
from bench.support.audit_beds import Bed, intent, outcome
from bench.support.audit_fill import index_share
from bench.support.results import Figure

DAYS = 30
PEOPLE = 2000
IN_FLIGHT = 256
COMMON, RARE_WORD = "harbour", "zeppelin"
WORDS = ("river", "fox", "castle", "winter", "market", "glass", "orchid", "train", "valley", "lantern")


class Clock:
    """Stands still within a day until it is moved, so that thirty days pass in minutes."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=37)
        return self.now


def entries(number: int, dice: random.Random) -> tuple[Entry, Entry]:
    """One request: person by a long tail, one in fifty denied, words for the keyword index."""
    person = min(int(dice.paretovariate(0.7)), PEOPLE)
    words = dice.sample(WORDS, 3)
    if dice.random() < 0.2:
        words.append(COMMON)
    if dice.random() < 0.0002:
        words.append(RARE_WORD)
    first, last = intent(person), outcome(person)
    first.index["word"] = tuple(words)  # type: ignore[index]  # the bench's own entry, not yet handed over
    if number % 50 == 0:
        last = Entry(
            action=last.action,
            subject=last.subject,
            effect="deny",
            reasons=("dlp.payment-card",),
            content={"error": "Denied"},
            index=last.index,
        )
    return first, last


async def fill(log: AuditLog, clock: Clock, records: int) -> tuple[list[str], float]:
    """Write the days; returns some event ids and the seconds it took."""
    dice = random.Random(11)
    ids: list[str] = []
    requests = records // 2
    started = time.perf_counter()
    first_day = clock.now
    for day in range(DAYS):
        clock.now = first_day + timedelta(days=day)
        pending = iter(range(day * requests // DAYS, (day + 1) * requests // DAYS))

        async def worker(pending: object = pending) -> None:
            for number in pending:  # type: ignore[attr-defined]
                first, last = entries(number, dice)
                ticket = await log.intend(first)
                await log.conclude(ticket, last)
                if number % 997 == 0:
                    ids.append(ticket.event_id)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        if (day + 1) % 5 == 0:
            print(f"  {day + 1} of {DAYS} days written, {time.perf_counter() - started:,.0f} s", flush=True)
    return ids, time.perf_counter() - started


async def full_log(bed: Bed, records: int) -> list[Figure]:
    """Fill, then every figure that depends on size."""
    clock = Clock(datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1))
    log = await bed.open(clock=clock, max_pending=8192)
    ids, seconds = await fill(log, clock, records)
    print(f"  filled in {seconds:,.0f} s ({records / seconds:,.0f} records/s, both phases)")
    while log.checkpoint_size() < records:
        await asyncio.sleep(0.2)
    share, size = index_share(bed), f"{records:,} records"
    print(f"  token index: {share:.1%} of the store")
    figures = [
        Figure(figure=f"{bed.name}: {size}, token index, share of the store", unit="%", value=share * 100, target=20)
    ]
    figures += [*await _searches(bed, log, size), *await _proofs(bed, log, ids, records)]
    figures += await _purge(bed, log, clock, size)
    await log.aclose()
    figures.append(_verify(bed, records))
    return figures


TARGETS_UP_TO = 2_000_000
"""Records for which searches have a target; of a larger log the figures are to know."""


async def _searches(bed: Bed, log: AuditLog, size: str) -> list[Figure]:
    dice = random.Random(5)
    questions = [
        ("actor, frequent", lambda: Query(actor=f"idp|person-{dice.randint(1, 20)}"), 5, 30),
        ("actor, any", lambda: Query(actor=f"idp|person-{dice.randint(1, 499)}"), 5, 30),
        ("effect deny", lambda: Query(effect="deny"), 5, 30),
        ("reason dlp.", lambda: Query(reason="dlp."), 5, 30),
        ("keyword, common", lambda: Query(word=COMMON), 5, 30),
        ("keyword, rare", lambda: Query(word=RARE_WORD), 5, 30),
        ("actor and effect", lambda: Query(actor=f"idp|person-{dice.randint(1, 20)}", effect="deny"), 100, 100),
        ("two keywords", lambda: Query(word=f"{dice.choice(WORDS)} {RARE_WORD}"), 100, 100),
    ]
    figures = []
    found = await read.searches(log, [(name, make) for name, make, *_ in questions], 200)
    for name, _, p50, p99 in questions:
        spread = found[name]
        print(f"  search newest 50 by {name:<20} p50 {spread.p50:7.1f} ms   p99 {spread.p99:7.1f} ms")
        for which, value, target in (("p50", spread.p50, p50), ("p99", spread.p99, p99)):
            figures.append(
                Figure(
                    figure=f"{bed.name}: {size}, search {name}, {which}",
                    unit="ms",
                    value=value,
                    target=target if log.checkpoint_size() < TARGETS_UP_TO else None,
                )
            )
    return figures


async def _proofs(bed: Bed, log: AuditLog, ids: list[str], records: int) -> list[Figure]:
    made, checked = await read.proofs(log, ids, 200), await read.verify_times(log, ids, 500)
    print(f"  proof p50 {made.p50:.2f} ms, p99 {made.p99:.2f} ms; checking one {checked.p50:.2f} ms")
    return [
        Figure(
            figure=f"{bed.name}: {records:,} records, proof, p50",
            unit="ms",
            value=made.p50,
            target=5 if records <= 1_000_000 else 10,
            beside={"pymerkle at 200,000 (shared figures)": 790},
        ),
        Figure(
            figure=f"{bed.name}: {records:,} records, checking a proof, p50", unit="ms", value=checked.p50, target=1
        ),
    ]


async def _purge(bed: Bed, log: AuditLog, clock: Clock, size: str) -> list[Figure]:
    def a_day_later() -> None:
        clock.now += timedelta(days=2)

    found = await read.purge(log, a_day_later)
    print(
        f"  purge of a day while 8 writers go on: {found.space_seconds:.2f} s; "
        f"writers' p99 {found.writers.p99:.1f} ms (before: {found.writers_before.p99:.1f} ms)"
    )
    return [
        Figure(figure=f"{bed.name}: {size}, purge a day, space freed", unit="s", value=found.space_seconds, target=60),
        Figure(
            figure=f"{bed.name}: {size}, writers' p99 during the purge", unit="ms", value=found.writers.p99, target=50
        ),
    ]


def _verify(bed: Bed, records: int) -> Figure:
    started = time.perf_counter()
    report = verify_store(bed.database_url or Path(bed.folder / "log"), None, None)
    seconds = time.perf_counter() - started
    assert report.ok, report.findings[:3]
    print(f"  offline verification of all {report.records:,} records: {seconds:.1f} s")
    return Figure(
        figure=f"{bed.name}: {records:,} records, verified offline, a million of them",
        unit="s",
        value=seconds * 1_000_000 / max(1, report.records),
        target=30,
    )
