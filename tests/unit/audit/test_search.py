"""Searching gives what a plain scan of everything would give."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import AuditLog, AuditSettings, AuditUnavailable, Entry, Query, Subject, new_event_id
from tests.support.cases import open_content

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
ACTORS = ("alice", "bob", "carol")
ACTIONS = ("image:generate", "image:edit", "auth:sign-in")
EFFECTS = ("allow", "deny", "mask", "unknown")
REASONS = ("dlp.payment-card", "dlp.iban", "dlp", "dlpx.other", "mfa.stale")
MODELS = ("", "small", "large")


@dataclass(frozen=True)
class Event:
    """One thing that happened, in plain text."""

    after_seconds: int
    actor: str
    action: str
    effect: str  # "" stays open
    reasons: tuple[str, ...]
    model: str
    class_: str
    tenant: str


events = st.lists(
    st.builds(
        Event,
        after_seconds=st.sampled_from([0, 1, 3600, 40_000]),
        actor=st.sampled_from(ACTORS),
        action=st.sampled_from(ACTIONS),
        effect=st.sampled_from(["", *EFFECTS]),
        reasons=st.lists(st.sampled_from(REASONS), max_size=2).map(tuple),
        model=st.sampled_from(MODELS),
        class_=st.sampled_from(["standard", "abuse"]),
        tenant=st.sampled_from(["default", "other"]),
    ),
    max_size=14,
)
moments = st.none() | st.integers(0, 200_000).map(lambda seconds: START + timedelta(seconds=seconds))
queries = st.lists(
    st.fixed_dictionaries(
        {
            "actor": st.none() | st.sampled_from([*ACTORS, "nobody"]),
            "action": st.none() | st.sampled_from([*ACTIONS, "image:", "auth:", "image:generat"]),
            "effect": st.none() | st.sampled_from(EFFECTS),
            "reason": st.none() | st.sampled_from(["dlp.", "dlp", "dlp.iban", "mfa.", "x."]),
            "model": st.none() | st.sampled_from(["small", "large", "none"]),
            "created_from": moments,
            "created_to": moments,
            "limit": st.sampled_from([1, 2, 3, 200]),
            "tenant": st.sampled_from(["default", "other"]),
        }
    ),
    min_size=1,
    max_size=6,
)


def matches(event: Event, at: datetime, query: dict[str, Any]) -> bool:
    reasons = event.reasons if event.effect else ()
    wanted = query["reason"]
    return (
        event.tenant == query["tenant"]
        and query["actor"] in (None, event.actor)
        and _means(query["action"], event.action)
        and query["effect"] in (None, event.effect)
        and query["model"] in (None, event.model)
        and (query["created_from"] is None or at >= query["created_from"])
        and (query["created_to"] is None or at < query["created_to"])
        and (wanted is None or any(_means(wanted, reason) for reason in reasons))
    )


def _means(wanted: str | None, code: str) -> bool:
    """A whole code means itself; one that ends in a separator means all that begin with it."""
    return wanted is None or code == wanted or (wanted[-1] in ".:" and code.startswith(wanted))


async def run(folder: Path, happened: list[Event], asked: list[dict[str, Any]]) -> None:
    now = START
    log = await AuditLog.open(
        AuditSettings(
            directory=folder / "log",
            kek_path=folder / "kek",
            signing_key_path=folder / "signing.pem",
            origin="example.com/audit",
            create_keys=True,
            checkpoint_interval_seconds=3600,
        ),
        clock=lambda: now,
    )
    try:
        known: list[tuple[str, datetime, Event]] = []
        for event in happened:
            now += timedelta(seconds=event.after_seconds)
            common = {"action": event.action, "subject": Subject(actor=event.actor), "tenant": event.tenant}
            ticket = await log.intend(Entry(**common, model=event.model))
            known.append((ticket.event_id, now, event))
            if event.effect:
                outcome = Entry(
                    **common, effect=event.effect, reasons=event.reasons, model=event.model, class_=event.class_
                )
                await log.conclude(ticket, outcome)
        for query in asked:
            # Accesses are events too; a tenant and actor of their own keep them out of the comparison.
            expected = [event_id for event_id, at, event in reversed(known) if matches(event, at, query)]
            found: list[str] = []
            cursor = None
            while True:
                page = await log.search(Query(**query, cursor=cursor), searched_by=Subject(actor="dana"))
                assert len(page.rows) <= query["limit"]
                found += [row.event_id for row in page.rows if row.action != "audit:record:search"]
                for row in page.rows:
                    if row.action != "audit:record:search":
                        event = next(event for event_id, _, event in known if event_id == row.event_id)
                        assert row.subject is not None
                        assert (row.subject.actor, row.effect) == (event.actor, event.effect)
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert found == expected
    finally:
        await log.aclose()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events, queries)
def test_search_equals_a_scan_of_the_plain_text(happened: list[Event], asked: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), happened, asked))


async def test_pages_stay_put_while_others_write_and_conclude(house: Any, make: Any) -> None:
    async with house.open() as log:
        tickets = [await log.intend(make.intent(f"user-{number}")) for number in range(9)]
        dana = make.subject("dana")
        first = await log.search(Query(action="image:generate", limit=4), searched_by=dana)
        for ticket, number in zip(tickets, range(9), strict=True):
            await log.conclude(ticket, make.outcome(f"user-{number}"))
        await make.request(log, "latecomer")
        rest = await log.search(Query(action="image:generate", limit=100, cursor=first.next_cursor), searched_by=dana)
        assert [row.event_id for row in (*first.rows, *rest.rows)] == [ticket.event_id for ticket in reversed(tickets)]
        assert {row.effect for row in first.rows} == {""}
        assert {row.effect for row in rest.rows} == {"allow"}
        assert rest.next_cursor is None


async def test_a_search_does_not_find_itself(house: Any, make: Any) -> None:
    async with house.open() as log:
        page = await log.search(Query(), searched_by=make.subject("dana"))
        assert page.rows == ()
        again = await log.search(Query(), searched_by=make.subject("dana"))
        assert [row.event_id for row in again.rows] == [page.access.event_id]


async def test_an_event_is_found_by_its_id_even_if_its_maker_had_another_clock(house: Any, make: Any) -> None:
    async with house.open() as log:
        event_id = new_event_id(house.clock() - timedelta(days=3))
        await log.intend(make.intent(), event_id=event_id)
        page = await log.search(Query(event_id=event_id), searched_by=make.subject("dana"))
        assert [row.event_id for row in page.rows] == [event_id]
        assert (await log.get(event_id, looked_by=make.subject("dana"))).event_id == event_id


async def test_accesses_to_a_record_are_found_by_its_id(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        view = await log.get(ticket.event_id, looked_by=make.subject("dana"))
        assert view.access.phase == "access"
        page = await log.search(Query(action="audit:record:show"), searched_by=make.subject("erin"))
        assert [(row.event_id, row.subject.actor if row.subject else "") for row in page.rows] == [
            (view.access.event_id, "dana")
        ]


async def test_a_search_that_cannot_be_recorded_shows_nothing(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.disk.before_commit = [OSError(28, "No space left on device")]
        with pytest.raises(AuditUnavailable):
            await log.search(Query(), searched_by=make.subject("dana"))


async def test_content_that_cannot_be_put_on_record_is_not_opened(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        house.disk.before_commit = [OSError(28, "No space left on device")]
        with pytest.raises(AuditUnavailable):
            await open_content(log, ticket.event_id, by="dana", purpose="case 1")


async def test_a_search_that_takes_too_long_is_stopped(house: Any, make: Any) -> None:
    house.with_settings(read_timeout_seconds=0.000001)
    async with house.open() as log:
        for _ in range(300):
            await make.request(log)
        with pytest.raises(AuditUnavailable, match="took longer"):
            await log.search(Query(model="none"), searched_by=make.subject("dana"))


@pytest.mark.parametrize(
    "query", [Query(actor="alice"), Query(effect="deny"), Query(), Query(event_id=new_event_id(START))]
)
async def test_each_kind_of_query_walks_an_index_and_sorts_nothing(house: Any, make: Any, query: Query) -> None:
    """The plan, not the clock: a sort, or a scan of all records, would cost seconds on a million of them."""
    async with house.open() as log:
        await make.request(log)
        statements: list[str] = []
        await log._store._reader.run(lambda reader: reader.day(START.date() + timedelta(days=2)))
        file = log._store._reader._open[START.date() + timedelta(days=2)]
        await log._store._reader.run(lambda _: file.connection.set_trace_callback(statements.append))
        await log.search(query, searched_by=make.subject("dana"))
        (statement,) = [text for text in statements if "order by" in text]
        steps = await log._store._reader.run(
            lambda _: [row[3] for row in file.connection.execute(f"explain query plan {statement}")]
        )
    assert not any("TEMP B-TREE" in step for step in steps), steps
    assert not any(step.startswith("SCAN") and "USING" not in step and query != Query() for step in steps), steps
