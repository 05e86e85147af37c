"""A proposal speaks of whom it would have hit by a replay of exactly its files, or says that nobody knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.contract.replay.test_replay_api import ask
from tests.support.cases import open_content
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]


def one_picture(desk: RuleDesk, comment: str = "") -> dict[str, str | None]:
    return {LIMITS: desk.text(LIMITS).replace("employee: 4\n", "employee: 1\n") + comment}


async def checked(desk: RuleDesk, files: dict[str, str | None]) -> Any:
    draft = await desk.draft(files)
    assert (await desk.post(f"drafts/{draft['id']}/check"))["passed"]
    return draft


async def replay_of(desk: RuleDesk, asked: dict[str, Any]) -> Any:
    job = await desk.post("replays", {"days": 7, **asked})
    while (told := await desk.get(f"replays/{job['id']}"))["status"] in ("waiting", "running"):
        await asyncio.sleep(0.1)
    assert told["status"] == "done", told
    return told


async def propose(desk: RuleDesk, draft: Any, **more: Any) -> Any:
    asked = {"version": draft["version"]["number"], "note": "one is enough", **more}
    return await desk.ask("POST", f"drafts/{draft['id']}/propose", asked)


async def test_the_second_person_reads_and_signs_whom_it_would_have_hit(desk: RuleDesk) -> None:
    await ask(desk.bed, "ida", 2)
    draft = await checked(desk, one_picture(desk))
    replay = await replay_of(desk, {"draft": draft["id"]})
    answer = await propose(desk, draft, impact=replay["id"])
    assert answer.status_code == 202, answer.text
    proposal = answer.json()
    impact = proposal["payload"]["impact"]
    assert (impact["replay"], impact["newly_denied"], impact["people"]) == (replay["id"], 1, 1)
    assert "ida" not in json.dumps(impact), "a proposal is kept for ever, and names nobody"
    told = await desk.ask("GET", f"/v1/organization/proposals/{proposal['id']}", by="bea", role="policy-approver")
    wording = told.json()["wording"]
    lines = {line["label"]: line["value"] for line in wording["lines"]}
    assert lines["Impact"].startswith("1 newly denied, of ")
    assert "made 0 minutes ago" in lines["How far to trust it"]
    assert not any("Nobody made an impact report" in warning for warning in wording["warnings"])
    await desk.decide(proposal, act="reject")

    without = (await propose(desk, draft)).json()
    told = await desk.ask("GET", f"/v1/organization/proposals/{without['id']}", by="bea", role="policy-approver")
    assert any("Nobody made an impact report" in warning for warning in told.json()["wording"]["warnings"])
    assert without["digest"] != proposal["digest"]
    await desk.decide(without, act="reject")


async def test_a_replay_of_something_else_is_refused(desk: RuleDesk) -> None:
    draft = await checked(desk, one_picture(desk, "# the one\n"))
    other = await checked(desk, one_picture(desk, "# another\n"))
    of_other = await replay_of(desk, {"draft": other["id"]})
    against_other = await replay_of(desk, {"draft": draft["id"], "against": {"draft": other["id"]}})
    for replay, said in (
        (of_other["id"], "That replay was of"),
        (against_other["id"], "That replay was against"),
        ("0" * 16, "no such replay"),
    ):
        answer = await propose(desk, draft, impact=replay)
        assert (answer.status_code in (400, 404), said in answer.text) == (True, True), answer.text


async def test_where_it_is_required_there_is_no_proposal_without(desk: RuleDesk) -> None:
    draft = await checked(desk, one_picture(desk, "# required\n"))
    desk.services.policy_desk._require_replay = True
    try:
        answer = await propose(desk, draft)
        assert (answer.status_code, "policy.require_replay" in answer.text) == (400, True), answer.text
        replay = await replay_of(desk, {"draft": draft["id"]})
        answer = await propose(desk, draft, impact=replay["id"])
        assert answer.status_code == 202, answer.text
    finally:
        desk.services.policy_desk._require_replay = False
    await desk.decide(answer.json(), act="reject")


async def test_each_stage_of_a_request_names_the_detectors_whose_findings_it_was_decided_on(desk: RuleDesk) -> None:
    await ask(desk.bed, "ida", 1)
    (row, *_) = await desk.rows("image:generate")
    opened = await open_content(desk.services.audit, row.event_id, by="-")
    (told,) = [content["detectors"] for content in opened.contents if "detectors" in content]
    assert set(told) >= {"request", "prompt"}
    assert set(told.values()) == {desk.services.screening.revision}
