"""Ledger and log after somebody died between them: mended, reported, once, and never at a person's cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog, AuditSettings, AuditUnavailable, Entry, Query, Subject, Ticket, new_event_id
from gateway.credits import Ledger
from gateway.exchange import ActorId, Charge, RequestId
from gateway.observe.metrics import Metrics
from gateway.reconciler import AT_ONCE, Reconciler
from gateway.settings import AuditSection, CreditSettings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.sweeper import Sweeper
from tests.support.cases import open_content

ALICE = ActorId("idp|alice")
ASKED = Entry(action="image:generate", subject=Subject(actor=ALICE, display="Alice"), content={"prompt": "a fox"})
OVER = timedelta(minutes=10)


class House:
    """A log and a ledger, and what a pipeline does to them, a step at a time."""

    def __init__(self, log: AuditLog, ledger: Ledger, metrics: Metrics, clock: Any) -> None:
        self.log, self.ledger, self.metrics, self.clock = log, ledger, metrics, clock
        self.reconciler = Reconciler(log, ledger, metrics)

    async def begin(self, credits: int = 4) -> tuple[Ticket, Charge]:
        ticket = await self.log.intend(ASKED)
        return ticket, await self.ledger.reserve(RequestId(ticket.event_id), ALICE, credits)

    async def conclude(self, ticket: Ticket, effect: str, credits: int = 0) -> None:
        await self.log.conclude(ticket, replace(ASKED, effect=effect, credits=credits))

    async def round(self) -> tuple[int, int]:
        """(mended, reported) of everything there is."""
        self.clock.now += OVER + timedelta(seconds=1)
        return await self.reconciler.mend(OVER), await self.reconciler.compare(OVER)

    async def told(self) -> list[tuple[str, tuple[str, ...]]]:
        page = await self.log.search(Query(action="system:ledger:"), searched_by=Subject(actor="test"))
        return [(row.action, row.reasons) for row in page.rows]

    async def credits(self) -> tuple[int, int]:
        balance = await self.ledger.balance(ALICE)
        assert await self.ledger.check() == []
        return balance.available, balance.reserved


class Clock:
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[House]:
    clock = Clock()
    settings = AuditSettings(
        directory=tmp_path / "log",
        kek_path=tmp_path / "kek.key",
        signing_key_path=tmp_path / "sign.key",
        origin="test/audit",
        create_keys=True,
        disk_refuse_fraction=0.0,
    )
    log = await AuditLog.open(settings, clock=clock)
    yield House(log, Ledger(database, CreditSettings(), clock), Metrics(), clock)
    await log.aclose()


async def test_requests_that_ended_well_are_not_worth_a_word(house: House) -> None:
    for effect, credits in (("allow", 4), ("mask", 4), ("deny", 0), ("failed", 0), ("unknown", 0)):
        ticket, charge = await house.begin()
        await house.conclude(ticket, effect, credits)
        await (house.ledger.settle(charge) if credits else house.ledger.release(charge.request_id))
    assert await house.round() == (0, 0)
    assert await house.told() == []
    assert await house.credits() == (42, 0)


@pytest.mark.parametrize(
    ("effect", "credits", "code"),
    [
        ("allow", 4, "credits.unsettled"),
        ("mask", 4, "credits.unsettled"),
        ("deny", 0, "credits.unreleased"),
        ("failed", 0, "credits.unreleased"),
        ("cancelled", 0, "credits.unreleased"),
    ],
)
async def test_credits_left_aside_behind_an_outcome_go_back_and_are_told_once(
    house: House, effect: str, credits: int, code: str
) -> None:
    ticket, _ = await house.begin()
    await house.conclude(ticket, effect, credits)
    assert await house.credits() == (46, 4)
    assert await house.round() == (1, 0)
    assert await house.credits() == (50, 0)
    assert await house.told() == [("system:ledger:mend", (code,))]
    house.reconciler = Reconciler(house.log, house.ledger, house.metrics)  # a restart looks back, and says no more
    assert await house.round() == (0, 0)
    assert await house.told() == [("system:ledger:mend", (code,))]


async def test_credits_of_a_request_that_the_log_never_saw_go_back(house: House) -> None:
    """The log was put back from a copy, or the record is gone: there is nothing to charge for."""
    await house.ledger.reserve(RequestId(new_event_id(house.clock())), ALICE, 4)
    assert await house.round() == (1, 0)
    assert await house.credits() == (50, 0)
    assert await house.told() == [("system:ledger:mend", ("credits.without-outcome",))]


async def test_a_request_at_work_is_left_alone(house: House) -> None:
    _, charge = await house.begin()
    assert (await house.reconciler.mend(OVER), await house.reconciler.compare(OVER)) == (0, 0)
    assert await house.ledger.settle(charge) == 46


@pytest.mark.parametrize("effect", ["deny", "unknown", None])
async def test_a_spending_without_a_delivery_is_reported_and_stays(house: House, effect: str | None) -> None:
    ticket, charge = await house.begin()
    if effect:
        await house.conclude(ticket, effect)
    await house.ledger.settle(charge)
    assert await house.round() == (0, 1)
    assert await house.told() == [("system:ledger:report", ("credits.spent-for-nothing",))]
    assert await house.credits() == (46, 0)


async def test_a_delivery_that_the_ledger_lost_is_reported(house: House) -> None:
    """The database was put back from a backup, the log was not."""
    ticket = await house.log.intend(ASKED)
    await house.conclude(ticket, "allow", 4)
    assert await house.round() == (0, 1)
    assert await house.told() == [("system:ledger:report", ("credits.never-charged",))]


async def test_a_delivery_whose_credits_somebody_gave_back_by_hand_is_reported(house: House) -> None:
    ticket, charge = await house.begin()
    await house.conclude(ticket, "allow", 4)
    await house.ledger.release(charge.request_id)
    assert await house.round() == (0, 1)
    assert await house.told() == [("system:ledger:report", ("credits.never-charged",))]


async def test_another_amount_than_the_record_says_is_reported(house: House) -> None:
    ticket, charge = await house.begin(4)
    await house.conclude(ticket, "allow", 4)
    await house.ledger.settle(charge, used=1)
    assert await house.round() == (0, 1)
    assert await house.told() == [("system:ledger:report", ("credits.amount-differs",))]


async def test_a_report_is_told_once_however_often_the_gateway_starts(house: House) -> None:
    ticket = await house.log.intend(ASKED)
    await house.conclude(ticket, "allow", 4)
    await house.round()
    for _ in range(2):
        house.reconciler = Reconciler(house.log, house.ledger, house.metrics)
        assert await house.round() == (0, 0)
    assert len(await house.told()) == 1


async def test_a_report_names_the_request_and_can_be_found_from_it(house: House) -> None:
    ticket = await house.log.intend(ASKED)
    await house.conclude(ticket, "allow", 4)
    await house.round()
    rows = (await house.log.accesses(ticket.event_id, looked_by=Subject(actor="test"))).rows
    told = next(row for row in rows if row.action == "system:ledger:report")
    content = (await open_content(house.log, told.event_id)).contents[0]
    assert content["request_id"] == ticket.event_id
    assert (content["recorded_effect"], content["recorded_credits"], content["settled"]) == ("allow", 4, None)
    assert ALICE not in str(content)


async def test_while_the_log_takes_nothing_credits_wait_and_nothing_is_told_twice(house: House, monkeypatch) -> None:
    ticket, _ = await house.begin()
    await house.conclude(ticket, "allow", 4)
    note = house.log.note

    async def unavailable(*_: object, **__: object) -> None:
        raise AuditUnavailable("the disk is full")

    monkeypatch.setattr(house.log, "note", unavailable)
    with pytest.raises(AuditUnavailable):
        await house.round()
    assert await house.credits() == (46, 4)
    monkeypatch.setattr(house.log, "note", note)
    assert await house.round() == (1, 0)
    assert await house.credits() == (50, 0)


async def test_dying_between_the_event_and_the_giving_back_costs_nobody_anything(house: House, monkeypatch) -> None:
    ticket, charge = await house.begin()
    await house.conclude(ticket, "deny")
    release = house.ledger.release

    async def die(_: RequestId) -> bool:
        raise OSError("the process is gone")

    monkeypatch.setattr(house.ledger, "release", die)
    with pytest.raises(OSError):
        await house.round()
    monkeypatch.setattr(house.ledger, "release", release)
    assert await house.round() == (1, 0)
    assert await house.credits() == (50, 0)
    assert (await house.ledger.standings([charge.request_id]))[charge.request_id].is_released


async def test_more_than_fits_into_one_question_is_looked_at_too(house: House, monkeypatch) -> None:
    monkeypatch.setattr("gateway.reconciler.AT_ONCE", 3)
    assert AT_ONCE > 3
    for number in range(8):
        ticket, charge = await house.begin(1)
        await house.conclude(ticket, "allow", 1)
        if number != 6:
            await house.ledger.settle(charge)
        else:
            await house.ledger.release(charge.request_id)
    assert await house.round() == (0, 1)


async def test_figures_tell_what_was_done_and_why(house: House) -> None:
    ticket, _ = await house.begin()
    await house.conclude(ticket, "allow", 4)
    await house.round()
    shown = house.metrics.render().decode()
    assert 'imprimatur_reconciled_requests_total{done="mended",reason="credits.unsettled"} 1.0' in shown


async def test_a_sweep_concludes_the_ticket_first_and_the_credits_follow(house: House, database: Database) -> None:
    """A crash between reservation and outcome: `unknown` is the record, and no second event says so."""
    ticket, _ = await house.begin()
    section = AuditSection(orphan_seconds=600)
    sweeper = Sweeper(house.log, house.ledger, None, house.metrics, section)  # type: ignore[arg-type]  # no pictures here
    house.clock.now += timedelta(minutes=11)
    assert await sweeper.sweep(OVER) == 1
    assert await house.credits() == (50, 0)
    view = await house.log.get(ticket.event_id, looked_by=Subject(actor="test"))
    assert view.envelopes[-1].effect == "unknown"
    assert await house.told() == []
