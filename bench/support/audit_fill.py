"""Thirty days of made-up requests for the search bench, and the search bench itself.

People and words follow Zipf's law (a few of both are everywhere, most are rare), one request in fifty is denied, one in
two hundred broke. Records are written through the log's own front door: sealed, indexed, sequenced, in the tree.

    python -m bench.support.audit_fill --records 200000        fills a log, searches it, prints the figures
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import itertools
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, Entry, Query, Subject
from bench.support.audit_append import quantile
from bench.support.audit_beds import Bed, intent, outcome, postgres_bed, postgres_server, sqlite_bed

DAYS = 30
PEOPLE, WORDS = 5_000, 20_000
IN_FLIGHT = 256
INTERIOR_INDEX_PAGE = 2
READER = Subject(actor="idp|auditor")


class Zipf:
    """Numbers from 0 on, the smaller the more often."""

    def __init__(self, count: int, slope: float) -> None:
        self._sums = list(itertools.accumulate(1 / (number + 1) ** slope for number in range(count)))

    def choose(self, dice: random.Random) -> int:
        return min(len(self._sums) - 1, bisect.bisect(self._sums, dice.random() * self._sums[-1]))


class Requests:
    """Makes requests. The same seed gives the same ones."""

    def __init__(self, seed: int = 7) -> None:
        self._dice = random.Random(seed)
        self._people, self._words = Zipf(PEOPLE, 0.8), Zipf(WORDS, 1.0)

    def one(self, number: int) -> tuple[Entry, Entry]:
        person = self._people.choose(self._dice)
        words = {f"word{self._words.choose(self._dice)}" for _ in range(self._dice.randint(8, 14))}
        first, last = intent(person), outcome(person)
        who = Subject(actor=f"idp|person-{person}", department="press", groups=first.subject.groups)
        index = {**first.index, "word": tuple(words)}
        first = Entry(action=first.action, subject=who, content=first.content, index=index)
        effect, reasons = "allow", ()
        if number % 50 == 0:
            effect, reasons = "deny", (self._dice.choice(("dlp.payment-card", "dlp.iban", "content.violence")),)
        elif number % 200 == 1:
            effect, reasons = "failed", ("model.unavailable",)
        last = Entry(
            action=last.action,
            subject=who,
            effect=effect,
            reasons=reasons,
            model=last.model,
            content=last.content,
            index=last.index,
        )
        return first, last


class Clock:
    """Set by hand; moves on a little with each look, so that no two records have one time."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=37)
        return self.now


