"""Holds: what they keep is readable past day 30, and nothing else is; what they release is gone."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from audit.canonical import load_json_object
from audit.errors import (
    AuditUnavailable,
    ContentDestroyed,
    EntryInvalid,
    FreshMfaRequired,
    HoldNotFound,
    HoldRefused,
    StoreDamaged,
)
from audit.governance.escrow import Escrow
from audit.governance.holds import HoldKind, HoldState
from audit.governance.scope import HoldScope
from audit.record import Effect, Phase, Subject
from audit.vocabulary import LogEvent, LogReason
from tests.support.governed import START, Crash, Governed

DAY = START.date()


async def _placed(governed: Governed, scope: HoldScope, kind: HoldKind = HoldKind.LEGAL) -> str:
    hold = await governed.governance.holds.request(kind, scope, "court 17/26", governed.officer("dana"))
    await governed.governance.holds.place(hold.id, governed.officer("erin"))
    return hold.id


async def _release(governed: Governed, hold_id: str) -> None:
    await governed.governance.holds.ask_release(hold_id, governed.officer("dana"))
    await governed.governance.holds.release(hold_id, governed.officer("erin"))


@pytest.mark.parametrize("by_actor", [True, False])
async def test_a_held_record_opens_after_its_day_is_purged_and_others_do_not(
    governed: Governed, by_actor: bool
) -> None:
    async with governed.open() as governance:
        held = await governed.request("alice", "the evidence")
        other = await governed.request("bob", "not the evidence")
        scope = HoldScope(actor="alice", from_day=DAY) if by_actor else HoldScope(event_ids=(held.event_id,))
        await _placed(governed, scope)
        governed.forward(days=31)
        (receipt,) = await governed.log.purge()
        assert receipt.held == 2
        assert governed.verify().findings == []
        for row in await governed.rows(held.event_id):
            opened = governance.opener.open(row)
            assert opened.is_held
            assert load_json_object(opened.subject)["actor"] == "alice"
            assert "the evidence" in str(load_json_object(opened.content))
        for row in await governed.rows(other.event_id):
            assert row.subject is None
            assert governance.holds.open_held(row) is None
            with pytest.raises(ContentDestroyed):
                governance.opener.open(row)
        assert not list((governed.directory / "keys").glob(f"{DAY}.*"))


async def test_the_next_purge_takes_what_a_hold_released(governed: Governed) -> None:
    async with governed.open() as governance:
        held = await governed.request("alice", "the evidence")
        hold_id = await _placed(governed, HoldScope(event_ids=(held.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        (before, _) = await governed.rows(held.event_id)
        (wrapped,) = governed.execute("select wrapped from governance_escrow where seq = ?", (before.seq,))
        await _release(governed, hold_id)
        assert governance.holds.open_held(before) is None
        assert governed.execute("select count(*) from governance_escrow")[0][0] == 0
        assert list((governed.directory / "keys" / "holds").iterdir()) == []
        governed.forward(minutes=1)
        await governed.log.purge()
        for row in await governed.rows(held.event_id):
            assert row.subject is None
            assert row.content is None
        assert governed.verify().findings == []
        assert wrapped


async def test_open_ended_holds_keep_days_to_come_and_bounded_ones_do_not(governed: Governed) -> None:
    async with governed.open() as governance:
        await _placed(governed, HoldScope(actor="alice", from_day=DAY + timedelta(days=1)))
        await _placed(governed, HoldScope(actor="bob", from_day=DAY, to_day=DAY))
        tickets = []
        for _ in range(2):
            tickets += [await governed.request("alice"), await governed.request("bob")]
            governed.forward(days=1)
        governed.forward(days=40)
        await governed.log.purge()
        kept = [bool((await governed.rows(ticket.event_id))[0].subject) for ticket in tickets]
        assert kept == [False, True, True, False]
        assert set(governance.holds.held_days()) == {DAY, DAY + timedelta(days=1)}


async def test_two_holds_keep_until_both_are_released(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        first = await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        second = await _placed(governed, HoldScope(actor="alice", from_day=DAY), HoldKind.ABUSE)
        governed.forward(days=31)
        await governed.log.purge()
        (row, _) = await governed.rows(ticket.event_id)
        await _release(governed, first)
        assert governance.holds.open_held(row) is not None
        await governed.log.purge()
        assert (await governed.rows(ticket.event_id))[0].subject is not None
        await _release(governed, second)
        assert governance.holds.open_held(row) is None


async def test_placing_takes_a_second_person_with_a_fresh_second_factor(governed: Governed) -> None:
    async with governed.open() as governance:
        scope = HoldScope(actor="alice", from_day=DAY)
        hold = await governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
        with pytest.raises(HoldRefused) as refused:
            await governance.holds.place(hold.id, governed.officer("dana"))
        assert refused.value.reason == LogReason.SECOND_PERSON_MISSING
        with pytest.raises(FreshMfaRequired):
            await governance.holds.place(hold.id, governed.officer("erin", mfa_age_seconds=1000))
        assert governance.holds.keeping() == []
        assert [entry.effect for entry, _, _ in governed.events[1:]] == [Effect.DENY, Effect.DENY]
        await governance.holds.place(hold.id, governed.officer("erin"))
        assert [hold.id for hold in governance.holds.keeping()] == [hold.id]
        assert {phase for _, phase, _ in governed.events} == {Phase.HOLD}


async def test_a_hold_that_nobody_placed_keeps_nothing(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        scope = HoldScope(event_ids=(ticket.event_id,))
        hold = await governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
        rejected = await governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
        await governance.holds.reject(rejected.id, governed.officer("dana"))
        governed.forward(days=31)
        await governed.log.purge()
        assert (await governed.rows(ticket.event_id))[0].subject is None
        assert (await governance.holds.get(hold.id)).state is HoldState.REQUESTED


async def test_releasing_takes_a_second_person_with_a_fresh_second_factor(governed: Governed) -> None:
    async with governed.open() as governance:
        hold_id = await _placed(governed, HoldScope(actor="alice", from_day=DAY))
        with pytest.raises(HoldRefused, match="active"):
            await governance.holds.release(hold_id, governed.officer("erin"))
        await governance.holds.ask_release(hold_id, governed.officer("dana"))
        with pytest.raises(HoldRefused, match="second person"):
            await governance.holds.release(hold_id, governed.officer("dana"))
        with pytest.raises(FreshMfaRequired):
            await governance.holds.release(hold_id, governed.officer("erin", mfa_age_seconds=None))
        assert [hold.id for hold in governance.holds.keeping()] == [hold_id]
        kept = await governance.holds.keep(hold_id, governed.officer("frank"))
        assert (kept.state, kept.release_requested) == (HoldState.ACTIVE, None)
        await _release(governed, hold_id)
        assert governance.holds.keeping() == []
        with pytest.raises(HoldRefused):
            await governance.holds.place(hold_id, governed.officer("frank"))


async def test_a_part_of_the_product_places_an_abuse_hold_alone_and_a_person_does_not(governed: Governed) -> None:
    async with governed.open() as governance:
        scope = HoldScope(actor="mallory", from_day=DAY)
        with pytest.raises(EntryInvalid):
            await governance.holds.place_abuse_hold(scope, "abuse", Subject(actor="dana"))
        hold = await governance.holds.place_abuse_hold(scope, "abuse found", Subject(actor="system:screening"))
        assert hold.is_keeping
        with pytest.raises(EntryInvalid):
            governed.officer("system:screening")
        await _release(governed, hold.id)


async def test_another_tenants_records_are_not_held(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request(tenant="other")
        hold_id = await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        with pytest.raises(HoldNotFound):
            await governance.holds.get(hold_id, tenant="other")
        governed.forward(days=31)
        await governed.log.purge()
        (row, _) = await governed.log._rows(ticket.event_id, "other")
        assert row.subject is None


async def test_a_purge_cut_short_after_the_escrow_is_done_again(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        governed.forward(days=31)
        escrow = governance.escrow

        def crash(day: date, class_: str) -> frozenset[int]:
            escrow(day, class_)
            raise OSError("power cut")

        governed.log.retention.escrow = crash
        with pytest.raises(AuditUnavailable):
            await governed.log.purge()
    async with governed.open() as governance:
        await governed.log.purge()
        assert len(governance.holds.held_seqs(DAY)) == 2
        (row, _) = await governed.rows(ticket.event_id)
        assert governance.holds.open_held(row) is not None
        assert governance.escrow(DAY, "standard") == governance.holds.held_seqs(DAY)  # its keys are gone by now


async def test_a_crash_while_releasing_is_finished(governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        hold_id = await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        key = governed.directory / "keys" / "holds" / f"{hold_id}.json"
        (row, _) = await governed.rows(ticket.event_id)

        def crash(*_arguments: object) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(Escrow, "destroy", crash)
            with pytest.raises(Crash):
                await _release(governed, hold_id)
        saved = key.read_bytes()
    async with governed.open() as governance:
        assert governance.holds.open_held(row) is None  # released, although its key is still there
        governance.holds.finish_releases()
        assert not key.exists()
        assert governed.execute("select count(*) from governance_escrow")[0][0] == 0
        key.write_bytes(saved)  # somebody restored it
        key.chmod(0o600)
        assert governance.holds.open_held(row) is None
        governance.holds.finish_releases()
        assert not key.exists()


async def test_a_crash_between_event_and_row_places_nothing(governed: Governed) -> None:
    async with governed.open() as governance:
        scope = HoldScope(actor="alice", from_day=DAY)
        hold = await governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
        governed.crash_after_events = 0
        with pytest.raises(Crash):
            await governance.holds.place(hold.id, governed.officer("erin"))
    governed.crash_after_events = None
    async with governed.open() as governance:
        assert governed.events[-1][0].action == LogEvent.HOLD_PLACE
        assert governance.holds.keeping() == []


async def test_an_escrowed_key_taken_out_or_moved_is_noticed(governed: Governed) -> None:
    async with governed.open() as governance:
        first, second = await governed.request(), await governed.request()
        await _placed(governed, HoldScope(event_ids=(first.event_id, second.event_id)))
        governed.forward(days=31)
        await governed.log.purge()
        (row, _), (other, _) = await governed.rows(first.event_id), await governed.rows(second.event_id)
        ((wrapped,),) = governed.execute("select wrapped from governance_escrow where seq = ?", (other.seq,))
        governed.execute("update governance_escrow set wrapped = ? where seq = ?", (wrapped, row.seq))
        with pytest.raises(StoreDamaged, match=str(row.seq)):
            governance.holds.open_held(row)
        governed.execute("delete from governance_escrow where seq = ?", (row.seq,))
        with pytest.raises(StoreDamaged, match="took it out"):
            governance.holds.open_held(row)
        with pytest.raises(StoreDamaged, match="ciphertext"):
            governance.holds.open_held(other._replace(subject=None))


async def test_zero_retention_cannot_be_held(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request(class_="zero")
        await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        (row, _) = await governed.rows(ticket.event_id)
        assert row.subject is None
        assert governance.holds.held_seqs(DAY) == frozenset()


async def test_without_the_key_folder_a_backup_of_both_databases_opens_nothing(
    governed: Governed, tmp_path: Path
) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        hold_id = await _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        (row, _) = await governed.rows(ticket.event_id)
        governed.execute("select 1")
        (governed.directory / "keys" / "holds" / f"{hold_id}.json").unlink()
    async with governed.open() as governance:
        with pytest.raises(Exception, match="does not exist"):
            governance.holds.open_held(row)
