"""When the database does not do what it was asked, or does it and cannot say so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from audit import AuditUnavailable, EntryInvalid, StoreError, TicketConcluded, new_event_id
from audit.migrations.migrate import upgrade
from audit.verify import verify_store
from tests.support.cutting_proxy import CuttingProxy
from tests.support.postgres import PostgresServer, fresh_database, shared_server


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    with CuttingProxy(shared_server().port) as proxy:
        yield proxy


def through(proxy: CuttingProxy, place: Any) -> dict[str, str]:
    return {"database_url": place.url.replace(f":{shared_server().port}/", f":{proxy.port}/")}


async def test_a_commit_that_never_arrived_left_nothing(place: Any, make: Any, proxy: CuttingProxy) -> None:
    async with place.open(**through(proxy, place)) as log:
        ticket = await log.intend(make.intent())
        proxy.cut = "before"
        with pytest.raises(AuditUnavailable):
            await log.conclude(ticket, make.outcome())
        assert proxy.cuts == 1
        assert log.health().write_failures == 1
        reference = await log.conclude(ticket, make.outcome())  # the ticket was given back
        assert reference.seq == 1
    assert verify_store(place.url, None, None).ok


async def test_a_commit_that_was_done_but_not_told_is_found(place: Any, make: Any, proxy: CuttingProxy) -> None:
    async with place.open(**through(proxy, place)) as log:
        first = await log.intend(make.intent())
        proxy.cut = "after"
        with pytest.raises(AuditUnavailable):
            await log.conclude(first, make.outcome())
        with pytest.raises(TicketConcluded):
            await log.conclude(first, make.outcome(effect="deny"))
        event_id = new_event_id(place.clock())
        proxy.cut = "after"
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent("bob"), event_id=event_id)
        assert proxy.cuts == 2
        with pytest.raises(EntryInvalid):
            await log.intend(make.intent("bob"), event_id=event_id)
        place.clock.forward(minutes=1)
        assert [found.ticket.event_id for found in await log.open_tickets(timedelta(0))] == [event_id]
        assert (await log.intend(make.intent())).seq == 3
    report = verify_store(place.url, None, None)
    assert (report.ok, report.records, report.covered_size) == (True, 4, 4)


async def test_a_checkpoint_that_was_stored_but_not_told_is_not_contradicted(
    place: Any, make: Any, behind: Any, proxy: CuttingProxy
) -> None:
    async with place.open(**through(proxy, place)) as log:
        for how in ("after", "before"):
            await log.intend(make.intent())
            proxy.cut = how
            with pytest.raises(Exception, match="connection"):
                behind(log)._integrator.advance()
            behind(log)._integrator.disconnect()
            await log.intend(make.intent())
            behind(log)._integrator.advance()
        assert (proxy.cuts, log.checkpoint_size()) == (2, 4)
    assert verify_store(place.url, None, None).ok


async def test_every_caller_hears_it_and_the_log_recovers(place: Any, make: Any) -> None:
    async with place.open() as log:
        await log.intend(make.intent())
        with place.dba() as dba, place.dba() as other:
            with dba.transaction():
                dba.execute("select next from audit.seqcoord for update")  # so that batches are on their way
                calls = [asyncio.create_task(log.intend(make.intent())) for _ in range(8)]
                await asyncio.sleep(0.2)
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'imprimatur-audit writer'"
                )
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(result, AuditUnavailable) for result in results)
        await log.intend(make.intent())
    report = verify_store(place.url, None, None)
    assert report.ok
    assert report.records == 2 + sum(not isinstance(result, BaseException) for result in results)


async def test_connections_that_the_server_ended_meanwhile_cost_nobody_a_record(place: Any, make: Any) -> None:
    async with place.open() as log:
        await asyncio.gather(*(log.intend(make.intent()) for _ in range(64)))  # by both threads
        for _ in range(3):
            with place.dba() as dba:
                dba.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'imprimatur-audit writer'"
                )
            await asyncio.gather(*(log.intend(make.intent()) for _ in range(8)))
        assert log.health().write_failures == 0


async def test_a_sequence_that_somebody_locked_is_waited_for_with_an_end(place: Any, make: Any) -> None:
    async with place.open(database_lock_timeout_seconds=0.3) as log:
        with place.dba() as dba, dba.transaction():
            dba.execute("select next from audit.seqcoord for update")
            with pytest.raises(AuditUnavailable, match="55P03"):
                await log.intend(make.intent())
        await log.intend(make.intent())


async def test_a_full_disk_refuses_and_says_so(place: Any, make: Any) -> None:
    """The server answers 53100; a trigger raises it here."""
    async with place.open() as log:
        await log.intend(make.intent())
        with place.dba() as dba:
            dba.execute(
                "create function audit.full() returns trigger language plpgsql as"
                " $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$"
            )
            dba.execute("create trigger full_disk before insert on audit.record_20261122 execute function audit.full()")
            with pytest.raises(AuditUnavailable, match="53100"):
                await log.intend(make.intent())
            assert not log.health().writable
            dba.execute("drop trigger full_disk on audit.record_20261122")
        assert (await log.intend(make.intent())).seq == 1


async def test_figures_are_given_while_the_database_is_away(place: Any, make: Any) -> None:
    async with place.open() as log:
        await log.intend(make.intent())
        before = log.health()
        assert before.readable
        name = place.url.rpartition("/")[2]
        with psycopg.connect(shared_server().url(), autocommit=True) as dba:
            dba.execute(f'alter database "{name}" allow_connections false')
            dba.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name])
            try:
                away = log.health()
            finally:
                dba.execute(f'alter database "{name}" allow_connections true')
        assert (away.writable, away.readable, away.open_tickets) == (False, False, before.open_tickets)
        await log.intend(make.intent())
        assert log.health().readable
        assert log.health().writable


async def test_a_search_that_takes_too_long_is_stopped(place: Any, make: Any, behind: Any) -> None:
    async with place.open(read_timeout_seconds=0.3) as log:
        await log.intend(make.intent())

        def slow(reader: Any) -> Any:
            day = reader.day(place.clock().date())
            return list(day.select("select pg_sleep(?) from {record}", (5.0,)))

        with pytest.raises(AuditUnavailable, match="narrow it"):
            await behind(log).read(slow)
        assert await behind(log).read(lambda reader: len(reader.days())) == 1


async def test_a_reader_cannot_write(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as log:
        await log.intend(make.intent())

        def write(reader: Any) -> Any:
            day = reader.day(place.clock().date())
            return list(day.select("delete from {record} returning seq", ()))

        with pytest.raises(AuditUnavailable, match="ReadOnlySqlTransaction"):
            await behind(log).read(write)


async def test_a_server_that_may_lose_commits_is_refused(tmp_path: Any, place: Any, make: Any) -> None:
    with place.dba() as dba:
        name = place.url.rpartition("/")[2]
        dba.execute(f"alter database {name} set synchronous_commit = off".encode())
        with pytest.raises(StoreError, match="synchronous_commit=off"):
            async with place.open():
                pass
        dba.execute(f"alter database {name} set synchronous_commit = on".encode())
        async with place.open() as log:
            await log.intend(make.intent())
    with PostgresServer() as server, fresh_database(upgrade, server) as url:
        with place.dba():
            server.stop("fast")
            server.start("fsync=off")
        with pytest.raises(StoreError, match="fsync=off"):
            async with type(place)(url, tmp_path / "other").open():
                pass


async def test_a_database_that_cannot_be_reached_is_unavailable_and_keeps_its_password(place: Any) -> None:
    url = "postgresql://auditor:secret-word@127.0.0.1:1/audit"
    with pytest.raises(AuditUnavailable) as caught:
        async with place.open(database_url=url):
            pass
    assert "secret-word" not in repr(caught.value) + repr(caught.value.__cause__)
    assert "secret-word" not in repr(place.settings(database_url=url))


async def test_functions_that_others_put_into_public_are_not_called(place: Any, make: Any) -> None:
    """CVE-2018-1058: an unqualified name must not find somebody else's function before the built-in one."""
    with place.dba() as dba:
        dba.execute("create schema if not exists public; grant all on schema public to public")
        dba.execute(
            "create function public.coalesce_max(bigint) returns bigint language sql as 'select 0::bigint';"
            "create function public.unnest(text[], bigint[]) returns setof record language plpgsql as"
            " $$ begin raise exception 'called'; end $$;"
            "create function public.clock_timestamp() returns timestamptz language plpgsql as"
            " $$ begin raise exception 'called'; end $$"
        )
        name = place.url.rpartition("/")[2]
        dba.execute(f"alter database {name} set search_path = public, pg_catalog".encode())
    async with place.open() as log:
        ticket = await log.intend(make.intent())
        await log.conclude(ticket, make.outcome(effect="deny", reasons=("dlp.payment-card",)))
        assert len(await log.proof(ticket.event_id)) == 2
