"""Failure has two forms, "did not happen" and "happened, but we were not told"; the log is verified after each."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import uuid
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from audit import AuditUnavailable, DiskState, Query, TicketConcluded
from audit.verify import verify_store

FULL = sqlite3.OperationalError("database or disk is full")
LOST = OSError(5, "Input/output error")


def check(house: Any, records: int) -> None:
    report = verify_store(house.store, None, house.witness)
    assert report.ok, report.findings
    assert report.records == report.covered_size == records


async def test_an_intent_that_was_not_written_is_not_there(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.disk.before_commit = [FULL]
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent())
        assert log.health().write_failures == 1
        assert (await log.intend(make.intent())).seq == 2  # no hole, and the log goes on by itself
    check(house, 3)


async def test_an_intent_that_was_written_but_reported_failed_becomes_an_open_ticket(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.disk.after_commit = [LOST]
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent("alice"))
        assert (await log.intend(make.intent("bob"))).seq == 3
        house.clock.forward(minutes=1)
        found = await log.open_tickets(timedelta(0))
        assert [(one.ticket.seq, one.subject.actor) for one in found] == [(2, "alice"), (3, "bob")]
    check(house, 4)


@pytest.mark.parametrize("form", ["before_commit", "after_commit"])
async def test_a_day_whose_file_could_not_be_made_begins_with_the_next_record(house: Any, make: Any, form: str) -> None:
    async with house.open() as log:
        setattr(house.disk, form, [FULL])
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent())
        assert (await log.intend(make.intent())).seq == 0
    check(house, 1)


async def test_an_outcome_that_was_not_written_can_be_concluded_again(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await log.intend(make.intent())
        house.disk.before_commit = [FULL]
        with pytest.raises(AuditUnavailable):
            await log.conclude(ticket, make.outcome(effect="allow"))
        assert (await log.conclude(ticket, make.outcome(effect="failed"))).seq == 1
    check(house, 2)


async def test_an_outcome_that_was_written_but_reported_failed_stays_the_only_one(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await log.intend(make.intent())
        house.disk.after_commit = [LOST]
        with pytest.raises(AuditUnavailable):
            await log.conclude(ticket, make.outcome(effect="allow"))
        with pytest.raises(TicketConcluded):
            await log.conclude(ticket, make.outcome(effect="failed"))
        page = await log.search(Query(actor="alice"), searched_by=make.subject("dana"))
        assert [row.effect for row in page.rows] == ["allow"]
    check(house, 3)


async def test_an_outcome_that_is_found_on_disk_only_later_stays_the_only_one(house: Any, make: Any) -> None:
    """The disk failed so badly that what it holds could not be read at once; the caller tries again meanwhile."""
    async with house.open() as log:
        ticket = await log.intend(make.intent())
        recover, calls = log._store._writer._recover, []

        def blind_at_first() -> bool:
            calls.append(None)
            return len(calls) > 1 and recover()

        log._store._writer._recover = blind_at_first  # type: ignore[method-assign]
        house.disk.after_commit = [LOST]
        with pytest.raises(AuditUnavailable):
            await log.conclude(ticket, make.outcome(effect="allow"))
        with pytest.raises(TicketConcluded):
            await log.conclude(ticket, make.outcome(effect="failed"))
        assert len(calls) == 2
    check(house, 2)


@pytest.mark.parametrize("form", ["before_commit", "after_commit"])
async def test_a_failed_batch_fails_for_everybody_in_it_and_leaves_no_hole(house: Any, make: Any, form: str) -> None:
    async with house.open() as log:
        await make.request(log)
        setattr(house.disk, form, [FULL])
        results = await asyncio.gather(
            *(log.intend(make.intent(f"user-{number}")) for number in range(50)), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, AuditUnavailable)]
        assert failed
        assert len(failed) + len([r for r in results if not isinstance(r, Exception)]) == 50
        house.clock.forward(minutes=1)
        found = await log.open_tickets(timedelta(0))
        written = 50 if form == "after_commit" else 50 - len(failed)
        assert len(found) == written  # nobody who was told "durable" is missing
        assert {r.event_id for r in results if not isinstance(r, Exception)} <= {one.ticket.event_id for one in found}
    check(house, written + 2)


async def test_while_the_disk_stays_full_everything_is_refused_and_nothing_hangs(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await log.intend(make.intent())
        house.disk.before_commit = [FULL] * 5
        for _ in range(5):
            with pytest.raises(AuditUnavailable):
                await log.intend(make.intent())
        await log.conclude(ticket, make.outcome())
    check(house, 2)


async def test_a_day_key_that_cannot_be_written_refuses_the_intent(house: Any, make: Any) -> None:
    async with house.open() as log:
        house.disk.fail["create"] = [OSError(28, "No space left on device")]
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent())
        await log.intend(make.intent())
    check(house, 1)


async def test_a_failing_tree_catches_up_and_loses_nothing(house: Any, make: Any) -> None:
    house.with_settings(checkpoint_interval_seconds=0.02)
    async with house.open() as log:
        await make.request(log)
        store, calls = log._store._integrator._file.store, []

        def broken(*arguments: Any) -> None:
            calls.append(arguments)
            if len(calls) == 1:
                raise sqlite3.OperationalError("database or disk is full")
            store(*arguments)

        log._store._integrator._file.store = broken  # type: ignore[method-assign]
        ticket = await make.request(log)
        while log.health().checkpoint_size < 4:
            await asyncio.sleep(0.01)
        assert log.health().tree_failures == 1
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(ticket.event_id))
    check(house, 4)


async def test_a_witness_that_cannot_be_reached_is_counted_and_told_later(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        house.disk.fail["append"] = [OSError(5, "Input/output error")]
        await log.proof(ticket.event_id)
        assert log.health().witness_failures == 1
        ticket = await make.request(log)
        await log.proof(ticket.event_id)
        assert "\n4\n" in house.witness.read_text()
    check(house, 4)


async def test_intents_are_refused_below_five_percent_while_the_rest_works(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await log.intend(make.intent())
        for free, state in ((0.3, DiskState.OK), (0.19, DiskState.LOW), (0.09, DiskState.CRITICAL)):
            house.disk.free = free
            assert log.health().disk_state is state
            assert log.health().writable
        house.disk.free = 0.04
        assert log.health().disk_state is DiskState.REFUSING
        assert not log.health().writable
        with pytest.raises(AuditUnavailable, match="nearly full"):
            await log.intend(make.intent())
        await log.conclude(ticket, make.outcome())
        assert len((await log.search(Query(actor="alice"), searched_by=make.subject("dana"))).rows) == 1
        house.clock.forward(days=31)
        assert len(await log.purge()) == 1
        house.disk.free = 0.06
        await log.intend(make.intent())


async def test_a_full_queue_refuses_instead_of_growing(house: Any, make: Any) -> None:
    house.with_settings(max_pending=3)
    async with house.open() as log:
        results = await asyncio.gather(*(log.intend(make.intent()) for _ in range(100)), return_exceptions=True)
        kinds = {type(result).__name__ for result in results}
        assert kinds == {"AuditUnavailable", "Ticket"}
        house.clock.forward(minutes=1)
        written = [one.ticket.event_id for one in await log.open_tickets(timedelta(0))]
        assert sorted(written) == sorted(r.event_id for r in results if not isinstance(r, Exception))


async def test_closing_writes_what_is_queued(house: Any, make: Any) -> None:
    async with house.open() as log:
        tasks = [asyncio.create_task(log.intend(make.intent())) for _ in range(20)]
        await asyncio.sleep(0)
    assert len({(await task).seq for task in tasks}) == 20
    check(house, 20)


async def test_a_record_that_cannot_be_sealed_fails_alone(house: Any, make: Any) -> None:
    async with house.open() as log:
        composer = log._store._writer._composer
        prepare, finish = composer.prepare, composer.finish

        def broken(job: Any) -> Any:
            if job.entry.subject.actor == "user-7":
                raise RuntimeError("a bug")
            return prepare(job)

        def broken_later(prepared: Any, seq: int) -> Any:
            if prepared.job.entry.subject.actor == "user-9":
                raise RuntimeError("another bug")
            return finish(prepared, seq)

        composer.prepare, composer.finish = broken, broken_later  # type: ignore[method-assign]
        results = await asyncio.gather(
            *(log.intend(make.intent(f"user-{number}")) for number in range(20)), return_exceptions=True
        )
        assert [isinstance(result, AuditUnavailable) for result in results] == [n in (7, 9) for n in range(20)]
    check(house, 18)


async def test_a_mistake_in_the_writer_hangs_nobody(house: Any, make: Any) -> None:
    async with house.open() as log:
        write_day, calls = log._store._writer._write_day, []

        def broken(*arguments: Any) -> Any:
            calls.append(arguments)
            if len(calls) == 1:
                raise RuntimeError("a bug")
            return write_day(*arguments)

        log._store._writer._write_day = broken  # type: ignore[method-assign]
        with pytest.raises(AuditUnavailable):
            await asyncio.wait_for(log.intend(make.intent()), 10)
        assert (await log.intend(make.intent())).seq == 0
    check(house, 1)


async def test_intents_are_refused_when_the_tree_cannot_keep_up(
    house: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.log.MAX_BEHIND", 3)
    async with house.open() as log:
        ticket = await make.request(log)
        await make.request(log)
        with pytest.raises(AuditUnavailable, match="keep up"):
            await log.intend(make.intent())
        await log.proof(ticket.event_id)
        await make.request(log)


async def test_a_log_whose_disk_fails_while_opening_says_so_and_lets_go(house: Any, make: Any) -> None:
    house.disk.fail["write_whole"] = [OSError(28, "No space left on device")]
    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        async with house.open():
            pass
    async with house.open() as log:
        house.disk.before_commit = []
        await make.request(log)
    house.disk.before_commit = [FULL]
    house.clock.forward(days=1)
    async with house.open() as log:  # nothing to sign: nothing to fail
        house.disk.before_commit = []
        await make.request(log)
    check(house, 4)


async def test_a_closed_log_says_so_to_readers_too(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
    with pytest.raises(AuditUnavailable):
        await log.proof(ticket.event_id)
    with pytest.raises(AuditUnavailable):
        await log.open_tickets(timedelta(0))


async def test_words_of_a_closed_vocabulary_are_written_as_what_they_say(house: Any, make: Any) -> None:
    class Word(StrEnum):
        ACTION = "image:generate"
        DENY = "deny"
        CODE = "dlp.payment-card"
        GROUP = "press"

    async with house.open() as log:
        ticket = await log.intend(make.intent(action=Word.ACTION, index={"group": (Word.GROUP,)}))
        await log.conclude(ticket, make.outcome(action=Word.ACTION, effect=Word.DENY, reasons=(Word.CODE,)))
        plain = await make.request(log, effect="deny", reasons=("dlp.payment-card",))
        query = Query(action=Word.ACTION, effect=Word.DENY, reason=Word.CODE)
        page = await log.search(query, searched_by=make.subject("dana"))
        assert [row.event_id for row in page.rows] == [plain.event_id, ticket.event_id]
        assert {type(row.action) for row in page.rows} == {str}
    check(house, 5)


_LIMITED = """
import asyncio, json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from audit import *

