"""How PostgreSQL answers a search. Plans are looked at, not the clock, as they are when nothing is known of the values:
a scan of everything, or a walk from the wrong end, costs seconds at a million records."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from audit import Query, Subject
from audit.query import read_query
from audit.store.port import StoreReader
from audit.store.postgres import day_view
from audit.store.postgres.connection import ask
from audit.store.postgres.reader import SnapshotReader
from audit.store.search import choice
from audit.store.search.choice import Part
from audit.store.search.plan import DayPlan, plan_days
from audit.store.search.tokens import DayClasses

AUDITOR = Subject(actor="dana")


@pytest.fixture
async def log(place: Any, make: Any) -> AsyncIterator[Any]:
    """Two days. Alice is often there, bob once a day."""
    async with place.open() as log:
        for day in range(2):
            for number in range(40):
                who = "bob" if number == 20 else "alice"
                words = ("fox", "rare") if number == 7 else ("fox",)
                ticket = await log.intend(make.intent(who, index={"word": words}))
                effect = "deny" if number % 10 == 0 else "allow"
                class_, reasons = "abuse" if number % 2 else "standard", ("mfa.stale",) if number % 5 == 0 else ()
                await log.conclude(ticket, make.outcome(who, effect, class_=class_, reasons=reasons))
            if day == 0:
                place.clock.forward(days=1)
        with place.dba() as dba:
            dba.execute("analyze")  # as the server does by itself within a minute, and plans then anew
        yield log


def call_frequent(monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """A token that so many records of a day have, however large the day, is walked in order."""
    monkeypatch.setattr(day_view, "FREQUENT", records)
    monkeypatch.setattr(day_view, "_WALKED_FOR_A_FETCH", 0)


def plan_of(log: Any, place: Any, text: str, reader: StoreReader) -> DayPlan:
    query = read_query(text, now=place.clock())
    day = reader.days()[-1]
    view = reader.day(day)
    assert view is not None
    (plan,) = plan_days(query, reader, [Part(view, DayClasses(log._ring, query.tenant).on(day), 10_000)])
    return plan


async def explained(log: Any, place: Any, text: str) -> str:
    """The plan that is kept for finding a day's newest matches."""

    def read(reader: StoreReader) -> str:
        assert isinstance(reader, SnapshotReader)
        plan = plan_of(log, place, text, reader)
        found = plan.newest(51)
        statement = plan.view.statement(found.text)  # type: ignore[attr-defined]  # a day of PostgreSQL
        lines = reader._connection.execute(f"explain (generic_plan) {_numbered(statement)}".encode(), prepare=False)
        return "\n".join(line for (line,) in lines)

    explanation: str = await log._store.read(read)
    return explanation


def _numbered(statement: str) -> str:
    numbers = itertools.count(1)
    first, *others = statement.split("?")
    return first + "".join(f"${next(numbers)}{part}" for part in others)


@pytest.mark.parametrize("bound", [1, 1_000])
@pytest.mark.parametrize(
    "text",
    [
        "actor:alice",
        "actor:alice,bob",
        "fox",
        '"fox rare"',
        "actor:alice fox -actor:bob",
        "effect:deny actor:alice",
        "effect:deny",
        "reason:mfa.stale",
        "action:image:generate",
        "",
        "effect:deny -reason:mfa.stale class:standard",
    ],
)
async def test_no_kind_of_search_scans_a_day_or_begins_with_its_records(
    log: Any, place: Any, text: str, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_frequent(monkeypatch, bound)
    monkeypatch.setattr(choice, "_RARE", min(bound, choice._RARE))
    plan = await explained(log, place, text)
    assert "Seq Scan" not in plan
    assert "Hash" not in plan
    assert "Merge Join" not in plan
    assert "Join Filter" not in plan  # each row is looked up by an index, not compared with all of the other side


async def test_a_token_of_few_records_is_looked_up_and_one_of_many_is_walked_in_order(
    log: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await explained(log, place, "actor:alice")
    assert "terms_idx" in few
    assert "Index Scan Backward" not in few
    call_frequent(monkeypatch, 10)
    many = await explained(log, place, "actor:alice")
    assert "terms_idx" not in many
    assert "Index Scan Backward" in many
    assert "->  Sort" not in many  # each walk stops when the page is full
    assert "terms_idx" in await explained(log, place, "actor:bob")


async def test_many_conditions_are_asked_of_the_number_before_the_record_is_looked_up(log: Any, place: Any) -> None:
    lines = (await explained(log, place, "actor:alice effect:deny")).splitlines()
    records = next(number for number, line in enumerate(lines) if " h" in line and "Scan" in line)
    tokens = next(number for number, line in enumerate(lines) if "sealed_" in line and "Scan" in line)
    assert tokens < records  # of a nested loop, what comes first is done first


@pytest.mark.parametrize(
    "text", ["actor:alice", "actor:bob", "fox", '"fox rare"', "actor:alice effect:deny", "rare fox"]
)
async def test_both_ways_and_all_numbers_of_days_find_the_same(
    log: Any, place: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pages(limit: int) -> Sequence[str]:
        found: list[str] = []
        cursor = None
        while True:
            query = read_query(text, now=place.clock())
            asked = Query(conditions=query.conditions, limit=limit, cursor=cursor)
            page = await log.search(asked, searched_by=AUDITOR)
            found += [row.event_id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                return found

    expected = await pages(50)
    assert len(expected) == len(set(expected)) > 0
    call_frequent(monkeypatch, 1)
    monkeypatch.setattr("audit.store.search._DAYS_AT_ONCE", (2,))
    assert await pages(7) == expected


async def test_a_search_is_planned_once_whoever_is_looked_for(log: Any, behind: Any) -> None:
    """Else each search over thirty days would cost tens of milliseconds of planning."""

    def texts(reader: StoreReader) -> int:
        assert isinstance(reader, SnapshotReader)
        ((number,),) = ask(reader._connection, "select count(*) from pg_prepared_statements", ())
        return int(number)

    def search(actor: str) -> Any:
        return log.search(Query(actor=actor), searched_by=AUDITOR)

    behind(log)._reader._executor._max_workers = 1  # one connection, whose plans can be counted
    await search("alice")
    await log._store.read(texts)
    known = await log._store.read(texts)
    for actor in ("bob", "nobody", "alice", "bob"):
        await search(actor)
    assert await log._store.read(texts) == known
