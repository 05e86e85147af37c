"""A draft may begin from a policy pack: what the pack makes otherwise in the rules in force, and nothing else."""

from __future__ import annotations

import pytest

from gateway.packs import find
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

HOUSE = "gateway/image/house/house.rego"


async def test_a_draft_begins_from_a_pack_and_passes_its_checks(desk: RuleDesk) -> None:
    draft = await desk.post("drafts", {"title": "strict rules", "pack": "strict", "options": ["office-hours"]})
    about = {change.file for change in find("strict").changes}
    changed = {one["path"] for one in (await desk.get(f"drafts/{draft['id']}/diff"))["data"]}
    assert changed > about
    assert "gateway/config/hours/data.yaml" in changed
    assert "gateway/config/networks/data.yaml" not in changed
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert (report["passed"], report["coverage"]["share"]) == (True, 1.0), report["problems"]


async def test_files_go_upon_the_pack(desk: RuleDesk) -> None:
    own = desk.text(LIMITS).replace("employee: 4\n", "employee: 3\n")
    draft = await desk.post("drafts", {"title": "strict, nearly", "pack": "strict", "files": {LIMITS: own}})
    assert (await desk.get(f"drafts/{draft['id']}/files/{LIMITS}"))["content"] == own
    assert "department_known" in (await desk.get(f"drafts/{draft['id']}/files/{HOUSE}"))["content"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"pack": "lax"}, "there is no pack lax"),
        ({"pack": "trial", "options": ["office-hours"]}, "trial has no option office-hours"),
    ],
)
async def test_a_pack_that_is_not_there_makes_no_draft(desk: RuleDesk, body: dict[str, object], message: str) -> None:
    before = (await desk.get("drafts"))["data"]
    answer = await desk.ask("POST", "drafts", {"title": "from nowhere", **body})
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], message in answer.json()["error"]["message"]) == ("pack", True)
    assert (await desk.get("drafts"))["data"] == before
