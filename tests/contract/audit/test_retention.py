"""What retention promises, held to over every store: classes apart, holds whole, a list that forgot refused."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog, ContentDestroyed, Query, StoreDamaged, TicketExpired

DAY = date(2026, 11, 22)
BY_CLASS = {"abuse": 90, "brief": 7}


class Held:
    """A hold over one record, until it is released."""

    def __init__(self) -> None:
        self.seqs: frozenset[int] = frozenset({1})

    def __call__(self, _day: date, class_: str) -> frozenset[int]:
        return self.seqs if class_ == "standard" else frozenset()


async def three_classes(log: AuditLog, intent: Any, outcome: Any) -> dict[str, Any]:
    """Records 0 and 1 standard, 2 and 3 abuse, 4 and 5 brief."""
    tickets = {}
    for class_ in ("standard", "abuse", "brief"):
        tickets[class_] = await log.intend(intent(class_=class_))
        await log.conclude(tickets[class_], outcome(class_=class_, reasons=("dlp.payment-card",)))
    return tickets


async def sealed_seqs(log: AuditLog) -> list[int]:
    def read(reader: Any) -> list[int]:
        return [row.seq for row in reader.day(DAY).rows() if row.content is not None]

    found: list[int] = await log.store.read(read)
    return found


async def test_classes_go_one_after_another_and_envelopes_and_proofs_stay(
    open_log: Any, clock: Any, intent: Any, outcome: Any, subject: Any
) -> None:
    async with open_log(retention_days_by_class=BY_CLASS) as log:
        tickets = await three_classes(log, intent, outcome)
        for days, gone, left in ((8, "brief", [0, 1, 2, 3]), (23, "standard", [2, 3]), (60, "abuse", [])):
            clock.forward(days=days)
            (receipt,) = [one for one in await log.purge() if one.day == DAY]
            assert (receipt.class_ or gone, receipt.keys_destroyed, receipt.space_freed) == (gone, 1, True)
            assert receipt.bytes_freed > 0
            assert await sealed_seqs(log) == left
            view = await log.get(tickets[gone].event_id, looked_by=subject("dana"))
            assert view.content_destroyed
            assert view.subject is None
            assert log.health().records_past_retention == 0
            assert log.health().days_past_retention == 0
            assert await log.purge() == []
        rows = (await log.search(Query(reason="dlp.payment-card"), searched_by=subject("dana"))).rows
        assert len(rows) == 3
        for ticket in tickets.values():
            assert all(proof.verify(log.verifier_key) for proof in await log.proof(ticket.event_id))


async def test_a_person_is_found_in_what_is_left_of_a_day(
    open_log: Any, clock: Any, intent: Any, outcome: Any, subject: Any
) -> None:
    async with open_log(retention_days_by_class=BY_CLASS) as log:
        tickets = await three_classes(log, intent, outcome)
        clock.forward(days=8)
        await log.purge()
        rows = (await log.search(Query(actor="alice"), searched_by=subject("dana"))).rows
        assert {row.event_id for row in rows} == {tickets["standard"].event_id, tickets["abuse"].event_id}


async def test_a_held_record_stays_whole_until_its_hold_is_released(
    open_log: Any, clock: Any, intent: Any, outcome: Any
) -> None:
    held = Held()
    async with open_log() as log:
        log.retention.escrow = held
        await three_classes(log, intent, outcome)
        clock.forward(days=31)
        (receipt,) = [one for one in await log.purge() if one.day == DAY]
        assert (receipt.held, receipt.records) == (1, 6)
        assert await sealed_seqs(log) == [1]
        assert log.health().held_records == 1
        assert log.health().records_past_retention == 0
    async with open_log() as log:
        log.retention.escrow = held
        await log.purge()
        assert await sealed_seqs(log) == [1]
        held.seqs = frozenset()
        (receipt,) = [one for one in await log.purge() if one.day == DAY]
        assert receipt.held == 0
        assert await sealed_seqs(log) == []
        assert log.health().held_records == 0
        assert await log.purge() == []


async def test_tickets_of_a_purged_class_expire_and_those_of_another_are_concluded(
    open_log: Any, clock: Any, intent: Any, outcome: Any
) -> None:
    async with open_log(retention_days_by_class=BY_CLASS) as log:
        brief = await log.intend(intent(class_="brief"))
        abuse = await log.intend(intent(class_="abuse"))
        clock.forward(days=8)
        await log.purge()
        with pytest.raises(TicketExpired):
            await log.conclude(brief, outcome(class_="brief"))
        await log.conclude(abuse, outcome(class_="abuse"))
        assert log.health().open_tickets == 0


async def test_a_list_older_than_the_log_refuses_it_and_the_newest_opens_it(
    open_log: Any, clock: Any, intent: Any, tmp_path: Path, subject: Any
) -> None:
    keys = tmp_path / "log" / "keys"
    async with open_log() as log:
        ticket = await log.intend(intent())
        await log.proof(ticket.event_id)
        shutil.copytree(keys, tmp_path / "old-keys")
        clock.forward(days=31)
        await log.purge()
    newest = (keys / "destroyed-days").read_bytes()
    shutil.rmtree(keys)
    shutil.copytree(tmp_path / "old-keys", keys)
    with pytest.raises(StoreDamaged, match=r"the list of destroyed days .* does not know it"):
        async with open_log():
            pass
    (keys / "destroyed-days").write_bytes(newest)
    async with open_log() as log:
        with pytest.raises(ContentDestroyed):
            log._ring.get(DAY, "default", "standard")
        (receipt,) = [one for one in await log.purge() if one.day == DAY]
        assert receipt.keys_destroyed == 1
        assert (await log.get(ticket.event_id, looked_by=subject("dana"))).subject is None
        assert log.health().days_past_retention == 0


async def test_the_newest_record_is_known_at_the_start(open_log: Any, clock: Any, intent: Any) -> None:
    async with open_log() as log:
        assert log.newest_record_at_start is None
        await log.intend(intent())
    written = clock()
    clock.forward(days=3)
    async with open_log() as log:
        assert log.newest_record_at_start == written
        worker = log.retention_worker()
        assert await worker.tick() == []
        assert not log.health().retention_clock_trusted
