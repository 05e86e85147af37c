"""Classes that are kept for different times, and records that a hold keeps beyond theirs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit import AuditUnavailable, ContentDestroyed, Phase, Query, TicketExpired
from audit.keys.destroyed import DestroyedDays, Scope
from audit.retention import RetentionRules
from audit.retention.receipts import read_receipts
from audit.store.disk import Disk
from audit.verify import verify_store
from tests.support.cases import open_content

DAY = date(2026, 11, 22)
RULES = RetentionRules(30, {"abuse": 90, "brief": 7})


class Holds:
    """What a hold does, as far as a purge can see: it keeps some records, until they are released, or fails."""

    def __init__(self) -> None:
        self.held: dict[tuple[date, str], set[int]] = {}
        self.asked: list[tuple[date, str]] = []
        self.fails_for: str | None = None

    def __call__(self, day: date, class_: str) -> frozenset[int]:
        self.asked.append((day, class_))
        if class_ == self.fails_for:
            raise RuntimeError("the database of the holds is gone")
        return frozenset(self.held.get((day, class_), ()))


@pytest.fixture
async def mixed(house: Any, make: Any) -> Any:
    """A day with three classes: 0 and 1 standard, 2 and 3 abuse, 4 and 5 brief; 6 is a brief intent left open."""
    house.tickets = {}
    async with house.open(rules=lambda: RULES) as log:
        for class_ in ("standard", "abuse", "brief"):
            ticket = await log.intend(make.intent(class_=class_))
            await log.conclude(ticket, make.outcome(class_=class_, reasons=("dlp.payment-card",)))
            house.tickets[class_] = ticket
        house.tickets["open"] = await log.intend(make.intent("bob", class_="brief"))
    return house


def sealed(house: Any) -> list[int]:
    connection = sqlite3.connect(house.day_file())
    found = [seq for (seq,) in connection.execute("select seq from sealed order by seq")]
    connection.close()
    return found


async def is_readable(log: Any, make: Any, ticket: Any) -> bool:
    try:
        opened = await open_content(log, ticket.event_id, by="dana", purpose="case 1")
    except ContentDestroyed:
        return False
    return bool(opened.contents[0])


def check(house: Any) -> None:
    report = verify_store(house.store, None, house.witness)
    assert report.ok, report.findings


async def test_each_class_goes_when_its_own_days_are_over(mixed: Any, make: Any) -> None:
    async with mixed.open(rules=lambda: RULES) as log:
        for days, gone, left in ((8, "brief", [0, 1, 2, 3]), (23, "standard", [2, 3]), (60, "abuse", [])):
            mixed.clock.forward(days=days - 1)
            assert [one for one in await log.purge() if one.day == DAY] == []
            mixed.clock.forward(days=1)
            assert log.health().records_past_retention > 0
            receipts = await log.purge()
            mine = [receipt for receipt in receipts if receipt.day == DAY]
            assert [receipt.class_ for receipt in mine] == ([gone] if left else [None])
            assert all(receipt.space_freed and receipt.keys_destroyed == 1 for receipt in mine)
            assert sealed(mixed) == left
            assert log.health().records_past_retention == 0
            assert not await is_readable(log, make, mixed.tickets[gone])
            for other in {"standard", "abuse"} if gone == "brief" else {"abuse"} if gone == "standard" else set():
                assert await is_readable(log, make, mixed.tickets[other])
            assert await log.purge() == []
        page = await log.search(Query(reason="dlp.payment-card"), searched_by=make.subject("dana"))
        assert len(page.rows) == 3  # envelopes stay findable
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(mixed.tickets["brief"].event_id))
    check(mixed)


async def test_purge_records_name_the_class_and_at_last_the_day(mixed: Any) -> None:
    async with mixed.open(rules=lambda: RULES) as log:
        for days in (8, 23, 60):
            mixed.clock.forward(days=days)
            await log.purge()
    abouts = []
    for path in sorted((mixed.store / "days").glob("*.sqlite")):
        connection = sqlite3.connect(path)
        abouts += [row[0] for row in connection.execute("select about from record where phase = ?", (Phase.PURGE,))]
        connection.close()
    assert [about for about in abouts if about.startswith("2026-11-22")] == [
        "2026-11-22/brief",
        "2026-11-22/standard",
        "2026-11-22",
    ]


async def test_stripping_a_class_without_a_purge_record_is_found(mixed: Any) -> None:
    """The purge of one class excuses no other."""
    async with mixed.open(rules=lambda: RULES) as log:
        mixed.clock.forward(days=8)
        await log.purge()
    connection = sqlite3.connect(mixed.day_file())
    connection.execute("update record set terms = null, index_salt = null, authenticator = null where class_ = 'abuse'")
    connection.execute("delete from sealed where seq in (2, 3)")
    connection.execute("delete from term where head_seq = 2")
    connection.commit()
    connection.close()
    report = verify_store(mixed.store, None, mixed.witness)
    assert [(found.attack.name, found.seq) for found in report.findings] == [("CONTENT_REMOVED", 2)]


async def test_searching_for_a_person_finds_what_is_left_of_a_day(mixed: Any, make: Any) -> None:
    async with mixed.open(rules=lambda: RULES) as log:
        mixed.clock.forward(days=8)
        await log.purge()
        page = await log.search(Query(actor="alice"), searched_by=make.subject("dana"))
        assert {row.event_id for row in page.rows} == {mixed.tickets[name].event_id for name in ("standard", "abuse")}
        assert (await log.search(Query(actor="bob"), searched_by=make.subject("dana"))).rows == ()
        brief = (await log.search(Query(event_id=mixed.tickets["brief"].event_id), searched_by=make.subject("d"))).rows
        assert [row.subject for row in brief] == [None]


async def test_open_tickets_of_a_purged_class_expire_and_others_may_be_concluded(mixed: Any, make: Any) -> None:
    async with mixed.open(rules=lambda: RULES) as log:
        late = await log.intend(make.intent("carol"))
        mixed.clock.forward(days=8)
        await log.purge()
        with pytest.raises(TicketExpired):
            await log.conclude(mixed.tickets["open"], make.outcome("bob", class_="brief"))
        await log.conclude(late, make.outcome("carol"))
        assert log.health().open_tickets == 0
    check(mixed)


async def test_a_record_under_a_hold_stays_whole_through_the_purge_and_goes_after_its_release(
    mixed: Any, make: Any
) -> None:
    holds = Holds()
    holds.held[(DAY, "standard")] = {1}
    async with mixed.open() as log:
        log.retention.escrow = holds
        mixed.clock.forward(days=31)
        (receipt,) = [one for one in await log.purge() if one.day == DAY]
        assert (receipt.held, receipt.records, receipt.space_freed) == (1, 7, True)
        assert receipt.class_ is None
        assert sealed(mixed) == [1]
        assert log.health().held_records == 1
        assert log.health().records_past_retention == 0
        assert await log.purge() == []  # nothing changed
    check(mixed)
    async with mixed.open() as log:  # another process, which has to find out for itself
        log.retention.escrow = holds
        await log.purge()
        assert sealed(mixed) == [1]
        assert await log.purge() == []
        holds.held.clear()
        (receipt,) = await log.purge()
        assert (receipt.held, receipt.keys_destroyed, receipt.record) == (0, 0, None)
        assert receipt.bytes_freed > 0
        assert sealed(mixed) == []
        assert log.health().held_records == 0
        assert await log.purge() == []
    check(mixed)


async def test_held_records_of_one_class_do_not_keep_those_of_another(mixed: Any) -> None:
    holds = Holds()
    holds.held[(DAY, "brief")] = {4, 5}
    async with mixed.open(rules=lambda: RULES) as log:
        log.retention.escrow = holds
        mixed.clock.forward(days=8)
        await log.purge()
        assert sealed(mixed) == [0, 1, 2, 3, 4, 5]
        mixed.clock.forward(days=83)
        await log.purge()
        assert sealed(mixed) == [4, 5]
        holds.held.clear()
        await log.purge()
        assert sealed(mixed) == []
        assert log.health().held_records == 0
    check(mixed)


async def test_a_hold_is_asked_before_any_key_goes(mixed: Any) -> None:
    class Watching(Holds):
        def __call__(self, day: date, class_: str) -> frozenset[int]:
            assert list((mixed.store / "keys").glob(f"{day}.default.{class_}.json"))
            return super().__call__(day, class_)

    holds = Watching()
    async with mixed.open() as log:
        log.retention.escrow = holds
        mixed.clock.forward(days=31)
        await log.purge()
    assert holds.asked == [(DAY, "abuse"), (DAY, "brief"), (DAY, "standard")]


async def test_holds_that_fail_stop_the_purge_of_their_class_and_of_no_other(mixed: Any, make: Any) -> None:
    holds = Holds()
    holds.fails_for = "abuse"
    async with mixed.open() as log:
        log.retention.escrow = holds
        mixed.clock.forward(days=31)
        with pytest.raises(AuditUnavailable, match="2026-11-22/abuse is not purged") as failed:
            await log.purge()
        assert isinstance(failed.value.__cause__, RuntimeError)
        assert await is_readable(log, make, mixed.tickets["abuse"])
        assert not await is_readable(log, make, mixed.tickets["standard"])
        assert sealed(mixed) == [2, 3]
        health = log.health()
        assert (health.purge_failures, health.records_past_retention) == (1, 2)
        holds.fails_for = None
        await log.purge()
        assert sealed(mixed) == []
        assert log.health().records_past_retention == 0
    check(mixed)


async def test_receipts_tell_the_whole_purge_whatever_call_did_which_part(mixed: Any) -> None:
    async with mixed.open() as log:
        mixed.clock.forward(days=31)
        reader = sqlite3.connect(mixed.day_file())
        reader.execute("begin")
        reader.execute("select count(*) from record").fetchone()
        (first,) = await log.purge()
        reader.close()
        (second,) = await log.purge()
        assert (first.space_freed, second.space_freed) == (False, True)
        path = mixed.store / "keys" / "receipts.jsonl"
        assert path.stat().st_mode & 0o777 == 0o600
        lines = list(read_receipts(path))
    assert [line["space_freed"] for line in lines] == [False, True]
    last = lines[-1]
    assert first.record is not None
    assert (last["day"], last["class"], last["keys_destroyed"], last["records"]) == ("2026-11-22", None, 3, 7)
    assert (last["event_id"], last["seq"], last["held"]) == (first.record.event_id, first.record.seq, 0)
    assert last["bytes_freed"] > 500
    assert "alice" not in json.dumps(lines)


async def test_a_class_kept_longer_goes_on_taking_late_outcomes_of_a_half_purged_day(mixed: Any, make: Any) -> None:
    async with mixed.open(rules=lambda: RULES) as log:
        late = await log.intend(make.intent("carol", class_="abuse"))
        mixed.clock.forward(days=31)
        await log.purge()
        await log.conclude(late, make.outcome("carol", class_="abuse"))
        assert await is_readable(log, make, late)
    async with mixed.open(rules=lambda: RULES) as log:
        assert await is_readable(log, make, late)
    check(mixed)


async def test_a_late_outcome_that_comes_while_its_days_file_is_replaced_is_refused_and_not_lost(
    mixed: Any, make: Any
) -> None:
    """It would be written to the old file, acknowledged, and thrown away with it."""

    class Slow(Disk):
        """Lets a caller in between the new file's last byte and its taking the old one's place."""

        between: Any = None

        def replace(self, fresh: Path, path: Path) -> None:
            if self.between is not None and fresh.name.endswith(".purged"):
                asyncio.run_coroutine_threadsafe(self.between(), loop).result(30)
            super().replace(fresh, path)

    loop = asyncio.get_running_loop()
    mixed.disk = Slow()
    async with mixed.open(rules=lambda: RULES) as log:
        late = await log.intend(make.intent("carol", class_="abuse"))
        mixed.clock.forward(days=31)
        said: list[str] = []

        async def conclude() -> None:
            try:
                await log.conclude(late, make.outcome("carol", class_="abuse"))
            except AuditUnavailable as error:
                said.append(str(error))

        mixed.disk.between = conclude
        await log.purge()
        assert said == ["2026-11-22 is being purged; try again in a minute"]
        await log.conclude(late, make.outcome("carol", class_="abuse"))
        assert (await log.get(late.event_id, looked_by=make.subject("dana"))).envelopes[1].effect == "allow"
    check(mixed)


async def test_rules_that_change_count_from_the_next_purge(mixed: Any) -> None:
    rules = RetentionRules(30)
    async with mixed.open(rules=lambda: rules) as log:
        mixed.clock.forward(days=10)
        assert await log.purge() == []
        rules = RetentionRules(30, {"brief": 9})
        assert [(one.day, one.class_) for one in await log.purge()] == [(DAY, "brief")]
        rules = RetentionRules(3650)
        listed = DestroyedDays(mixed.store / "keys" / "destroyed-days", Disk())
        assert listed.state(Scope(DAY, "brief")).is_finished
        assert await log.purge() == []


def test_rules_count_whole_days_and_refuse_what_is_none() -> None:
    rules = RetentionRules(30, {"abuse": 90})
    assert not rules.is_due(DAY, "standard", date(2026, 12, 22))
    assert rules.is_due(DAY, "standard", date(2026, 12, 23))
    assert rules.due_at(DAY, "standard").isoformat() == "2026-12-23T00:00:00+00:00"
    assert not rules.is_all_due(DAY, date(2027, 2, 20))
    assert rules.is_all_due(DAY, date(2027, 2, 21))
    assert not rules.may_be_due(DAY, date(2026, 12, 22))
    assert rules.may_be_due(DAY, date(2026, 12, 23))
    for wrong in (0, -1, 3651):
        with pytest.raises(ValueError, match="1 to 3650"):
            RetentionRules(wrong)
        with pytest.raises(ValueError, match="abuse"):
            RetentionRules(30, {"abuse": wrong})


def test_a_receipt_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    assert list(read_receipts(path)) == []
    path.write_text('{"day": "2026-11-22"}\n{"day": "20\n{"day": "2026-11-23"}\n[]\n')
    assert [line["day"] for line in read_receipts(path)] == ["2026-11-22", "2026-11-23"]
