"""What a search promises beyond finding the right records: it is on record first, it ends, its pages stay put.

That it finds the right ones is shown on both stores by ``tests/contract/audit/test_search.py``.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest

from audit import AuditUnavailable, Query, QueryInvalid, new_event_id
from audit.query import Condition, Field
from tests.support.cases import open_content


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


async def test_a_key_file_put_back_from_a_backup_finds_nobody(house: Any, make: Any) -> None:
    house.with_settings(retention_days=1)
    async with house.open() as log:
        await make.request(log)
        keys = house.store / "keys"
        (file,) = keys.glob("2026-11-22.default.*.json")
        shutil.copy2(file, house.folder / "backup")
        house.clock.forward(days=3)
        await log.purge()
        shutil.copy2(house.folder / "backup", file)
        dana = make.subject("dana")
        assert (await log.search(Query(actor="alice"), searched_by=dana)).rows == ()
        by_effect = await log.search(Query(effect="allow", action="image:generate"), searched_by=dana)
        assert [row.subject for row in by_effect.rows] == [None]
        not_bob = Query(conditions=[Condition(Field.ACTOR, ("bob",), negated=True)], action="image:generate")
        assert (await log.search(not_bob, searched_by=dana)).rows == ()


async def test_another_tenant_is_neither_found_nor_counted(house: Any, make: Any) -> None:
    async with house.open() as log:
        await log.note(make.outcome("alice", tenant="other", reasons=("dlp.iban",)))
        await make.request(log)
        for query in (
            Query(actor="alice", with_facets=True),
            Query(action="image:", with_facets=True),
            Query(reason="dlp.", with_facets=True),
            Query(with_facets=True),
        ):
            page = await log.search(query, searched_by=make.subject("dana"))
            assert {row.tenant for row in page.rows} <= {"default"}
            assert page.count is not None
            assert page.count.number == len(page.rows)
            assert page.facets["reason"] == ()


async def test_a_cursor_does_not_open_another_search(house: Any, make: Any) -> None:
    async with house.open() as log:
        for _ in range(3):
            await make.request(log)
        page = await log.search(Query(actor="alice", limit=1), searched_by=make.subject("dana"))
        with pytest.raises(QueryInvalid, match="other conditions"):
            Query(actor="bob", limit=1, cursor=page.next_cursor)


async def test_counts_cost_nothing_unless_they_are_asked_for(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        page = await log.search(Query(), searched_by=make.subject("dana"))
        assert (page.count, dict(page.facets)) == (None, {})
