"""What a user of the log may rely on, whatever it is stored in."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from audit import (
    AuditUnavailable,
    ContentDestroyed,
    Entry,
    EntryInvalid,
    Phase,
    Query,
    QueryInvalid,
    RecordNotFound,
    TicketConcluded,
    TicketExpired,
    TicketUnknown,
    new_event_id,
)
from tests.support.cases import open_content

AUDITOR = "dana"


async def test_a_request_is_recorded_in_two_halves(open_log: Any, subject: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        reference = await log.conclude(
            ticket, outcome(effect="deny", reasons=("dlp.payment-card",), model="m", credits=1, latency_ms=70)
        )
        view = await log.get(ticket.event_id, looked_by=subject(AUDITOR))
    assert (ticket.seq, reference.seq) == (0, 1)
    assert (reference.event_id, reference.phase) == (ticket.event_id, Phase.OUTCOME)
    first, second = view.envelopes
    assert view.subject == subject("alice")
    assert (first.phase, first.effect, first.head_seq) == (Phase.INTENT, "", 0)
    assert (second.phase, second.effect, second.head_seq) == (Phase.OUTCOME, "deny", 0)
    assert (second.reasons, second.model, second.credits) == (("dlp.payment-card",), "m", 1)
    assert second.latency_bucket_ms == 100
    assert second.counter == first.counter + 1
    assert not view.content_destroyed


async def test_everything_is_there_after_a_restart(open_log: Any, subject: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        await log.conclude(ticket, outcome())
        note = await log.note(Entry(action="auth:sign-in", subject=subject()), Phase.ADMIN)
        checkpoint = log.checkpoint()
    async with open_log() as log:
        opened = await open_content(log, ticket.event_id, by=AUDITOR, purpose="case 1")
        assert [envelope.seq for envelope in opened.envelopes] == [0, 1]
        assert opened.contents == ({"prompt": "a fox"}, {"n": 1})
        assert (await log.get(note.event_id, looked_by=subject(AUDITOR))).envelopes[0].action == "auth:sign-in"
        assert log.checkpoint().startswith("example.com/audit\n3\n")
    assert checkpoint.startswith("example.com/audit\n")


async def test_sequence_numbers_are_dense_under_many_writers(open_log: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:

        async def one(number: int) -> list[int]:
            ticket = await log.intend(intent(f"user-{number}"))
            return [ticket.seq, (await log.conclude(ticket, outcome(f"user-{number}"))).seq]

        seqs = [seq for pair in await asyncio.gather(*(one(number) for number in range(200))) for seq in pair]
    assert sorted(seqs) == list(range(400))


async def test_a_ticket_is_concluded_once(open_log: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        results = await asyncio.gather(
            *(log.conclude(ticket, outcome(effect=effect)) for effect in ("allow", "deny", "failed")),
            return_exceptions=True,
        )
        assert [type(result) for result in results].count(TicketConcluded) == 2
        with pytest.raises(TicketConcluded):
            await log.conclude(ticket, outcome())
    async with open_log() as log:
        with pytest.raises(TicketConcluded):
            await log.conclude(ticket, outcome())


async def test_a_ticket_of_nobody_is_refused(open_log: Any, intent: Any, outcome: Any) -> None:
    import dataclasses

    async with open_log() as log:
        ticket = await log.intend(intent())
        with pytest.raises(TicketUnknown):
            await log.conclude(dataclasses.replace(ticket, event_id=new_event_id(ticket.opened_at)), outcome())
        for forged in ({"seq": 7}, {"class_": "abuse"}):
            with pytest.raises(TicketConcluded):
                await log.conclude(dataclasses.replace(ticket, **forged), outcome())
        await log.conclude(ticket, outcome())


async def test_halves_must_fit_together(open_log: Any, subject: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        for wrong in (outcome(action="image:edit"), outcome(tenant="other"), intent()):
            with pytest.raises(EntryInvalid):
                await log.conclude(ticket, wrong)
        with pytest.raises(EntryInvalid):
            await log.intend(outcome())
        with pytest.raises(EntryInvalid):
            await log.note(outcome(), Phase.OUTCOME)
        await log.conclude(ticket, outcome())


async def test_a_request_id_of_the_caller_is_kept_and_used_once(
    open_log: Any, clock: Any, intent: Any, outcome: Any
) -> None:
    async with open_log() as log:
        event_id = new_event_id(clock())
        ticket = await log.intend(intent(), event_id=event_id)
        assert ticket.event_id == event_id
        results = await asyncio.gather(
            log.intend(intent(), event_id=event_id), log.intend(intent()), return_exceptions=True
        )
        assert isinstance(results[0], EntryInvalid)
        assert not isinstance(results[1], Exception)  # one caller's mistake is not another's
        same = new_event_id(clock())
        results = await asyncio.gather(*(log.intend(intent(), event_id=same) for _ in range(2)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["EntryInvalid", "Ticket"]
        with pytest.raises(QueryInvalid):
            await log.intend(intent(), event_id="not-an-id")


async def test_open_tickets_are_listed_until_concluded_also_after_a_restart(
    open_log: Any, clock: Any, subject: Any, intent: Any, outcome: Any
) -> None:
    async with open_log() as log:
        first = await log.intend(intent("alice"))
        second = await log.intend(intent("bob"))
        assert await log.open_tickets(timedelta(minutes=1)) == []
        clock.forward(minutes=2)
        third = await log.intend(intent("carol"))
        assert [found.ticket for found in await log.open_tickets(timedelta(minutes=1))] == [first, second]
    async with open_log() as log:
        found = await log.open_tickets(timedelta(minutes=1))
        assert [one.ticket for one in found] == [first, second]
        assert [one.subject for one in found] == [subject("alice"), subject("bob")]
        assert found[0].envelope.action == found[0].action == "image:generate"
        for one in found:
            await log.conclude(one.ticket, outcome(one.subject.actor, effect="unknown"))
        assert await log.open_tickets(timedelta(minutes=1)) == []
        assert [one.ticket for one in await log.open_tickets(timedelta(0) - timedelta(seconds=1))] == [third]


async def test_both_halves_keep_the_intents_day(
    open_log: Any, clock: Any, subject: Any, intent: Any, outcome: Any
) -> None:
    clock.forward(hours=11, minutes=59, seconds=59)
    async with open_log() as log:
        late = await log.intend(intent("alice"))
        clock.forward(seconds=5)
        early = await log.intend(intent("bob"))
        await log.conclude(late, outcome("alice"))
        await log.conclude(early, outcome("bob"))
        view = await log.get(late.event_id, looked_by=subject(AUDITOR))
        assert {envelope.day.isoformat() for envelope in view.envelopes} == {"2026-11-22"}
        assert view.envelopes[1].recorded_at.date().isoformat() == "2026-11-23"
        assert [proof.seq for proof in await log.proof(late.event_id)] == [0, 2]
        page = await log.search(Query(), searched_by=subject(AUDITOR))
        assert [row.event_id for row in page.rows if row.action == "image:generate"] == [
            early.event_id,
            late.event_id,
        ]


async def test_accesses_are_on_record_before_anything_is_shown(
    open_log: Any, subject: Any, intent: Any, outcome: Any
) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        await log.conclude(ticket, outcome())
        page = await log.search(Query(actor="alice", effect="allow"), searched_by=subject(AUDITOR))
        view = await log.get(ticket.event_id, looked_by=subject(AUDITOR))
        opened = await open_content(log, ticket.event_id, by=AUDITOR, purpose="case 17")
        with pytest.raises(RecordNotFound):
            await log.get(new_event_id(ticket.opened_at), looked_by=subject(AUDITOR))
        accesses = await log.search(Query(actor=AUDITOR), searched_by=subject("erin"))
        assert [row.action for row in accesses.rows] == [
            "audit:record:show",
            "audit:content:open",
            "audit:case:request",
            "audit:record:show",
            "audit:record:search",
        ]
        assert [row.event_id for row in accesses.rows if row.action != "audit:case:request"][1:] == [
            opened.access.event_id,
            view.access.event_id,
            page.access.event_id,
        ]
        said = [
            (await open_content(log, row.event_id, by="erin", purpose="audit of the auditor")).contents[0]
            for row in accesses.rows[1:]
        ]
        assert (said[0]["event_id"], said[0]["purpose"]) == (ticket.event_id, "case 17")
        assert said[3] == {"tenant": "default", "query": "actor:alice effect:allow", "limit": 50}


async def test_asking_for_a_record_that_is_not_there_is_on_record_too(open_log: Any, clock: Any, subject: Any) -> None:
    async with open_log() as log:
        for ask in (
            log.get(new_event_id(clock()), looked_by=subject(AUDITOR)),
            open_content(log, new_event_id(clock()), by=AUDITOR),
        ):
            with pytest.raises(RecordNotFound):
                await ask
        page = await log.search(Query(actor=AUDITOR), searched_by=subject("erin"))
        assert [(row.action, row.effect) for row in page.rows] == [
            ("audit:content:open", "deny"),
            ("audit:case:request", "allow"),
            ("audit:record:show", "allow"),
        ]


async def test_content_is_not_opened_without_a_purpose(open_log: Any, subject: Any, intent: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        with pytest.raises(EntryInvalid):
            await open_content(log, ticket.event_id, by=AUDITOR, purpose="  ")


async def test_opened_content_does_not_appear_in_its_repr(open_log: Any, subject: Any, intent: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent(content={"prompt": "a CANARY fox"}))
        opened = await open_content(log, ticket.event_id, by=AUDITOR, purpose="case 1")
    assert opened.contents[0] == {"prompt": "a CANARY fox"}
    assert "CANARY" not in repr(opened)


async def test_tenants_do_not_see_each_other(open_log: Any, subject: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent(tenant="other"))
        await log.conclude(ticket, outcome(tenant="other"))
        assert (await log.search(Query(actor="alice"), searched_by=subject(AUDITOR))).rows == ()
        assert len((await log.search(Query(tenant="other", actor="alice"), searched_by=subject(AUDITOR))).rows) == 1
        own = await log.search(Query(action="image:generate"), searched_by=subject(AUDITOR))
        assert own.rows == ()
        for look in (
            log.get(ticket.event_id, looked_by=subject(AUDITOR)),
            open_content(log, ticket.event_id, by=AUDITOR, purpose="case 1"),
            log.proof(ticket.event_id),
        ):
            with pytest.raises(RecordNotFound):
                await look


async def test_an_outcome_may_be_of_a_stricter_class_than_its_intent(
    open_log: Any, subject: Any, intent: Any, outcome: Any
) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        await log.conclude(ticket, outcome(class_="abuse", effect="deny", content={"flag": True}))
        page = await log.search(Query(actor="alice"), searched_by=subject(AUDITOR))
        assert [row.effect for row in page.rows] == ["deny"]
        opened = await open_content(log, ticket.event_id, by=AUDITOR, purpose="case 1")
        assert opened.contents[1] == {"flag": True}


async def test_proofs_hold_for_every_half_and_checkpoints_grow(open_log: Any, intent: Any, outcome: Any) -> None:
    async with open_log() as log:
        tickets = []
        for _ in range(300):  # more than one tile
            tickets.append(ticket := await log.intend(intent()))
            await log.conclude(ticket, outcome())
        for ticket in (tickets[0], tickets[127], tickets[128], tickets[-1]):
            proofs = await log.proof(ticket.event_id)
            assert [proof.phase for proof in proofs] == ["intent", "outcome"]
            assert all(proof.verify(log.verifier_key) for proof in proofs)
            assert all(proof.checkpoint.size > proof.seq for proof in proofs)
        assert proofs[0].checkpoint.size == 600


async def test_content_that_json_cannot_carry_is_refused_and_the_log_goes_on(open_log: Any, intent: Any) -> None:
    async with open_log() as log:
        for content in ({"x": float("nan")}, {"x": object()}, {"x": "y" * (1 << 21)}):
            with pytest.raises(EntryInvalid):
                await log.intend(intent(content=content))
        assert (await log.intend(intent(content={"prompt": "\ud800"}))).seq == 0


async def test_past_retention_nobody_reads_and_every_proof_holds(
    open_log: Any, clock: Any, subject: Any, intent: Any, outcome: Any
) -> None:
    async with open_log() as log:
        ticket = await log.intend(intent())
        await log.conclude(ticket, outcome(effect="deny", reasons=("dlp.payment-card",)))
        orphan = await log.intend(intent("bob"))
        clock.forward(days=30)
        assert await log.purge() == []  # still within retention
        clock.forward(days=1)
        receipts = await log.purge()
        assert [(receipt.day.isoformat(), receipt.records, receipt.space_freed) for receipt in receipts] == [
            ("2026-11-22", 3, True)
        ]
        assert await log.purge() == []
        with pytest.raises(ContentDestroyed):
            await open_content(log, ticket.event_id, by=AUDITOR, purpose="case 1")
        view = await log.get(ticket.event_id, looked_by=subject(AUDITOR))
        assert view.subject is None
        assert view.content_destroyed
        assert view.envelopes[1].effect == "deny"
        assert (await log.search(Query(actor="alice"), searched_by=subject(AUDITOR))).rows == ()
        page = await log.search(Query(reason="dlp."), searched_by=subject(AUDITOR))
        assert [(row.event_id, row.subject) for row in page.rows] == [(ticket.event_id, None)]
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(ticket.event_id))
        assert await log.open_tickets(timedelta(0)) == []
        with pytest.raises(TicketExpired):
            await log.conclude(orphan, outcome("bob"))
    async with open_log() as log:
        assert await log.purge() == []
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(ticket.event_id))


async def test_purge_catches_up_after_downtime_and_says_so_in_the_log(
    open_log: Any, clock: Any, subject: Any, intent: Any
) -> None:
    for _ in range(3):
        async with open_log() as log:
            await log.intend(intent())
        clock.forward(days=1)
    clock.forward(days=60)
    async with open_log() as log:
        assert log.health().days_past_retention == 3
        assert log.health().records_past_retention == 3
        receipts = await log.purge()
        assert [receipt.day.isoformat() for receipt in receipts] == ["2026-11-22", "2026-11-23", "2026-11-24"]
        assert log.health().records_past_retention == 0
        page = await log.search(Query(action="audit:day:purge"), searched_by=subject(AUDITOR))
        assert [row.event_id for row in page.rows] == [
            receipt.record.event_id for receipt in reversed(receipts) if receipt.record
        ]


async def test_the_retention_of_the_settings_counts(open_log: Any, clock: Any, intent: Any) -> None:
    async with open_log(retention_days=7) as log:
        await log.intend(intent())
        clock.forward(days=7)
        assert await log.purge() == []
        clock.forward(days=1)
        assert len(await log.purge()) == 1


async def test_a_closed_log_takes_nothing_and_closes_twice(open_log: Any, intent: Any) -> None:
    async with open_log() as log:
        pass
    await log.aclose()
    with pytest.raises(AuditUnavailable):
        await log.intend(intent())


async def test_a_caller_cancelled_while_waiting_leaves_an_open_ticket(open_log: Any, clock: Any, intent: Any) -> None:
    async with open_log() as log:
        task = asyncio.create_task(log.intend(intent()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await log.intend(intent("bob"))
        clock.forward(minutes=1)
        for _ in range(100):  # nobody waits for the cancelled one, so nobody knows when it is written
            found = {one.subject.actor for one in await log.open_tickets(timedelta(0))}
            if len(found) == 2:
                break
            await asyncio.sleep(0.02)
        assert found == {"alice", "bob"}
