"""A rule changes: draft, checks, a second person, in force, back again. All of it through the API of a real gateway."""

from __future__ import annotations

import pytest

from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]


async def test_a_rule_changes_and_changes_back(desk: RuleDesk) -> None:
    began = (await desk.get("status"))["in_force"]
    assert (began["kind"], began["number"]) == ("seed", 1)
    changed = desk.text(LIMITS).replace("employee: 4\n", "employee: 3\n")

    draft = await desk.draft({LIMITS: changed}, title="Three pictures are enough")
    (difference,) = (await desk.get(f"drafts/{draft['id']}/diff"))["data"]
    assert "-  employee: 4\n+  employee: 3\n" in difference["diff"]
    unchecked = await desk.ask("POST", f"drafts/{draft['id']}/propose", {"version": 1, "note": "now"})
    assert unchecked.status_code == 400
    assert "not checked" in unchecked.text
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert report["passed"], report["problems"]
    assert report["tests"]["run"] > 20
    assert report["coverage"]["share"] == 1.0
    assert report["detectors"]["passed"] > 20

    note = {"version": 1, "note": "four were too many"}
    proposal = await desk.post(f"drafts/{draft['id']}/propose", note)
    words = (await desk.get(f"/v1/organization/proposals/{proposal['id']}"))["wording"]
    told = {line["label"]: line["value"] for line in words["lines"]}
    assert told["Changed file"] == f"{LIMITS} (+1 −1)"
    assert told["Lines that tests run"].startswith("100.0%")
    assert "Nobody made an impact report" in told["Impact"]

    approved = await desk.decide(proposal)
    assert approved.status_code == 200, approved.text
    seconds = await desk.until(report["revision"])
    assert desk.services.policy.revision.endswith(report["revision"][:12])
    status = await desk.get("status")
    assert status["in_force"]["kind"] == "approval"
    assert status["in_force"]["actor"] == "company|bea"
    assert status["here"] == {
        "revision": report["revision"],
        "name": desk.services.policy.revision,
        "detectors": desk.services.screening.revision,
        "behind_since": None,
        "error": "",
    }
    assert seconds < 10

    back = {"revision": began["revision"][:12], "reason": "three were too few after all"}
    again = await desk.post("rollback", back, by="bea", role="policy-approver")
    assert again["kind"] == "rollback"
    assert again["revision"] == began["revision"]
    await desk.until(began["revision"])
    assert [one["kind"] for one in (await desk.get("activations"))["data"]] == ["rollback", "approval", "seed"]

    for event in ("seed", "approve", "rollback"):
        (row,) = await desk.rows(f"policy:revision:{event}")
    assert (await desk.content_of(row))["after"] == began["revision"]
    assert len(await desk.rows("policy:bundle:activate")) == 3
