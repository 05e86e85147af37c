"""Cases: two people, a purpose, a scope, an end; and nothing in the database that could stand in for them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from audit.errors import CaseNotFound, CaseRefused, EntryInvalid, FreshMfaRequired
from audit.governance.cases import CaseState
from audit.governance.officer import MfaRule, Officer
from audit.governance.scope import Scope
from audit.record import Effect, Phase, Subject
from audit.vocabulary import LogEvent, LogReason
from tests.support.governed import Crash, Governed


async def test_a_case_opens_a_record_after_a_second_person_agreed(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        scope = Scope(event_ids=(ticket.event_id,), max_openings=2)
        case_id = await governed.active_case(scope)
        opening = await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        assert (opening.event_id, opening.openings_left) == (ticket.event_id, 1)
        case = await governance.cases.get(case_id)
        assert (case.state, case.openings, case.purpose) == (CaseState.ACTIVE, 1, "reported misuse")
        assert case.requested.actor == "dana"
        assert case.decided is not None
        assert case.decided.actor == "erin"
        entry, phase, about = governed.events[-1]
        assert (entry.action, phase, about) == (LogEvent.OPEN_CONTENT, Phase.ACCESS, ticket.event_id)
        assert entry.index == {"target": (ticket.event_id,)}


async def test_cases_outlive_the_process(governed: Governed) -> None:
    async with governed.open():
        ticket = await governed.request()
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,)))
    async with governed.open() as governance:
        assert [case.id for case in await governance.cases.list()] == [case_id]
        await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))


async def test_whoever_asked_cannot_approve(governed: Governed) -> None:
    async with governed.open() as governance:
        case = await governance.cases.request("x", Scope(actors=("alice",)), _week(governed), governed.officer("dana"))
        for decide in (governance.cases.approve, governance.cases.reject):
            with pytest.raises(CaseRefused) as refused:
                await decide(case.id, governed.officer("dana"))
            assert refused.value.reason == LogReason.SECOND_PERSON_MISSING
        assert (await governance.cases.get(case.id)).state is CaseState.REQUESTED
        entry, _, about = governed.events[-1]
        assert (entry.effect, entry.reasons, about) == (Effect.DENY, (LogReason.SECOND_PERSON_MISSING,), case.id)


async def test_whoever_will_open_cannot_approve(governed: Governed) -> None:
    async with governed.open() as governance:
        scope = Scope(actors=("alice",), members=("frank",))
        case = await governance.cases.request("x", scope, _week(governed), governed.officer("dana"))
        with pytest.raises(CaseRefused, match="second person"):
            await governance.cases.approve(case.id, governed.officer("frank"))


@pytest.mark.parametrize("age", [None, 301, -60])
async def test_approving_and_opening_need_a_fresh_second_factor(governed: Governed, age: float | None) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        scope = Scope(event_ids=(ticket.event_id,))
        case = await governance.cases.request("x", scope, _week(governed), governed.officer("dana"))
        with pytest.raises(FreshMfaRequired):
            await governance.cases.approve(case.id, governed.officer("erin", mfa_age_seconds=age))
        await governance.cases.approve(case.id, governed.officer("erin"))
        stale = governed.officer("dana", mfa_age_seconds=age)
        with pytest.raises(FreshMfaRequired):
            await governance.cases.permit_opening(case.id, governed.facts(ticket), stale)
        assert (await governance.cases.get(case.id)).openings == 0
        assert governed.events[-1][0].reasons == (LogReason.STALE_MFA,)


async def test_the_command_lines_missing_evidence_counts_only_where_it_is_accepted(governed: Governed) -> None:
    erin = Officer(Subject(actor="erin"), is_without_evidence=True)
    async with governed.open() as governance:
        case = await governance.cases.request("x", Scope(actors=("alice",)), _week(governed), governed.officer("dana"))
        with pytest.raises(FreshMfaRequired):
            await governance.cases.approve(case.id, erin)
    async with governed.open(MfaRule(accepts_no_evidence=True)) as governance:
        approved = await governance.cases.approve(case.id, erin)
        assert approved.decided is not None
        assert approved.decided.is_without_evidence
        assert governed.events[-1][0].content["mfa"] == "no evidence: command line"


async def test_nothing_opens_in_a_case_that_is_not_active(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        facts, dana, scope = governed.facts(ticket), governed.officer("dana"), Scope(event_ids=(ticket.event_id,))
        requested = await governance.cases.request("x", scope, _week(governed), dana)
        rejected = await governance.cases.request("x", scope, _week(governed), dana)
        await governance.cases.reject(rejected.id, governed.officer("erin"))
        closed = await governed.active_case(scope)
        await governance.cases.close(closed, governed.officer("frank"))
        for case_id in (requested.id, rejected.id, closed):
            with pytest.raises(CaseRefused) as refused:
                await governance.cases.permit_opening(case_id, facts, dana)
            assert refused.value.reason == LogReason.CASE_REFUSED


async def test_a_case_ends_when_its_time_is_over(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        scope = Scope(event_ids=(ticket.event_id,))
        case_id = await governed.active_case(scope)
        waiting = await governance.cases.request("x", scope, _week(governed), governed.officer("dana"))
        governed.forward(days=7)
        assert (await governance.cases.get(case_id)).state is CaseState.EXPIRED
        with pytest.raises(CaseRefused, match="expired"):
            await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        with pytest.raises(CaseRefused, match="expired"):
            await governance.cases.approve(waiting.id, governed.officer("erin"))


@pytest.mark.parametrize("days", [-1, 0, 31])
async def test_a_case_ends_in_the_future_and_within_thirty_days(governed: Governed, days: int) -> None:
    async with governed.open() as governance:
        end = governed.now + timedelta(days=days)
        with pytest.raises(CaseRefused):
            await governance.cases.request("x", Scope(actors=("alice",)), end, governed.officer("dana"))
        assert await governance.cases.list() == []


async def test_only_the_requester_and_members_open(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,), members=("frank",)))
        await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("frank"))
        for other in ("erin", "mallory"):
            with pytest.raises(CaseRefused, match="members"):
                await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer(other))


async def test_each_criterion_of_a_scope_holds(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        other = await governed.request("bob")
        at = ticket.opened_at
        hour = timedelta(hours=1)
        for scope in (
            Scope(event_ids=(other.event_id,)),
            Scope(actors=("bob",)),
            Scope(actors=("alice",), actions=("image:edit",)),
            Scope(actors=("alice",), created_from=at + hour),
            Scope(actors=("alice",), created_to=at),
            Scope(created_from=at - hour, created_to=at),
        ):
            case_id = await governed.active_case(scope)
            with pytest.raises(CaseRefused, match="scope"):
                await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        case_id = await governed.active_case(Scope(actors=("alice",), actions=("image:generate",), created_from=at))
        await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        with pytest.raises(CaseRefused, match="scope"):  # nobody can tell any more whose it was
            await governance.cases.permit_opening(case_id, governed.facts(ticket, None), governed.officer("dana"))


async def test_a_used_up_case_opens_nothing_more(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,), max_openings=1))
        await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))
        with pytest.raises(CaseRefused, match="used up"):
            await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))


async def test_openings_are_counted_also_when_they_come_at_once(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,), max_openings=3))
        tries = [
            governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana")) for _ in range(6)
        ]
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in done) == 3
        assert {type(one) for one in done if isinstance(one, BaseException)} == {CaseRefused}
        assert (await governance.cases.get(case_id)).openings == 3


async def test_two_who_decide_at_once_get_one_decision(governed: Governed) -> None:
    async with governed.open() as governance:
        case = await governance.cases.request("x", Scope(actors=("alice",)), _week(governed), governed.officer("dana"))
        done = await asyncio.gather(
            governance.cases.approve(case.id, governed.officer("erin")),
            governance.cases.reject(case.id, governed.officer("frank")),
            return_exceptions=True,
        )
        assert sum(isinstance(one, CaseRefused) for one in done) == 1


async def test_another_tenants_case_is_as_absent_as_none(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request(tenant="other")
        case_id = await governed.active_case(Scope(event_ids=(ticket.event_id,)))
        assert await governance.cases.list(tenant="other") == []
        with pytest.raises(CaseNotFound):
            await governance.cases.get(case_id, tenant="other")
        with pytest.raises(CaseNotFound):
            await governance.cases.permit_opening(case_id, governed.facts(ticket), governed.officer("dana"))


async def test_a_crash_before_the_event_changes_nothing(governed: Governed) -> None:
    async with governed.open() as governance:
        governed.crash_before_events = 0
        with pytest.raises(Crash):
            await governance.cases.request("x", Scope(actors=("alice",)), _week(governed), governed.officer("dana"))
    governed.crash_before_events = None
    async with governed.open() as governance:
        assert await governance.cases.list() == []


async def test_a_crash_between_event_and_row_leaves_an_event_without_effect(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request()
        scope = Scope(event_ids=(ticket.event_id,))
        case = await governance.cases.request("x", scope, _week(governed), governed.officer("dana"))
        governed.crash_after_events = 0
        with pytest.raises(Crash):
            await governance.cases.approve(case.id, governed.officer("erin"))
    governed.crash_after_events = None
    async with governed.open() as governance:
        assert governed.events[-1][0].action == LogEvent.CASE_APPROVE
        assert (await governance.cases.get(case.id)).state is CaseState.REQUESTED
        with pytest.raises(CaseRefused):
            await governance.cases.permit_opening(case.id, governed.facts(ticket), governed.officer("dana"))
        await governance.cases.approve(case.id, governed.officer("erin"))


async def test_a_case_needs_a_purpose(governed: Governed) -> None:
    async with governed.open() as governance:
        with pytest.raises(EntryInvalid):
            await governance.cases.request("  ", Scope(actors=("alice",)), _week(governed), governed.officer("dana"))
        assert governed.events == []


async def test_names_and_purposes_are_sealed_at_rest(governed: Governed) -> None:
    async with governed.open() as governance:
        await governance.cases.request(
            "harassment-of-zoe", Scope(actors=("zoe-the-actor",)), _week(governed), governed.officer("dana-the-officer")
        )
        stored = repr(governed.execute("select * from governance_case"))
        for secret in ("harassment", "zoe", "dana"):
            assert secret not in stored
            assert secret.encode().hex() not in stored
        if governed.database_url is None:
            raw = (governed.directory / "governance.sqlite").read_bytes()
            assert not any(secret in raw for secret in (b"harassment", b"zoe", b"dana"))


def _week(governed: Governed) -> datetime:
    return governed.now + timedelta(days=7)
