"""Rules for some people first: two agree to whom, one widens within that, and anything else ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from audit import AuditUnavailable
from gateway.lifecycle.tables import rollouts
from tests.contract.lifecycle.staging import (
    BREATH_SECONDS,
    PILOT,
    PILOTS,
    act,
    decided,
    go_back,
    in_force,
    mark_of,
    marked,
    revision_for,
    start,
    until_decided_by,
    withdraw,
)
from tests.support.policy import ALICE
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

IBAN = "dlp/iban.yaml"


async def test_its_people_are_decided_by_it_and_each_decision_says_so(desk: RuleDesk) -> None:
    before = await in_force(desk)
    revision, running = await start(desk, 28)
    assert (running["kind"], running["groups"], running["steps"]) == ("start", ["pilots"], [25, 100])
    assert mark_of(await decided(desk, PILOT)) == (revision[:12], 28, "28")
    assert mark_of(await decided(desk, ALICE)) == (before[:12], 30, "")
    assert await in_force(desk) == before
    (row, *_) = await desk.rows("policy:rollout:start")
    told = await desk.content_of(row)
    assert told["payload"]["stage"] == {"groups": ["pilots"], "percent": 0.0, "steps": [25.0, 100.0]}

    answer = await act(desk, "widen", after=running["number"], percent=25)
    assert answer.status_code == 200, answer.text
    wider = answer.json()
    assert (wider["kind"], wider["percent"], wider["rollout"]) == ("widen", 25, running["rollout"])
    here = (await desk.get("rollout"))["here"]
    assert here["step"] == wider["number"], "the answer came after this process followed"
    assert await revision_for(desk, PILOT) == revision[:12]

    made = (await act(desk, "finish", after=wider["number"])).json()
    assert (made["kind"], made["revision"]) == ("rollout", revision)
    assert await revision_for(desk, ALICE) == revision[:12] == await revision_for(desk, PILOT)
    told = await desk.get("rollout")
    assert (told["running"], told["here"]["revision"]) == (None, None)
    assert [step["kind"] for step in told["history"]][:3] == ["finish", "widen", "start"]
    found = await desk.get(f"revisions/{revision}")
    assert (found["approved_by"], found["author"]) == ("company|bea", "company|ann")
    for event in ("widen", "finish"):
        (row, *_) = await desk.rows(f"policy:rollout:{event}")
        assert (await desk.content_of(row))["rollout"] == running["rollout"]
    await go_back(desk, before)


async def test_a_finish_takes_nobody_back_to_the_old_rules_on_the_way(desk: RuleDesk) -> None:
    before = await in_force(desk)
    revision, running = await start(desk, 27)
    seen: list[str] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            seen.append(await revision_for(desk, PILOT))
            await asyncio.sleep(BREATH_SECONDS / 10)

    task = asyncio.create_task(ask())
    try:
        assert (await act(desk, "finish", after=running["number"])).status_code == 200
        await desk.until(revision)
    finally:
        is_over.set()
        await task
    assert set(seen) == {revision[:12]}
    await go_back(desk, before)


async def test_what_was_not_approved_takes_another_proposal(desk: RuleDesk) -> None:
    _, running = await start(desk, 26, {"groups": ["pilots"], "percent": 5, "steps": [20]})
    for percent, said in ((19, "was not approved"), (5, "greater share"), (1, "greater share"), (100, "not approved")):
        answer = await act(desk, "widen", after=running["number"], percent=percent)
        assert (answer.status_code, said in answer.text) == (400, True), answer.text
    answer = await act(desk, "finish", after=running["number"])
    assert (answer.status_code, "not approved" in answer.text) == (400, True), answer.text
    assert (await desk.get("rollout"))["running"] == running
    await withdraw(desk)


async def test_a_greater_stage_of_the_same_rules_goes_on_with_the_same_people(desk: RuleDesk) -> None:
    proposal = await desk.proposed(marked(desk, 25), stage={"percent": 5})
    assert (await desk.decide(proposal)).status_code == 200
    first = (await desk.get("rollout"))["running"]
    asked = {"version": 1, "note": "more of it", "stage": {"percent": 50, "steps": [100]}}
    again = await desk.post(f"drafts/{proposal['payload']['draft']}/propose", asked)
    assert (await desk.decide(again)).status_code == 200
    second = (await desk.get("rollout"))["running"]
    assert (second["rollout"], second["percent"], second["number"]) == (first["rollout"], 50, first["number"] + 1)
    await withdraw(desk)


async def test_taking_it_back_takes_one_person_and_a_reason(desk: RuleDesk) -> None:
    before = await in_force(desk)
    _, running = await start(desk, 24)
    for body, status in (
        ({"after": running["number"], "reason": "no"}, 400),
        ({"after": running["number"] + 1}, 409),
        ({"after": running["number"]}, 200),
        ({"after": running["number"]}, 404),
    ):
        assert (await act(desk, "withdraw", **body)).status_code == status
    assert await revision_for(desk, PILOT) == before[:12]
    (row, *_) = await desk.rows("policy:rollout:withdraw")
    assert (await desk.content_of(row))["reason"] == "because it went well"


async def test_a_rollback_or_any_other_change_ends_it_and_that_is_on_record(desk: RuleDesk) -> None:
    began = await in_force(desk)
    between = await desk.change({LIMITS: desk.text(LIMITS) + "# something else\n"})
    revision, running = await start(desk, 23)
    await go_back(desk, began)
    assert await revision_for(desk, PILOT) == began[:12]
    told = await desk.get("rollout")
    assert (told["running"], told["history"][0]["kind"], told["history"][0]["actor"]) == (None, "end", "system:policy")
    assert "rollback" in told["history"][0]["reason"]
    (row, *_) = await desk.rows("policy:rollout:end")
    assert (await desk.content_of(row))["revision"] == revision
    answer = await act(desk, "widen", after=running["number"], percent=25)
    assert answer.status_code == 404, answer.text
    assert between != began


async def test_rules_that_two_people_approved_for_some_are_no_place_to_roll_back_to(desk: RuleDesk) -> None:
    """Else one person could put in force for everybody what two agreed to for a few."""
    revision, _ = await start(desk, 22)
    body = {"revision": revision, "reason": "for everybody, alone"}
    answer = await desk.ask("POST", "rollback", body, by="bea", role="policy-approver")
    assert (answer.status_code, "Nobody agreed" in answer.text) == (400, True), answer.text
    await withdraw(desk)


async def test_only_one_runs_and_an_edit_in_an_emergency_keeps_others_from_starting(desk: RuleDesk) -> None:
    await start(desk, 21)
    other = await desk.proposed(marked(desk, 20), stage=PILOTS)
    answer = await desk.decide(other)
    assert (answer.status_code, "being rolled out" in answer.text) == (409, True), answer.text

    draft = await desk.draft({LIMITS: desk.text(LIMITS) + "# now\n"})
    await desk.post(f"drafts/{draft['id']}/check")
    broken_in = {"draft": draft["id"], "version": 1, "minutes": 5, "reason": "it can not wait"}
    before = await in_force(desk)
    await desk.post("break_glass", broken_in, by="bea", role="policy-approver")
    assert (await desk.get("rollout"))["running"] is None, "an emergency edit is for everybody"
    assert await revision_for(desk, PILOT) == (await in_force(desk))[:12]
    answer = await desk.decide(other)
    assert (answer.status_code, "break-glass" in answer.text) == (409, True), answer.text
    await go_back(desk, before)
    assert (await desk.decide(other, act="reject")).status_code == 200


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({}, "name a group"),
        ({"percent": 100}, "below 100"),
        ({"percent": 5, "steps": [5]}, "greater"),
        ({"percent": 5, "steps": [50, 20]}, "greater"),
        ({"percent": 0.001}, "hundredths"),
        ({"groups": [""]}, "printable"),
        ({"groups": ["a\u0000b"]}, "printable"),
        ({"groups": [f"g{n}" for n in range(51)]}, "up to 50"),
    ],
)
async def test_a_stage_that_is_none_is_refused_with_what_to_do(desk: RuleDesk, stage: Any, said: str) -> None:
    draft = await desk.draft({LIMITS: desk.text(LIMITS) + "# staged\n"})
    await desk.post(f"drafts/{draft['id']}/check")
    answer = await desk.ask("POST", f"drafts/{draft['id']}/propose", {"version": 1, "note": "x", "stage": stage})
    assert (answer.status_code, said in answer.text) == (400, True), answer.text


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (IBAN, lambda text: text.replace("severity: critical", "severity: high")),
        ("gateway/config/retention/data.yaml", lambda text: text + "# other\n"),
        ("gateway/config/diversity/data.yaml", lambda text: text + "# other\n"),
    ],
)
async def test_what_is_read_for_everybody_can_not_be_for_some(desk: RuleDesk, path: str, change: Any) -> None:
    draft = await desk.draft({path: change(desk.text(path))})
    assert (await desk.post(f"drafts/{draft['id']}/check"))["passed"]
    asked = {"version": 1, "note": "x", "stage": PILOTS}
    answer = await desk.ask("POST", f"drafts/{draft['id']}/propose", asked)
    assert (answer.status_code, path in answer.text) == (400, True), answer.text


async def test_the_second_person_reads_whom_it_is_for(desk: RuleDesk) -> None:
    proposal = await desk.proposed(marked(desk, 19), stage={"groups": ["pilots"], "percent": 5, "steps": [25, 100]})
    path = f"/v1/organization/proposals/{proposal['id']}"
    answer = await desk.ask("GET", path, by="bea", role="policy-approver")
    lines = {line["label"]: line["value"] for line in answer.json()["wording"]["lines"]}
    assert lines["For"] == "the group pilots, and 5 % of all others, at first"
    assert lines["One person may widen it"] == "to 25 %, everybody"
    assert (await desk.decide(proposal, act="reject")).status_code == 200


async def test_nothing_is_stored_when_it_can_not_be_recorded(desk: RuleDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await in_force(desk)
    _, running = await start(desk, 18)

    async def refuse(*_: Any, **__: Any) -> None:
        raise AuditUnavailable("the log is full")

    async def stored() -> int:
        async with desk.services.database.reading() as tx:
            return len((await tx.execute(select(rollouts.c.number))).all())

    count = await stored()
    with monkeypatch.context() as patched:
        patched.setattr(desk.services.audit, "note", refuse)
        for what, more in (("widen", {"percent": 25}), ("finish", {}), ("withdraw", {})):
            assert (await act(desk, what, after=running["number"], **more)).status_code == 503
    assert (await stored(), await in_force(desk)) == (count, before)
    await withdraw(desk)
    await until_decided_by(desk, PILOT, before)
