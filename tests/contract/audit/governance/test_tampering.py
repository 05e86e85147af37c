"""What whoever may write to the database can try. Each attempt is refused, naming the row."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from audit.errors import StoreDamaged
from audit.governance.holds import HoldKind
from audit.governance.scope import HoldScope, Scope
from audit.governance.tables import metadata
from tests.support.governed import Governed

_CHANGES: dict[str, Any] = {
    "version": 7,
    "tenant": "other",
    "state": "active",
    "created_at": 1,
    "changed_at": 1,
    "expires_at": 2**50,
    "openings": 0,
    "kind": "abuse",
    "hold_id": "018f0000-0000-7000-8000-000000000000",
    "day": "2027-01-01",
    "class_": "other",
}
_BYTES = b"\x01" * 64


async def _fill(governed: Governed) -> dict[str, str]:
    """A row in every authenticated table; returns their ids."""
    governance = governed.governance
    dana, erin = governed.officer("dana"), governed.officer("erin")
    ticket = await governed.request()
    case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,)))
    await governance.cases.permit_opening(case_id, governed.facts(ticket), dana)
    await governance.cases.close(case_id, dana)
    hold = await governance.holds.request(HoldKind.LEGAL, HoldScope(event_ids=(ticket.event_id,)), "a court", dana)
    await governance.holds.place(hold.id, erin)
    rows = await governed.rows(ticket.event_id)
    day = governed.now.date()
    governance.holds.escrow_day(day, "standard", rows, lambda tenant: governed.store.ring.get(day, tenant, "standard"))
    await governance.holds.ask_release(hold.id, dana)
    request = await governance.erasures.requests.request("bob", "letter 7", dana)
    await governance.erasures.requests.approve(request.id, erin)
    await governance.erasures.execute(request.id, dana)
    (escrow_day,) = governed.execute("select id from governance_escrow_day")
    return {
        "governance_case": case_id,
        "governance_hold": hold.id,
        "governance_subject_request": request.id,
        "governance_escrow_day": escrow_day[0],
    }


async def _read(governed: Governed, table: str, row_id: str) -> object:
    governance = governed.governance
    if table == "governance_case":
        return await governance.cases.get(row_id)
    if table == "governance_hold":
        return await governance.holds.get(row_id)
    if table == "governance_subject_request":
        return await governance.erasures.requests.get(row_id)
    return governance.holds.held_seqs(date(2026, 11, 22))


async def _list(governed: Governed, table: str) -> object:
    governance = governed.governance
    if table == "governance_case":
        return await governance.cases.list()
    if table == "governance_subject_request":
        return await governance.erasures.requests.list()
    return governance.holds.held_seqs(date(2026, 11, 22))


async def test_an_edit_of_any_column_is_refused(governed: Governed) -> None:
    async with governed.open():
        ids = await _fill(governed)
        tried = 0
        for table, row_id in ids.items():
            await _read(governed, table, row_id)
            for column in metadata.tables[f"audit.{table}"].c:
                name = column.name
                if name == "id":
                    continue
                ((before,),) = governed.execute(f"select {name} from {table} where id = ?", (row_id,))
                for value in [_CHANGES.get(name, _BYTES), *([None] if column.nullable and before is not None else [])]:
                    assert value != before, (table, name)
                    governed.execute(f"update {table} set {name} = ? where id = ?", (value, row_id))
                    with pytest.raises(StoreDamaged, match=table):
                        await _read(governed, table, row_id)
                    governed.execute(f"update {table} set {name} = ? where id = ?", (before, row_id))
                    await _read(governed, table, row_id)
                    tried += 1
        assert tried > 40


async def test_a_row_under_another_id_is_refused(governed: Governed) -> None:
    async with governed.open():
        ids = await _fill(governed)
        other = "018f0000-0000-7000-8000-000000000000"
        for table, row_id in ids.items():
            governed.execute(f"update {table} set id = ? where id = ?", (other, row_id))
            with pytest.raises(StoreDamaged):
                await _read(governed, table, row_id)  # gone
            with pytest.raises(StoreDamaged):
                await _list(governed, table)
            if table != "governance_escrow_day":
                with pytest.raises(StoreDamaged, match=other):
                    await _read(governed, table, other)  # made up
            governed.execute(f"update {table} set id = ? where id = ?", (row_id, other))


async def test_an_approval_that_somebody_made_up_is_refused(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        end = governed.now + timedelta(days=7)
        scope = Scope(event_ids=(ticket.event_id,))
        waiting = await governance.cases.request("x", scope, end, governed.officer("mallory"))
        approved = await governed.active_case(scope)
        ((decided, mac),) = governed.execute("select decided, mac from governance_case where id = ?", (approved,))
        governed.execute(
            "update governance_case set state = 'active', decided = ?, mac = ? where id = ?", (decided, mac, waiting.id)
        )
        events = len(governed.events)
        with pytest.raises(StoreDamaged, match=waiting.id):
            await governance.cases.permit_opening(waiting.id, governed.facts(ticket), governed.officer("mallory"))
        assert len(governed.events) == events


async def test_a_row_put_back_from_before_is_refused(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,), max_openings=1))
        columns = [column.name for column in metadata.tables["audit.governance_case"].c]
        (old,) = governed.execute(f"select {', '.join(columns)} from governance_case")
        await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        await governance.cases.close(case_id, governed.officer("dana"))
        governed.execute("delete from governance_case")
        governed.execute(
            f"insert into governance_case ({', '.join(columns)}) values ({', '.join('?' * len(old))})", old
        )
    async with governed.open() as governance:  # also by a process that never saw the newer row
        with pytest.raises(StoreDamaged, match="put back"):
            await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))


async def test_a_hold_taken_out_stops_every_purge(governed: Governed) -> None:
    async with governed.open() as governance:
        ids = await _fill(governed)
        governed.execute("delete from governance_hold")
        with pytest.raises(StoreDamaged, match=ids["governance_hold"]):
            governance.holds.held_seqs(date(2026, 11, 22))
        governed.forward(days=32)
        with pytest.raises(Exception, match="escrow"):
            await governed.log.purge()
        assert list((governed.directory / "keys").glob("2026-11-22.default.standard.json"))


async def test_a_missing_governance_key_is_not_made_anew(governed: Governed) -> None:
    async with governed.open():
        await _fill(governed)
    (governed.directory / "keys" / "governance.json").unlink()
    async with governed.open() as governance:
        with pytest.raises(Exception, match="restore the key folder"):
            await governance.cases.list()
        with pytest.raises(Exception, match="restore the key folder"):
            await governed.active_case(Scope(actors=("alice",)))


async def test_a_list_of_versions_that_was_cut_short_is_noticed_by_a_running_process(governed: Governed) -> None:
    async with governed.open() as governance:
        await _fill(governed)
        register = governed.directory / "keys" / "governance-rows"
        register.write_bytes(register.read_bytes()[:100])
        with pytest.raises(StoreDamaged, match="shorter"):
            await governance.cases.list()


async def test_a_crash_between_row_and_list_is_caught_up(governed: Governed) -> None:
    async with governed.open() as governance:
        ids = await _fill(governed)
    register = governed.directory / "keys" / "governance-rows"
    lines = register.read_bytes().splitlines(keepends=True)
    register.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # the last line was being written
    async with governed.open() as governance:
        await governance.erasures.requests.get(ids["governance_subject_request"])
        assert register.read_bytes().splitlines(keepends=True)[-1] == lines[-1]
        await governance.cases.list()
