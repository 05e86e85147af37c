"""Between keeping what is held and destroying the rest nothing comes in: no hold, and no record of the day.

Each test stops a purge or an erasure right there, by a double around the step before, and tries to come in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import AuditUnavailable, TicketConcluded, TicketExpired
from audit.governance.holds import Hold, HoldKind, HoldState
from audit.governance.scope import HoldScope
from audit.governance.settling import Settling
from audit.record import Effect, Entry, Subject, Ticket
from audit.retention import Retention
from tests.support.governed import START, Governed

DAY = START.date()
ALICE = HoldScope(actor="alice", from_day=DAY)
_LONG_ENOUGH_SECONDS = 0.5  # for a hold to be placed, if nothing stopped it


async def _by_two_people(governed: Governed) -> Callable[[], Awaitable[Hold]]:
    asked = await governed.governance.holds.request(HoldKind.LEGAL, ALICE, "court 17/26", governed.officer("dana"))
    return lambda: governed.governance.holds.place(asked.id, governed.officer("erin"))


async def _by_the_product(governed: Governed) -> Callable[[], Awaitable[Hold]]:
    return lambda: governed.governance.holds.place_abuse_hold(ALICE, "abuse", Subject(actor="system:abuse"))


@pytest.mark.parametrize("way", [_by_two_people, _by_the_product])
async def test_a_hold_is_never_placed_between_keeping_and_destroying(governed: Governed, way: Any) -> None:
    loop = asyncio.get_running_loop()
    async with governed.open() as governance:
        await governed.request("alice", "the evidence")
        governed.forward(days=31)
        place = await way(governed)
        was_destroyed_when_placed: list[bool] = []
        placing: list[Future[Hold]] = []

        async def place_and_look() -> Hold:
            hold = await place()
            was_destroyed_when_placed.append(governed.store.ring.is_destroyed(DAY))
            return hold

        def escrow(day: date, class_: str) -> frozenset[int]:
            held = governance.escrow(day, class_)
            if not placing:
                placing.append(asyncio.run_coroutine_threadsafe(place_and_look(), loop))
                with pytest.raises(TimeoutError):  # it waits for us
                    placing[0].result(_LONG_ENOUGH_SECONDS)
            return held

        governed.log.retention.escrow = escrow
        (receipt,) = await governed.log.purge()
        hold = await asyncio.wrap_future(placing[0])
        assert receipt.held == 0
        assert hold.state is HoldState.ACTIVE
        assert was_destroyed_when_placed == [True]  # it was placed when what it does not keep was gone


async def test_a_purge_waits_while_a_hold_is_being_placed(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice", "the evidence")
        governed.forward(days=31)
        with governance.settling.alone():
            purging = asyncio.create_task(governed.log.purge())
            await asyncio.sleep(_LONG_ENOUGH_SECONDS)
            assert not governed.store.ring.is_destroyed(DAY)
        await purging
        assert governed.store.ring.is_destroyed(DAY)


async def test_a_purge_that_does_not_get_its_turn_destroys_nothing(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice")
        governed.forward(days=31)
        impatient = Settling(governed.directory / "keys", patience_seconds=0.1)

        async def nobody(_entry: Entry, _about: str) -> Any:
            raise AssertionError("there is nothing to put on record")

        rules = governed.settings.retention_rules
        retention = Retention(governed.store, rules, nobody, "default", governance.escrow, impatient.alone)
        with governance.settling.alone(), pytest.raises(AuditUnavailable, match="under way"):
            await retention.run(governed.now)
        assert not governed.store.ring.is_destroyed(DAY)
        assert (await governed.log.purge())[0].keys_destroyed == 1  # it does once it has its turn


async def test_a_hold_that_does_not_get_its_turn_is_not_placed(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed.open() as governance:
        monkeypatch.setattr(governance.settling, "_patience_seconds", 0.1)
        place = await _by_two_people(governed)
        with Settling(governed.directory / "keys").alone(), pytest.raises(AuditUnavailable, match="under way"):
            await place()
        assert governance.holds.keeping() == []
        assert (await place()).state is HoldState.ACTIVE


async def _conclude(governed: Governed, ticket: Ticket) -> Any:
    who = Subject(actor="alice", display="Alice")
    return await governed.log.conclude(
        ticket, Entry(action="image:generate", subject=who, effect=Effect.ALLOW, content={"n": 1})
    )


async def test_a_late_outcome_does_not_come_between_keeping_and_destroying(governed: Governed) -> None:
    loop = asyncio.get_running_loop()
    async with governed.open() as governance:
        ticket = await governed.intend("alice", "the evidence")
        await (await _by_two_people(governed))()
        governed.forward(days=31)
        refused: list[BaseException | None] = []

        def escrow(day: date, class_: str) -> frozenset[int]:
            held = governance.escrow(day, class_)
            if not refused:
                refused.append(asyncio.run_coroutine_threadsafe(_conclude(governed, ticket), loop).exception(10))
            return held

        governed.log.retention.escrow = escrow
        (receipt,) = await governed.log.purge()
        (error,) = refused
        assert isinstance(error, AuditUnavailable)  # not acknowledged, so nobody was told that it is safe
        assert receipt.held == 1
        (row,) = await governed.rows(ticket.event_id)  # the intent alone
        assert governance.opener.open(row).is_held
        with pytest.raises((TicketExpired, TicketConcluded)):
            await _conclude(governed, ticket)
        assert governed.verify().findings == []


@pytest.mark.parametrize("step", ["escrow", "destroy"])
async def test_a_purge_that_fails_lets_the_day_take_records_again(
    governed: Governed, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> Any:
        raise OSError("the key folder's disk is full")

    async with governed.open():
        ticket = await governed.intend("alice", "the evidence")
        governed.forward(days=31)
        with monkeypatch.context() as broken:
            if step == "escrow":
                broken.setattr(governed.log.retention, "escrow", fail)
            else:
                broken.setattr(governed.store.ring, "destroy", fail)
            with pytest.raises((AuditUnavailable, OSError)):
                await governed.log.purge()
        await _conclude(governed, ticket)
        (receipt,) = await governed.log.purge()
        assert receipt.records == 2
        assert governed.verify().findings == []


async def test_a_hold_is_never_placed_while_an_erasure_gives_up_what_it_covers(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    async with governed.open() as governance:
        ticket = await governed.request("alice", "the evidence")
        requests = governance.erasures.requests
        asked = await requests.request("alice", "letter", governed.officer("dana"))
        await requests.approve(asked.id, governed.officer("erin"))
        place = await _by_two_people(governed)
        add, placing = governance.erased.add, []

        def add_slowly(event_ids: list[bytes], at: datetime) -> None:
            placing.append(asyncio.run_coroutine_threadsafe(place(), loop))
            with pytest.raises(TimeoutError):
                placing[0].result(_LONG_ENOUGH_SECONDS)
            add(event_ids, at)

        monkeypatch.setattr(governance.erased, "add", add_slowly)
        receipt = await governance.erasures.execute(asked.id, governed.officer("dana"))
        assert receipt.erased == 2
        assert (await asyncio.wrap_future(placing[0])).state is HoldState.ACTIVE
        (row, _) = await governed.rows(ticket.event_id)
        assert row.event_id in governance.erased


def test_one_settles_at_a_time_also_from_another_object(tmp_path: Path) -> None:
    first, second = Settling(tmp_path), Settling(tmp_path, patience_seconds=0.1)
    with first.alone(), pytest.raises(AuditUnavailable, match="under way"), second.alone():
        raise AssertionError("two at a time")
    with second.alone(), pytest.raises(AuditUnavailable, match="cannot be used"), Settling(tmp_path / "gone").alone():
        raise AssertionError("without a lock")
