"""Who may put rules in force, and what exactly: nobody alone, nobody who wrote them, nothing that was not shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.errors import Denied, StepUpRequired
from gateway.exchange import Actor, ActorId, Mfa
from gateway.identity.notices import NoticeKind
from gateway.lifecycle.approval import MFA_SECONDS
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]


def limits(desk: RuleDesk, pictures: int, comment: str = "") -> dict[str, str | None]:
    return {LIMITS: desk.text(LIMITS).replace("employee: 4\n", f"employee: {pictures}\n") + comment}


def somebody(desk: RuleDesk, name: str, age_seconds: int | None = 10) -> Actor:
    at = None if age_seconds is None else desk.services.clock() - timedelta(seconds=age_seconds)
    return Actor(
        id=ActorId(f"company|{name}"),
        display_name=name,
        method="session",
        credential_id="s",
        mfa=Mfa(at=at, amr=("otp",)),
    )


async def stored(desk: RuleDesk, proposal: Any) -> Any:
    return await desk.services.identity.proposals.find(proposal["id"])


async def test_whoever_had_a_hand_in_it_is_no_second_person(desk: RuleDesk) -> None:
    draft = await desk.draft(limits(desk, 3), by="ann")
    path = f"drafts/{draft['id']}"
    # Carl saves a version that is undone again: he wrote all the same.
    await desk.post(path, {"after": 1, "files": limits(desk, 2)}, by="carl")
    await desk.post(f"{path}/restore", {"after": 2, "version": 1}, by="dora")
    assert (await desk.post(f"{path}/check", by="eve"))["passed"]
    proposal = await desk.post(f"{path}/propose", {"version": 3, "note": "three"}, by="eve")
    kind = desk.services.policy_desk.kind
    for name in ("ann", "carl", "dora", "eve"):
        with pytest.raises(Denied, match="hand in this change"):
            await kind.check(await stored(desk, proposal), somebody(desk, name))
    await kind.check(await stored(desk, proposal), somebody(desk, "bea"))
    assert (await desk.decide(proposal, act="reject")).status_code == 200


async def test_an_author_is_refused_by_the_roles_and_their_own_proposal_by_the_product(desk: RuleDesk) -> None:
    before = (await desk.get("status"))["in_force"]
    proposal = await desk.proposed(limits(desk, 3, "# once\n"))
    path = f"/v1/organization/proposals/{proposal['id']}/approve"
    for role in ("policy-author", "admin", "auditor"):
        answer = await desk.ask("POST", path, {"digest": proposal["digest"]}, by=f"one {role}", role=role)
        assert answer.status_code == 403, (role, answer.text)
    other = await desk.decide(proposal, digest="0" * 64)
    assert other.status_code == 400
    assert (await desk.get("status"))["in_force"] == before


@pytest.mark.parametrize("age_seconds", [MFA_SECONDS + 1, None])
async def test_an_old_second_factor_is_refused_whatever_the_rules_say(desk: RuleDesk, age_seconds: int | None) -> None:
    proposal = await desk.proposed(limits(desk, 3, f"# {age_seconds}\n"))
    late = somebody(desk, "bea", age_seconds)
    lifecycle = desk.services.policy_desk
    with pytest.raises(StepUpRequired):
        await lifecycle.kind.check(await stored(desk, proposal), late)
    with pytest.raises(StepUpRequired):
        await lifecycle.to_roll_back("0" * 64, "because of that", late)
    draft = await lifecycle.drafts.get(proposal["payload"]["draft"])
    with pytest.raises(StepUpRequired):
        await lifecycle.to_break_glass(draft, version=1, minutes=5, reason="because of that", by=late)
    await lifecycle.kind.check(
        await stored(desk, proposal), replace(late, mfa=somebody(desk, "x", MFA_SECONDS - 5).mfa)
    )


async def test_a_draft_that_was_saved_again_is_not_what_was_proposed(desk: RuleDesk) -> None:
    proposal = await desk.proposed(limits(desk, 3, "# twice\n"))
    id = proposal["payload"]["draft"]
    await desk.post(f"drafts/{id}", {"after": 1, "files": limits(desk, 4, "# and more\n")})
    words = (await desk.get(f"/v1/organization/proposals/{proposal['id']}"))["wording"]
    assert any("changed after this was proposed" in warning for warning in words["warnings"])
    answer = await desk.decide(proposal)
    assert answer.status_code == 409
    assert "proposed again" in answer.text


async def test_of_two_changes_upon_the_same_rules_the_second_is_rebased_first(desk: RuleDesk) -> None:
    before = (await desk.get("status"))["in_force"]
    slow = await desk.proposed(limits(desk, 2))
    note = "gateway/config/hours/data.yaml"
    other = await desk.draft({note: desk.text(note) + "# reviewed\n"})
    await desk.change(limits(desk, 3, "# first\n"))

    late = await desk.decide(slow)
    assert late.status_code == 409
    clash = await desk.ask("POST", f"drafts/{slow['payload']['draft']}/rebase", {"after": 1})
    assert clash.status_code == 409
    assert LIMITS in clash.text
    stale = await desk.post(f"drafts/{other['id']}/check")
    assert stale["passed"]
    early = await desk.ask("POST", f"drafts/{other['id']}/propose", {"version": 1, "note": "hours"})
    assert early.status_code == 409
    moved = await desk.post(f"drafts/{other['id']}/rebase", {"after": 1})
    assert list(moved["version"]["files"]) == [note]
    assert moved["version"]["base"] == (await desk.get("status"))["in_force"]["revision"]

    await desk.post(
        "rollback", {"revision": before["revision"], "reason": "end of the test"}, by="bea", role="policy-approver"
    )
    await desk.until(before["revision"])


async def test_two_that_save_at_once_do_not_overwrite_each_other(desk: RuleDesk) -> None:
    draft = await desk.draft(limits(desk, 3))
    await desk.person("carl", "policy-author")
    path = f"drafts/{draft['id']}"
    answers = await asyncio.gather(
        *(
            desk.ask("POST", path, {"after": 1, "files": limits(desk, n)}, by=who)
            for n, who in ((1, "ann"), (2, "carl"))
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert [one["number"] for one in (await desk.get(f"{path}/versions"))["data"]] == [2, 1]


async def test_there_is_no_way_back_to_rules_that_nobody_agreed_to(desk: RuleDesk) -> None:
    proposal = await desk.proposed(limits(desk, 1, "# never agreed\n"))
    body = {"revision": proposal["payload"]["revision"], "reason": "I like them better"}
    answer = await desk.ask("POST", "rollback", body, by="bea", role="policy-approver")
    assert answer.status_code == 400
    assert "Nobody agreed" in answer.text


async def test_one_persons_edit_ends_by_itself(desk: RuleDesk) -> None:
    before = (await desk.get("status"))["in_force"]["revision"]
    draft = await desk.draft(limits(desk, 1, "# tonight\n"), by="bert")
    assert (await desk.post(f"drafts/{draft['id']}/check"))["passed"]
    body = {"draft": draft["id"], "version": 1, "minutes": 5, "reason": "somebody floods the model"}
    made = await desk.post("break_glass", body, by="bea", role="policy-approver")
    await desk.until(draft["version"]["revision"])
    assert made["returns_to"] == before

    # A lasting change meanwhile is made upon the rules that two people stand for, not upon these.
    assert (await desk.draft(limits(desk, 3)))["version"]["base"] == before
    again = await desk.ask("POST", "break_glass", body, by="bea", role="policy-approver")
    assert again.status_code == 409

    follower, clock = desk.follower, desk.follower._clock
    follower._clock = lambda: clock() + timedelta(minutes=5, seconds=1)
    try:
        await desk.until(before)
    finally:
        follower._clock = clock
    kinds = [one["kind"] for one in (await desk.get("activations"))["data"]]
    assert kinds[:2] == ["expiry", "break-glass"]
    (row, *_) = await desk.rows("policy:revision:break-glass")
    assert (await desk.content_of(row))["reason"] == "somebody floods the model"
    assert await desk.rows("policy:revision:expire")


async def told(desk: RuleDesk, name: str) -> list[str]:
    """What the notices of somebody say of rules, the newest first."""
    notices = await desk.services.identity.notices.of(ActorId(f"company|{name}"))
    return [f"{one.facts['what']} {one.facts.get('by', '')}" for one in notices if one.kind is NoticeKind.POLICY]


async def test_the_security_team_hears_what_one_person_did_and_what_ended_by_itself(desk: RuleDesk) -> None:
    await desk.person("bea", "policy-approver")
    await desk.person("olaf", "policy-approver")
    await desk.person("ann", "policy-author")
    before = (await desk.get("status"))["in_force"]["revision"]
    draft = await desk.draft({LIMITS: desk.text(LIMITS) + "# heard\n"})
    await desk.post(f"drafts/{draft['id']}/check")
    broken_in = {"draft": draft["id"], "version": 1, "minutes": 5, "reason": "it can not wait"}
    await desk.post("break_glass", broken_in, by="bea", role="policy-approver")
    assert (await told(desk, "olaf"))[0].startswith("an edit is in force for 5 minutes")
    assert (await told(desk, "olaf"))[0].endswith("bea")
    back = {"revision": before, "reason": "end of the test"}
    await desk.post("rollback", back, by="bea", role="policy-approver")
    assert (await told(desk, "olaf"))[0].startswith(f"earlier rules are in force again, {before[:12]}")
    assert await told(desk, "ann") == []

    edit = await desk.services.policy_desk.store.in_force()
    returns_to = {"expires_at": desk.services.clock() - timedelta(seconds=1), "returns_to": before}
    await desk.follower._expire(replace(edit, **returns_to))
    assert (await told(desk, "olaf"))[0].startswith("the approved rules are in force again")


async def test_a_process_that_does_not_follow_is_told_of_once(desk: RuleDesk) -> None:
    await desk.person("olaf", "policy-approver")
    follower = desk.follower

    async def lag(seconds: float) -> int:
        follower.error = "too slow here"
        follower.behind_since = desk.services.clock() - timedelta(seconds=seconds)
        await follower._tell_lag()
        return sum("has not run the rules in force" in what for what in await told(desk, "olaf"))

    async with follower._looking:  # nobody else looks meanwhile, and finds that it follows
        before = await lag(5)
        assert [await lag(40), await lag(50)] == [before + 1, before + 1]
    await follower.look()
    assert follower.behind() == (0.0, "")
    async with follower._looking:
        assert await lag(40) == before + 2
    await follower.look()
