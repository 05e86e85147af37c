"""How requests ended, as whoever keeps books beside the log reads it; on both stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from audit import AuditLog, Entry, QueryInvalid, Subject, new_event_id
from audit.endings import endings_after, endings_of, seq_before

ASKED = Entry(action="image:generate", subject=Subject(actor="idp|alice"), content={"prompt": "a fox"})


async def ended(log: AuditLog, effect: str, credits: int = 0) -> str:
    ticket = await log.intend(ASKED)
    await log.conclude(ticket, replace(ASKED, effect=effect, credits=credits))
    return ticket.event_id


async def test_endings_come_in_order_and_a_position_goes_on_where_it_stopped(open_log, clock) -> None:
    async with open_log() as log:
        await log.note(replace(ASKED, action="auth:session:start", effect="allow"))
        ids = [await ended(log, "allow", credits=n) for n in range(5)]
        first = await endings_after(log.store, -1, 3)
        rest = await endings_after(log.store, first[-1].seq, 3)
        assert [(e.event_id, e.credits) for e in (*first, *rest)] == list(zip(ids, range(5), strict=True))
        assert {e.effect for e in (*first, *rest)} == {"allow"}
        assert await endings_after(log.store, rest[-1].seq, 3) == []
        assert first[0].at == clock.now


async def test_an_outcome_after_midnight_is_not_passed_over(open_log, clock) -> None:
    """It lies in its intent's day, behind records of the next one."""
    clock.now = datetime(2026, 11, 22, 23, 59, 50, tzinfo=UTC)
    async with open_log() as log:
        late = await log.intend(ASKED)
        clock.forward(seconds=30)
        next_day = await ended(log, "deny")
        await log.conclude(late, replace(ASKED, effect="mask", credits=2))
        last = await ended(log, "failed")
        one_by_one: list[str] = []
        seq = -1
        while found := await endings_after(log.store, seq, 1):
            one_by_one.append(found[0].event_id)
            seq = found[0].seq
        assert one_by_one == [next_day, late.event_id, last]
        assert (await endings_of(log.store, [late.event_id]))[late.event_id].credits == 2


async def test_an_open_request_and_an_unknown_one_have_no_ending(open_log) -> None:
    async with open_log() as log:
        ticket = await log.intend(ASKED)
        gone = await ended(log, "cancelled")
        found = await endings_of(log.store, [ticket.event_id, gone, new_event_id(log.now())])
        assert {event_id: ending.effect for event_id, ending in found.items()} == {gone: "cancelled"}
        with pytest.raises(QueryInvalid):
            await endings_of(log.store, ["not-an-id"])


async def test_a_day_is_found_by_its_first_sequence_number(open_log, clock) -> None:
    async with open_log() as log:
        assert await seq_before(log.store, date(2026, 11, 22)) == -1
        first = await ended(log, "allow")
        clock.forward(days=2)
        second = await ended(log, "allow")
        start = await seq_before(log.store, date(2026, 11, 23))
        assert [e.event_id for e in await endings_after(log.store, start, 9)] == [second]
        assert [
            e.event_id for e in await endings_after(log.store, await seq_before(log.store, date(2026, 11, 22)), 9)
        ] == [
            first,
            second,
        ]
        later = await seq_before(log.store, date(2026, 12, 1))
        assert await endings_after(log.store, later, 9) == []