async def fill(log: AuditLog, clock: Clock, records: int, days: int = DAYS) -> float:
    """Write requests, two records each, spread over days; returns the seconds it took."""
    requests, source = records // 2, Requests()
    started, first_day = time.perf_counter(), clock.now
    for day in range(days):
        clock.now = first_day + timedelta(days=day)
        numbers = iter(range(day * requests // days, (day + 1) * requests // days))

        async def worker(numbers: object = numbers) -> None:
            for number in numbers:  # type: ignore[attr-defined]
                first, last = source.one(number)
                await log.conclude(await log.intend(first), last)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - started


def questions(dice: random.Random) -> list[tuple[str, Callable[[], Query], float, float]]:
    """Name, question, and its targets: p50 and p99 in ms."""

    def person(low: int, high: int) -> str:
        return f"idp|person-{dice.randint(low, high)}"

    def word(low: int, high: int) -> str:
        return f"word{dice.randint(low, high)}"

    return [
        ("everything", lambda: Query(), 5, 30),
        ("actor, frequent", lambda: Query(actor=person(0, 20)), 5, 30),
        ("actor, rare", lambda: Query(actor=person(1000, PEOPLE - 1)), 5, 30),
        ("effect deny", lambda: Query(effect="deny"), 5, 30),
        ("reason dlp.*", lambda: Query(reason="dlp."), 5, 30),
        ("action image:*", lambda: Query(action="image:"), 5, 30),
        ("keyword, common", lambda: Query(word=word(0, 30)), 5, 30),
        ("keyword, middling", lambda: Query(word=word(200, 1000)), 5, 30),
        ("keyword, rare", lambda: Query(word=word(5000, WORDS - 1)), 5, 30),
        ("actor AND keyword", lambda: Query(actor=person(0, 50), word=word(5, 30)), 100, 100),
        ("two keywords", lambda: Query(word=f"{word(200, 1000)} {word(200, 1000)}"), 100, 100),
        ("two common keywords", lambda: Query(word=f"{word(0, 30)} {word(31, 60)}"), 100, 100),
        ("actor AND effect", lambda: Query(actor=person(0, 50), effect="deny"), 100, 100),
        ("effect, with counts", lambda: Query(effect="deny", with_facets=True), 100, 100),
        ("everything, with counts", lambda: Query(with_facets=True), 100, 100),
    ]


async def measure(log: AuditLog, times: int) -> None:
    """Newest 50 of each kind of question; the access record that each writes first is part of its time."""
    for name, make, p50, p99 in questions(random.Random(5)):
        await log.search(make(), searched_by=READER)
        taken = []
        rows = 0
        for _ in range(times):
            query = make()
            started = time.perf_counter()
            page = await log.search(query, searched_by=READER)
            taken.append((time.perf_counter() - started) * 1e3)
            rows += len(page.rows)
        middle, slow = quantile(taken, 0.5), quantile(taken, 0.99)
        verdict = "met" if middle <= p50 and slow <= p99 else f"target {p50:g}/{p99:g}"
        print(f"  {name:<26} p50 {middle:7.2f} ms   p99 {slow:7.2f} ms   {rows / times:5.1f} rows   {verdict}")


def index_share(bed: Bed) -> float:
    """Share of the token index in the store's bytes."""
    if bed.database_url:
        return _index_share_of_database(bed.database_url)
    index = whole = 0
    for path in sorted((bed.folder / "log" / "days").glob("*.sqlite")):
        with closing(sqlite3.connect(path)) as connection:
            size = int(connection.execute("pragma page_size").fetchone()[0])
            root = int(connection.execute("select rootpage from sqlite_master where name = 'term'").fetchone()[0])
        file = path.read_bytes()
        whole += len(file) // size
        index += _pages_below(file, size, root)
    return index / whole


def _pages_below(file: bytes, size: int, number: int) -> int:
    """Pages of the B-tree under a page (SQLite file format, section 1.6). Python's SQLite has no dbstat to ask."""
    page = file[(number - 1) * size : number * size]
    if page[0] != INTERIOR_INDEX_PAGE:
        return 1
    cells = int.from_bytes(page[3:5], "big")
    pointers = (int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell], "big") for cell in range(cells))
    children = [int.from_bytes(page[at : at + 4], "big") for at in pointers]
    children.append(int.from_bytes(page[8:12], "big"))
    return 1 + sum(_pages_below(file, size, child) for child in children)


def _index_share_of_database(url: str) -> float:
    import psycopg

    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select coalesce(sum(pg_relation_size(i.indexrelid)) filter (where a.amname = 'gin'), 0)::bigint,"
            " (select sum(pg_total_relation_size(c.oid))::bigint from pg_class c join pg_namespace n"
            "  on n.oid = c.relnamespace where n.nspname = 'audit' and c.relkind = 'r')"
            " from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam"
            " join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'audit'"
        ).fetchone()
    assert found is not None
    return float(found[0] / found[1])


async def run(bed: Bed, records: int, times: int) -> None:
    """Fill, unless the bed holds a log already, then search."""
    clock = Clock(datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1))
    if not (bed.folder / "log").exists():
        log = await AuditLog.open(bed.settings(max_pending=8192), clock=clock)
        seconds = await fill(log, clock, records)
        await log.aclose()
        print(f"{bed.name}: {records:,} records over {DAYS} days in {seconds:.0f} s")
    print(f"  token index: {index_share(bed):.1%} of the store")
    clock.now = datetime.now(UTC)
    log = await AuditLog.open(bed.settings(), clock=clock)
    await measure(log, times)
    await log.aclose()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.support.audit_fill", description="Measure searches.")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--times", type=int, default=200, help="searches of each kind")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--folder", type=Path, default=None, help="where to put the log (the temporary folder)")
    parser.add_argument(
        "--keep", type=Path, default=None, help="SQLite: fill this folder and keep it, or search it again"
    )
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        if options.keep is not None:
            bed = Bed(name="SQLite", folder=options.keep)
        elif options.store == "sqlite":
            bed = stack.enter_context(sqlite_bed(options.folder))
        else:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
            server = stack.enter_context(postgres_server(base))
            bed = stack.enter_context(postgres_bed(base, server, "fill"))
        asyncio.run(run(bed, options.records, options.times))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
