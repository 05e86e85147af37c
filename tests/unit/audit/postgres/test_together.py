"""Several gateways on one log: one sequence, one outcome for a ticket, one beginning."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import (
    AuditLog,
    AuditUnavailable,
    EntryInvalid,
    KeyRefused,
    Query,
    SnapshotRefused,
    StoreError,
    StoreRolledBack,
    TicketConcluded,
    new_event_id,
)
from audit.migrations.migrate import downgrade, upgrade
from audit.verify import verify_store
from tests.support.postgres import fresh_database, shared_server

ROOT = Path(__file__).parents[4]


async def test_a_ticket_is_concluded_once_whoever_concludes_it(place: Any, make: Any) -> None:
    async with place.open() as first, place.open() as second, place.open() as third:
        for _ in range(10):
            ticket = await first.intend(make.intent())
            results = await asyncio.gather(
                *(
                    log.conclude(ticket, make.outcome(effect=effect))
                    for log in (first, second, third)
                    for effect in ("allow", "deny")
                ),
                return_exceptions=True,
            )
            assert sorted(type(result).__name__ for result in results) == ["RecordRef", *["TicketConcluded"] * 5]
        with place.dba() as dba:
            assert dba.execute("select count(*) from audit.record where phase = 'outcome'").fetchone() == (10,)


async def test_who_lost_the_race_leaves_the_others_of_the_batch_alone(place: Any, make: Any) -> None:
    """The unique index refuses a whole transaction; only the culprits may hear of it."""
    async with place.open() as first, place.open() as second:
        shared = [await first.intend(make.intent()) for _ in range(4)]
        own = [await second.intend(make.intent()) for _ in range(4)]
        results = await asyncio.gather(
            *(first.conclude(ticket, make.outcome()) for ticket in shared),
            *(second.conclude(ticket, make.outcome()) for ticket in [*shared, *own]),
            return_exceptions=True,
        )
        assert [type(result).__name__ for result in results].count("TicketConcluded") == 4
        assert [type(result).__name__ for result in results].count("RecordRef") == 8


async def test_an_event_id_is_used_once_whoever_uses_it(place: Any, make: Any) -> None:
    async with place.open() as first, place.open() as second:
        event_id = new_event_id(place.clock())
        await first.intend(make.intent(), event_id=event_id)
        results = await asyncio.gather(
            second.intend(make.intent(), event_id=event_id), second.intend(make.intent()), return_exceptions=True
        )
        assert isinstance(results[0], EntryInvalid)
        assert not isinstance(results[1], BaseException)


async def test_an_outcome_needs_the_intent_as_it_was_opened(place: Any, make: Any) -> None:
    import dataclasses

    async with place.open() as first, place.open() as second:
        ticket = await first.intend(make.intent())
        other = await first.intend(make.intent())
        for forged in (
            dataclasses.replace(ticket, seq=other.seq),
            dataclasses.replace(ticket, class_="abuse"),
            dataclasses.replace(ticket, opened_at=ticket.opened_at + timedelta(seconds=1)),
        ):
            with pytest.raises(TicketConcluded):
                await second.conclude(forged, make.outcome())
        await second.conclude(ticket, make.outcome())


async def test_open_tickets_are_those_of_all_gateways(place: Any, make: Any) -> None:
    async with place.open() as first, place.open() as second:
        orphan = await first.intend(make.intent())
        done = await first.intend(make.intent())
        await second.conclude(done, make.outcome())
        place.clock.forward(minutes=1)
        for log in (first, second):
            assert [found.ticket for found in await log.open_tickets(timedelta(0))] == [orphan]
        await second.conclude(orphan, make.outcome(effect="unknown"))
        assert await first.open_tickets(timedelta(0)) == []
        with pytest.raises(TicketConcluded):
            await first.conclude(orphan, make.outcome())


async def test_what_one_wrote_the_other_finds(place: Any, make: Any) -> None:
    async with place.open() as first, place.open() as second:
        ticket = await first.intend(make.intent("bob"))
        page = await second.search(Query(actor="bob"), searched_by=make.subject("dana"))
        assert [row.event_id for row in page.rows] == [ticket.event_id]


async def test_processes_that_begin_together_make_one_log(tmp_path: Path) -> None:
    """On an empty database, without tables: schema, keys and identity are made once."""
    server = shared_server()
    url = server.url(server.create_database())
    program = ROOT / "tests" / "unit" / "audit" / "postgres" / "load_driver.py"
    racers = [
        subprocess.Popen(
            [sys.executable, str(program), url, str(tmp_path), f"node-{number}", "2", "-20", "5"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        for number in range(4)
    ]
    ends = await asyncio.gather(*(asyncio.to_thread(racer.communicate, timeout=100) for racer in racers))
    assert [racer.returncode for racer in racers] == [0] * 4, [errors for _, errors in ends]
    assert sum(json.loads(out)["events"] for out, _ in ends) == 80
    report = verify_store(url, None, None)
    assert (report.ok, report.records, report.covered_size) == (True, 80, 80)
    server.drop_database(url.rpartition("/")[2])


async def test_tomorrow_s_tables_are_there_before_midnight(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as log:
        await log.intend(make.intent())
        behind(log)._integrator.advance()
        with place.dba() as dba:
            found = dba.execute("select to_regclass('audit.sealed_20261123_standard') is not null").fetchone()
            assert found == (True,)
        assert behind(log).days() == [place.clock().date()]  # a day without records is no day of the log


async def test_midnight_is_passed_by_many_at_once(place: Any, make: Any) -> None:
    """Tables that nobody made ahead are made once, whoever needs them first."""
    async with place.open() as first, place.open() as second:
        tickets = await asyncio.gather(*(log.intend(make.intent()) for log in (first, second) for _ in range(5)))
        place.clock.forward(days=3)
        await asyncio.gather(
            *(log.intend(make.intent(class_=class_)) for log in (first, second) for class_ in ("standard", "abuse")),
            *(second.conclude(ticket, make.outcome()) for ticket in tickets),
        )
    report = verify_store(place.url, None, None)
    assert (report.ok, report.records) == (True, 24)


async def test_another_log_s_database_is_refused(place: Any) -> None:
    async with place.open():
        pass
    with pytest.raises(KeyRefused, match="another origin"):
        async with place.open(origin="example.com/other"):
            pass
    with pytest.raises(KeyRefused, match="does not exist"):  # keys are made for a new log only
        async with place.open(signing_key_path=place.folder / "another.pem"):
            pass


async def test_a_database_is_no_snapshot(place: Any) -> None:
    with pytest.raises(SnapshotRefused):
        await AuditLog.open(place.settings(), clock=place.clock, read_snapshot=True)


async def test_a_database_put_back_from_a_backup_is_refused(place: Any, make: Any, tmp_path: Path) -> None:
    witness = tmp_path / "witness" / "checkpoints"
    async with place.open(witness_path=witness) as log:
        await log.intend(make.intent())
    name = place.url.rpartition("/")[2]
    backup = shared_server().create_database(name)
    place_of_backup = type(place)(shared_server().url(backup), place.folder)
    async with place.open(witness_path=witness) as log:
        await log.intend(make.intent())
    with pytest.raises(StoreRolledBack, match="a checkpoint of size 2"):
        async with place_of_backup.open(witness_path=witness):
            pass
    shared_server().drop_database(backup)


async def test_an_empty_database_under_a_known_name_is_refused(place: Any, make: Any, tmp_path: Path) -> None:
    witness = tmp_path / "witness" / "checkpoints"
    async with place.open(witness_path=witness) as log:
        await log.intend(make.intent())
    with fresh_database(upgrade) as url, pytest.raises(StoreRolledBack, match="the store is empty"):
        async with type(place)(url, place.folder).open(witness_path=witness):
            pass


async def test_a_sequence_that_went_back_under_a_running_gateway_stops_it(place: Any, make: Any) -> None:
    """A failover to a replica that lacks the newest commits looks like this."""
    async with place.open() as log:
        for _ in range(3):
            await log.intend(make.intent())
        with place.dba() as dba:
            dba.execute("update audit.seqcoord set next = 1; delete from audit.record where seq >= 1")
        with pytest.raises(AuditUnavailable, match="older state"):
            await log.intend(make.intent())
        assert not log.health().writable
        with pytest.raises(AuditUnavailable, match="older state"):
            await log.intend(make.intent())
    with place.dba() as dba:
        assert dba.execute("select count(*) from audit.record").fetchone() == (1,)


async def test_an_old_schema_is_refused_with_what_to_run(place: Any) -> None:
    downgrade(place.url, "0001")
    with pytest.raises(StoreError, match="python -m audit migrate"):
        async with place.open():
            pass
    upgrade(place.url)
    async with place.open():
        pass


async def test_a_database_without_tables_is_made_ready_only_with_create_keys(place: Any) -> None:
    downgrade(place.url, "base")
    with pytest.raises(StoreError, match="no tables yet"):
        async with place.open(create_keys=False):
            pass