async def main(folder):
    settings = AuditSettings(directory=folder / "log", kek_path=folder / "kek", signing_key_path=folder / "sign.pem",
                             origin="example.com/audit", create_keys=True)
    log = await AuditLog.open(settings, clock=lambda: datetime.now(UTC))
    told, refused = [], 0
    who = Subject(actor="alice")
    for number in range(400):
        if number == 20:
            size = max(path.stat().st_size for path in (folder / "log" / "days").iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60_000, resource.RLIM_INFINITY))
        try:
            entry = Entry(action="image:generate", subject=who, content={"x": "y" * 2000})
            told.append((await log.intend(entry)).event_id)
        except AuditUnavailable:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told.append((await log.intend(Entry(action="image:generate", subject=who))).event_id)
    await log.aclose()
    print(json.dumps({"told": told, "refused": refused}))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_file_system_that_really_refuses_writes_loses_no_acknowledged_record(tmp_path: Path) -> None:
    """A real limit of the kernel (RLIMIT_FSIZE) in a process of its own, not a double."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["refused"] > 100
    report = verify_store(tmp_path / "log", None, None)
    assert report.ok, report.findings
    connection = sqlite3.connect(next((tmp_path / "log" / "days").glob("*.sqlite")))
    kept = {str(uuid.UUID(bytes=row[0])) for row in connection.execute("select event_id from record")}
    connection.close()
    assert set(result["told"]) <= kept
