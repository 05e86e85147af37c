"""Day 30 in a database: keys, then space; beside other gateways, and beside somebody who reads."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import psycopg
import pytest

from audit import AuditUnavailable, Query, TicketExpired
from audit.errors import StoreDamaged
from audit.verify import verify_store

DAY = date(2026, 11, 22)


async def _written(log: Any, make: Any, requests: int = 3, **fields: Any) -> list[Any]:
    tickets = []
    for _ in range(requests):
        tickets.append(ticket := await log.intend(make.intent(**fields)))
        await log.conclude(ticket, make.outcome(**fields))
    return tickets


def _tables(place: Any) -> set[str]:
    with place.dba() as dba:
        return {
            name for (name,) in dba.execute("select tablename from pg_tables where schemaname = 'audit'").fetchall()
        }


async def test_a_purged_day_is_gone_for_every_gateway_and_still_verifies(place: Any, make: Any) -> None:
    async with place.open() as first, place.open() as second:
        (ticket,) = await _written(first, make, 1)
        orphan = await first.intend(make.intent("bob"))
        place.clock.forward(days=31)
        (receipt,) = await second.purge()
        assert (receipt.day, receipt.records, receipt.space_freed) == (DAY, 3, True)
        assert "sealed_20261122_standard" not in _tables(place)
        page = await first.search(Query(actor="alice"), searched_by=make.subject("dana"))
        assert page.rows == ()
        with pytest.raises(TicketExpired):
            await first.conclude(orphan, make.outcome("bob"))
        assert all(proof.verify(first.verifier_key) for proof in await first.proof(ticket.event_id))
        assert await first.purge() == []
    report = verify_store(place.url, None, None)
    assert (report.ok, report.purged_days) == (True, [DAY.isoformat()]), report.findings


async def test_an_open_transaction_of_an_auditor_blocks_the_space_and_not_the_keys(place: Any, make: Any) -> None:
    async with place.open(database_lock_timeout_seconds=0.2) as log:
        await _written(log, make)
        place.clock.forward(days=31)
        with place.dba() as auditor, auditor.transaction():
            auditor.execute("select count(*) from audit.sealed_20261122_standard")
            (receipt,) = await log.purge()
            assert (receipt.keys_destroyed, receipt.space_freed) == (1, False)
            assert "sealed_20261122_standard" in _tables(place)
            await log.intend(make.intent())  # nobody else waits for the auditor
        (receipt,) = await log.purge()
        assert (receipt.keys_destroyed, receipt.space_freed) == (0, True)
        assert "sealed_20261122_standard" not in _tables(place)


async def test_an_open_reader_of_another_day_blocks_nothing(place: Any, make: Any) -> None:
    async with place.open(database_lock_timeout_seconds=0.2) as log:
        await _written(log, make)
        place.clock.forward(days=31)
        await _written(log, make)
        with place.dba() as auditor, auditor.transaction():
            auditor.execute("select count(*) from audit.record; select count(*) from audit.sealed_20261223_standard")
            (receipt,) = await log.purge()
            assert receipt.space_freed


async def test_what_a_hold_keeps_stays_until_it_is_released(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as log:
        await _written(log, make, 3)
        store = behind(log)
        store.take_in_day(DAY)
        with place.dba() as dba:
            dba.execute("create temporary table before as select * from audit.sealed_20261122_standard")
            assert store.free(DAY, None, frozenset({2, 3}), place.clock())
            assert store.is_freed(DAY, None)
            kept = dba.execute("select * from audit.sealed_20261122_standard order by seq").fetchall()
            assert kept == dba.execute("select * from before where seq in (2, 3) order by seq").fetchall()
            assert store.free(DAY, None, frozenset({3}), place.clock())
            assert dba.execute("select seq from audit.sealed_20261122_standard").fetchall() == [(3,)]
        assert store.free(DAY, None, frozenset(), place.clock())
        assert "sealed_20261122_standard" not in _tables(place)
        assert store.free(DAY, None, frozenset(), place.clock())  # safe to repeat


async def test_a_class_goes_alone_and_the_others_of_its_day_are_still_written(
    place: Any, make: Any, behind: Any
) -> None:
    async with place.open() as log:
        await _written(log, make, 1)
        await _written(log, make, 1, class_="abuse")
        late = await log.intend(make.intent(class_="abuse"))
        store = behind(log)
        store.take_in_day(DAY)
        with pytest.raises(AuditUnavailable, match="being purged"):
            await log.conclude(late, make.outcome(class_="abuse"))
        store.ring.destroy(DAY, place.clock(), frozenset({"standard"}))
        store.release_day(DAY, frozenset({"standard"}))
        assert store.free(DAY, frozenset({"standard"}), frozenset(), place.clock())
        assert store.is_freed(DAY, frozenset({"standard"}))
        assert not store.is_freed(DAY, None)
        tables = _tables(place)
        assert "sealed_20261122_standard" not in tables
        assert "sealed_20261122_abuse" in tables
        await log.conclude(late, make.outcome(class_="abuse"))


async def test_a_batch_sealed_before_the_keys_went_is_not_written_after(place: Any, make: Any, behind: Any) -> None:
    """Else the log would hold a record that nobody can check, and stop itself."""
    async with place.open() as first, place.open() as second:
        await _written(first, make, 1)
        ticket = await first.intend(make.intent())
        behind(first)._integrator.advance()
        store = behind(second)
        with place.dba() as dba:
            with dba.transaction():
                dba.execute("select next from audit.seqcoord for update")
                call = asyncio.create_task(first.conclude(ticket, make.outcome()))
                await asyncio.sleep(0.2)  # sealed, and waiting for its number
                purging = asyncio.create_task(asyncio.to_thread(_purge_standard, store, place))
                await asyncio.sleep(0.2)
                # Close the day before the waiting batch gets its turn, as a purge that was first in the queue would.
                dba.execute("update audit.day set is_closed = true, generation = generation + 1")
                first._ring.destroy(DAY, place.clock(), frozenset({"standard"}))
            with pytest.raises((TicketExpired, AuditUnavailable)):
                await call
            await purging
        behind(first)._integrator.advance()
        assert first.health().writable
        assert first.checkpoint_size() == 3


def _purge_standard(store: Any, place: Any) -> None:
    store.take_in_day(DAY)
    store.ring.destroy(DAY, place.clock(), frozenset({"standard"}))
    store.release_day(DAY, frozenset({"standard"}))


async def test_erased_records_lose_their_sealed_parts_and_nothing_else(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as log:
        tickets = await _written(log, make, 3)
        await asyncio.to_thread(behind(log).erase, [2, 3])
        with place.dba() as dba:
            assert dba.execute("select seq from audit.sealed_20261122_standard order by seq").fetchall() == [
                (seq,) for seq in (0, 1, 4, 5)
            ]
            assert dba.execute("select count(*) from audit.record").fetchone() == (6,)
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(tickets[1].event_id))
        page = await log.search(Query(actor="alice"), searched_by=make.subject("dana"))
        assert [row.event_id for row in page.rows] == [tickets[2].event_id, tickets[0].event_id]


async def test_a_day_whose_key_is_destroyed_is_not_signed_blindly(place: Any, make: Any, behind: Any) -> None:
    """Whoever destroys keys before the tree holds the records stops the log; the purge waits for the tree instead."""
    async with place.open() as log:
        await log.intend(make.intent())
        behind(log).ring.destroy(DAY, place.clock())
        behind(log)._integrator.advance()
        assert not log.health().writable
        with place.dba() as dba:
            assert dba.execute("select size from audit.tree").fetchone() == (0,)
    with pytest.raises(StoreDamaged, match="destroyed day"):
        async with place.open():
            pass


async def test_long_class_names_have_tables_of_their_own(place: Any, make: Any) -> None:
    long, longer = "a" * 60, "a" * 61
    async with place.open() as log:
        await _written(log, make, 1, class_=long)
        await _written(log, make, 1, class_=longer)
    assert len([name for name in _tables(place) if name.startswith("sealed_20261122_~")]) == 2
    assert verify_store(place.url, None, None).ok


def test_the_store_goes_up_and_down_with_records_in_it(place: Any) -> None:
    from audit.migrations.migrate import downgrade, upgrade

    with place.dba() as dba:
        from audit.store.postgres.tables import make_tables

        make_tables(dba, [(DAY, "standard"), (DAY, "abuse")])
        downgrade(place.url, "0001")
        assert not [name for name in _tables(place) if not name.startswith(("governance", "schema_version"))]
        upgrade(place.url)
        with pytest.raises(psycopg.errors.UndefinedTable):
            dba.execute("select 1 from audit.sealed_20261122_abuse")
