"""Erasure and subject access: content goes, proofs stay, holds and the log's own work are left alone, visibly."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from audit.errors import (
    AuditUnavailable,
    ContentDestroyed,
    ErasureRefused,
    FreshMfaRequired,
    StoreDamaged,
    SubjectAccessRefused,
    SubjectRequestNotFound,
)
from audit.governance.coverage import canonical_list, covered_seqs, digest_of
from audit.governance.erasure import KeptReason
from audit.governance.holds import HoldKind
from audit.governance.scope import HoldScope, Scope
from audit.governance.subject_requests import SubjectRequestState
from audit.record import Effect, Phase, Subject
from audit.verify.report import Attack
from audit.vocabulary import LogEvent, LogReason
from tests.support.governed import START, Crash, Governed

DAY = START.date()
SYSTEM = Subject(actor="system:erasure")


async def _approved(governed: Governed, actor: str = "alice") -> str:
    requests = governed.governance.erasures.requests
    request = await requests.request(actor, "letter of 20 November", governed.officer("dana"))
    await requests.approve(request.id, governed.officer("erin"))
    return request.id


async def _placed(governed: Governed, scope: HoldScope) -> str:
    hold = await governed.governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
    await governed.governance.holds.place(hold.id, governed.officer("erin"))
    return hold.id


async def test_an_erased_person_is_gone_and_every_proof_still_verifies(governed: Governed) -> None:
    async with governed.open() as governance:
        mine = [await governed.request("alice", "my secret wish") for _ in range(3)]
        theirs = await governed.request("bob", "another")
        leaves = [row.leaf for ticket in mine for row in await governed.rows(ticket.event_id)]
        request_id = await _approved(governed)
        receipt = await governance.erasures.execute(request_id, SYSTEM)
        assert (receipt.erased, receipt.days, receipt.kept, receipt.is_complete) == (6, (DAY,), (), True)
        rows = [row for ticket in mine for row in await governed.rows(ticket.event_id)]
        for row in rows:
            assert (row.subject, row.content, row.terms, row.index_salt, row.authenticator) == (None,) * 5
            with pytest.raises(ContentDestroyed, match="erased"):
                governance.opener.open(row)
        assert [row.leaf for row in rows] == leaves
        report = governed.verify()
        assert (report.findings, report.erased) == ([], 6)
        for ticket in mine:
            for proof in await governed.log.proof(ticket.event_id):
                proof.verify(governed.log.verifier_key)
        assert b"another" in governance.opener.open((await governed.rows(theirs.event_id))[0]).content
        entry, phase, about = governed.events[-1]
        assert (entry.action, phase) == (LogEvent.ERASURE_DONE, Phase.ERASURE)
        assert about == digest_of(canonical_list([row.seq for row in rows]))
        assert "alice" not in str(entry.content)
        assert covered_seqs(receipt.record.event_id, about, governance.lists) == {row.seq for row in rows}
        request = await governance.erasures.requests.get(request_id)
        assert request.state is SubjectRequestState.DONE
        assert request.receipts[0]["erased"] == 6


async def test_erasing_again_finds_nothing_and_is_refused_once_done(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice")
        await governance.erasures.execute(await _approved(governed), SYSTEM)
        again = await _approved(governed)
        receipt = await governance.erasures.execute(again, SYSTEM)
        assert (receipt.erased, receipt.is_complete) == (0, True)
        with pytest.raises(ErasureRefused, match="done"):
            await governance.erasures.execute(again, SYSTEM)
        assert governed.events[-1][0].effect == Effect.DENY
        assert governed.events[-1][1] is Phase.ADMIN  # a refusal must not look like an erasure to verify


async def test_what_a_hold_keeps_is_erased_after_its_release(governed: Governed) -> None:
    async with governed.open() as governance:
        held, free = await governed.request("alice", "evidence"), await governed.request("alice", "wish")
        hold_id = await _placed(governed, HoldScope(event_ids=(held.event_id,)))
        request_id = await _approved(governed)
        receipt = await governance.erasures.execute(request_id, SYSTEM)
        assert (receipt.erased, receipt.is_complete) == (2, False)
        ((event_id, reason, holds),) = [(kept.event_id, kept.reason, kept.hold_ids) for kept in receipt.kept]
        assert (event_id, reason, holds) == (held.event_id, KeptReason.HOLD, (hold_id,))
        assert (await governed.rows(free.event_id))[0].subject is None
        assert b"evidence" in governance.opener.open((await governed.rows(held.event_id))[0]).content
        assert [request.state for request in await governance.erasures.pending()] == [SubjectRequestState.PARTLY_DONE]
        await governance.holds.ask_release(hold_id, governed.officer("dana"))
        await governance.holds.release(hold_id, governed.officer("erin"))
        receipt = await governance.erasures.execute(request_id, SYSTEM)
        assert (receipt.erased, receipt.is_complete) == (2, True)
        assert (await governed.rows(held.event_id))[0].subject is None
        assert await governance.erasures.pending() == []


async def test_records_held_past_their_day_count_as_kept(governed: Governed) -> None:
    async with governed.open() as governance:
        held = await governed.request("alice", "evidence")
        await governed.request("bob")
        hold_id = await _placed(governed, HoldScope(event_ids=(held.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        receipt = await governance.erasures.execute(await _approved(governed), SYSTEM)
        assert [(kept.event_id, kept.hold_ids) for kept in receipt.kept] == [(held.event_id, (hold_id,))]
        assert (receipt.erased, receipt.destroyed_days) == (0, 1)


async def test_what_a_person_did_to_the_log_stays(governed: Governed) -> None:
    async with governed.open() as governance:
        await governance.cases.list()
        await governed.active_case(_scope_of("bob"), asked_by="alice")
        running = await governed.intend("alice")
        await governed.request("alice")
        receipt = await governance.erasures.execute(await _approved(governed), SYSTEM)
        reasons = {kept.event_id: kept.reason for kept in receipt.kept}
        assert reasons.pop(running.event_id) is KeptReason.OPEN
        assert set(reasons.values()) == {KeptReason.ACCOUNTABILITY}
        assert receipt.erased == 2
        assert not receipt.is_complete


def _scope_of(actor: str) -> Scope:
    return Scope(actors=(actor,))


async def test_erasing_takes_two_people_neither_of_them_the_person(governed: Governed) -> None:
    async with governed.open() as governance:
        requests = governance.erasures.requests
        request = await requests.request("alice", "letter", governed.officer("dana"))
        with pytest.raises(ErasureRefused, match="requested"):
            await governance.erasures.execute(request.id, SYSTEM)
        for same in ("dana", "alice"):
            with pytest.raises(ErasureRefused) as refused:
                await requests.approve(request.id, governed.officer(same))
            assert refused.value.reason == LogReason.SECOND_PERSON_MISSING
        with pytest.raises(FreshMfaRequired):
            await requests.approve(request.id, governed.officer("erin", mfa_age_seconds=301))
        await requests.reject(request.id, governed.officer("erin"))
        with pytest.raises(ErasureRefused):
            await requests.approve(request.id, governed.officer("erin"))
        with pytest.raises(ErasureRefused, match="rejected"):
            await governance.erasures.execute(request.id, SYSTEM)


async def test_a_restored_database_opens_no_erased_record_and_is_erased_again(
    governed_files: Governed, tmp_path: Path
) -> None:
    governed = governed_files
    async with governed.open() as governance:
        ticket = await governed.request("alice", "wish")
    day_file = governed.directory / "days" / f"{DAY}.sqlite"
    backup = tmp_path / "backup.sqlite"
    shutil.copy(day_file, backup)
    async with governed.open() as governance:
        receipt = await governance.erasures.execute(await _approved(governed), SYSTEM)
        assert receipt.erased == 2
        with closing(sqlite3.connect(day_file, isolation_level=None)) as connection:
            connection.execute("attach ? as old", (str(backup),))
            connection.execute("insert or replace into sealed select * from old.sealed")
        rows = await governed.rows(ticket.event_id)
        assert rows[0].subject is not None
        for row in rows:
            with pytest.raises(ContentDestroyed, match="erased"):
                governance.opener.open(row)
            with pytest.raises(ContentDestroyed, match="erased"):
                governance.holds.open_held(row)
        assert await governance.erasures.erase_restored() == 2
        assert (await governed.rows(ticket.event_id))[0].subject is None
        assert await governance.erasures.erase_restored() == 0


@pytest.mark.parametrize("step", ["event", "list", "erased", "rows", "state"])
async def test_an_erasure_cut_short_is_finished_by_the_next_turn(
    governed: Governed, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed.open() as governance:
        ticket = await governed.request("alice")
        request_id = await _approved(governed)
        events = len(governed.events)

        def crash(*_arguments: object, **_named: object) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            if step == "event":
                governed.crash_after_events = 0
            elif step == "list":
                patch.setattr(governance.lists, "put", crash)
            elif step == "erased":
                patch.setattr(governance.erased, "add", crash)
            elif step == "rows":
                patch.setattr(governed.store, "erase", crash)
            else:
                patch.setattr(governance.erasures.requests, "change", crash)
            with pytest.raises(Crash):
                await governance.erasures.execute(request_id, SYSTEM)
    governed.crash_after_events = None
    async with governed.open() as governance:
        row = (await governed.rows(ticket.event_id))[0]
        assert (row.subject is None) == (step == "state")
        if step in ("rows", "state"):  # announced, listed: nobody opens it any more
            with pytest.raises(ContentDestroyed):
                governance.opener.open(row)
        receipt = await governance.erasures.execute(request_id, SYSTEM)
        assert (await governed.rows(ticket.event_id))[0].subject is None
        assert receipt.is_complete
        # Whatever is missing from the store is covered by an erasure that the log announced.
        covered: set[int] = set()
        for entry, phase, about in governed.events[events:]:
            assert entry.action == LogEvent.ERASURE_DONE
            assert phase is Phase.ERASURE
            for event_id in governance.lists.event_ids():
                if digest_of(governance.lists.get(event_id) or b"") == about:
                    covered |= covered_seqs(event_id, about, governance.lists)
        assert {row.seq for row in await governed.rows(ticket.event_id)} <= covered


async def test_a_list_that_was_changed_or_taken_away_excuses_nothing(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice")
        bob = await governed.request("bob")
        receipt = await governance.erasures.execute(await _approved(governed), SYSTEM)
        about, event_id = governed.events[-1][2], receipt.record.event_id
        seqs = covered_seqs(event_id, about, governance.lists)
        more = canonical_list([*seqs, bob.seq])
        if governed.database_url is None:
            path = governed.directory / "erasures" / f"{event_id}.json"
            path.write_bytes(more)
            with pytest.raises(StoreDamaged, match="announced"):
                covered_seqs(event_id, about, governance.lists)
            path.unlink()
        else:
            governed.execute("update governance_erasure_list set seqs = ?", (more,))
            with pytest.raises(StoreDamaged, match="announced"):
                covered_seqs(event_id, about, governance.lists)
            governed.execute("delete from governance_erasure_list")
        with pytest.raises(StoreDamaged, match="missing"):
            covered_seqs(event_id, about, governance.lists)
        assert Attack.CONTENT_REMOVED in [finding.attack for finding in governed.verify().findings]


async def test_a_hold_placed_while_erasing_stops_it(governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    async with governed.open() as governance:
        ticket = await governed.request("alice")
        request_id = await _approved(governed)
        put = governance.lists.put
        loop = asyncio.get_running_loop()

        def place_meanwhile(event_id: str, canonical: bytes) -> None:
            put(event_id, canonical)
            placing = _placed(governed, HoldScope(event_ids=(ticket.event_id,)))
            asyncio.run_coroutine_threadsafe(placing, loop).result()

        monkeypatch.setattr(governance.lists, "put", place_meanwhile)
        with pytest.raises(ErasureRefused, match="meanwhile"):
            await governance.erasures.execute(request_id, SYSTEM)
        assert (await governed.rows(ticket.event_id))[0].subject is not None
        monkeypatch.undo()
        receipt = await governance.erasures.execute(request_id, SYSTEM)
        assert [kept.reason for kept in receipt.kept] == [KeptReason.HOLD]


async def test_an_erasure_that_the_disk_refuses_leaves_the_request_open(
    governed_files: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    governed = governed_files
    async with governed.open() as governance:
        ticket = await governed.request("alice")
        request_id = await _approved(governed)
        other = sqlite3.connect(
            governed.directory / "days" / f"{DAY}.sqlite", isolation_level=None, check_same_thread=False
        )
        put = governance.lists.put

        def lock_the_file(event_id: str, canonical: bytes) -> None:
            put(event_id, canonical)
            other.execute("begin immediate")

        with closing(other), monkeypatch.context() as patch:
            patch.setattr("audit.store.files.sqlite.BUSY_TIMEOUT_SECONDS", 0.1)
            patch.setattr(governance.lists, "put", lock_the_file)
            with pytest.raises(AuditUnavailable, match="erase again"):
                await governance.erasures.execute(request_id, SYSTEM)
        assert (await governance.erasures.requests.get(request_id)).state is SubjectRequestState.APPROVED
        await governance.erasures.execute(request_id, SYSTEM)
        assert (await governed.rows(ticket.event_id))[0].subject is None


# -- subject access


async def _export_request(governed: Governed, actor: str = "alice") -> str:
    requests = governed.governance.subject_access.requests
    request = await requests.request(actor, "letter of 20 November", governed.officer("dana"))
    await requests.approve(request.id, governed.officer("erin"))
    return request.id


async def test_a_person_gets_everything_the_log_holds_of_them(governed: Governed) -> None:
    async with governed.open() as governance:
        old = await governed.request("alice", "long ago")
        held = await governed.request("alice", "held evidence")
        await _placed(governed, HoldScope(event_ids=(held.event_id,)))
        governed.forward(days=31)
        await governed.log.purge()
        new = await governed.request("alice", "a recent wish")
        zero = await governed.request("alice", "a zero wish", class_="zero")
        await governed.request("bob", "the wish of another")
        await governed.active_case(_scope_of("bob"), asked_by="alice")
        request_id = await _export_request(governed)
        export = await governance.subject_access.export(request_id, governed.officer("dana"))
        assert (governed.events[-1][0].action, governed.events[-1][1]) == (LogEvent.SUBJECT_EXPORT, Phase.ACCESS)
        records = export.document["records"]
        text = json.dumps(export.document)
        assert "a recent wish" in text
        assert "held evidence" in text
        assert "another" not in text
        assert "a zero wish" not in text
        assert "bob" not in text  # the case she asked for is about him
        by_event = {record["event_id"]: record for record in records}
        assert old.event_id not in by_event
        assert by_event[held.event_id]["kept_by_hold"] is True
        assert by_event[new.event_id]["subject"]["department"] == "press"
        assert "zero retention" in by_event[zero.event_id]["withheld"]
        assert export.document["destroyed_days"] == [DAY.isoformat()]
        assert export.destroyed_days == 1


async def test_subject_access_takes_two_people_and_ends_after_a_week(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice")
        access = governance.subject_access
        request = await access.requests.request("alice", "letter", governed.officer("dana"))
        with pytest.raises(SubjectAccessRefused, match="requested"):
            await access.export(request.id, governed.officer("dana"))
        with pytest.raises(SubjectAccessRefused):
            await access.requests.approve(request.id, governed.officer("dana"))
        await access.requests.approve(request.id, governed.officer("erin"))
        with pytest.raises(SubjectAccessRefused, match="somebody else"):
            await access.export(request.id, governed.officer("mallory"))
        with pytest.raises(FreshMfaRequired):
            await access.export(request.id, governed.officer("dana", mfa_age_seconds=400))
        assert governed.events[-1][0].effect == Effect.DENY
        await access.export(request.id, governed.officer("dana"))
        governed.forward(days=7)
        assert (await access.requests.get(request.id)).state is SubjectRequestState.EXPIRED
        with pytest.raises(SubjectAccessRefused, match="expired"):
            await access.export(request.id, governed.officer("dana"))


async def test_nothing_is_opened_before_the_export_is_on_record(governed: Governed) -> None:
    async with governed.open() as governance:
        await governed.request("alice")
        request_id = await _export_request(governed)
        opened: list[int] = []
        whole = governance.opener.open
        governance.opener.open = lambda row: opened.append(row.seq) or whole(row)  # type: ignore[method-assign]
        governed.crash_before_events = 0
        with pytest.raises(Crash):
            await governance.subject_access.export(request_id, governed.officer("dana"))
        assert opened == []


async def test_an_approval_to_erase_is_none_to_export(governed: Governed) -> None:
    async with governed.open() as governance:
        request_id = await _approved(governed)
        with pytest.raises(SubjectRequestNotFound):
            await governance.subject_access.export(request_id, governed.officer("dana"))
        with pytest.raises(SubjectRequestNotFound):
            await governance.erasures.execute(await _export_request(governed), SYSTEM)
        with pytest.raises(SubjectRequestNotFound):
            await governance.erasures.execute(request_id, SYSTEM, tenant="other")
        assert governance.holds.held_seqs(date(2026, 11, 22)) == frozenset()
