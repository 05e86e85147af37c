"""A draft goes upon the rules in force: alone where it can, by a person's word where both changed a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

HOURS = "gateway/config/hours/data.yaml"


@pytest_asyncio.fixture(loop_scope="module")
async def clashing(desk: RuleDesk) -> AsyncIterator[tuple[Any, str, str]]:
    """A draft that changes two files; one of them is another in force since. The draft, and the two texts of it."""
    began = (await desk.get("status"))["in_force"]["revision"]
    limits = desk.text(LIMITS)
    mine, theirs = limits.replace("user_day: 500", "user_day: 400"), limits.replace("employee: 4", "employee: 3")
    draft = await desk.draft({LIMITS: mine, HOURS: desk.text(HOURS) + "# reviewed\n"})
    await desk.change({LIMITS: theirs})
    yield draft, mine, theirs
    back = {"revision": began, "reason": "end of the test"}
    await desk.post("rollback", back, by="bea", role="policy-approver")
    await desk.until(began)


async def in_force(desk: RuleDesk) -> str:
    return str((await desk.get("status"))["in_force"]["revision"])


async def text_of(desk: RuleDesk, draft: Any, path: str) -> str:
    return str((await desk.get(f"drafts/{draft['id']}/files/{path}"))["content"])


async def test_what_nobody_decided_is_named_and_nothing_is_saved(desk: RuleDesk, clashing: Any) -> None:
    draft, *_ = clashing
    answer = await desk.ask("POST", f"drafts/{draft['id']}/rebase", {"after": 1})
    assert (answer.status_code, LIMITS in answer.text, HOURS in answer.text) == (409, True, False), answer.text
    assert (await desk.get(f"drafts/{draft['id']}"))["version"]["number"] == 1


async def test_a_file_that_both_changed_becomes_what_a_person_wrote(desk: RuleDesk, clashing: Any) -> None:
    draft, mine, _ = clashing
    both = mine.replace("employee: 4", "employee: 3")
    asked = {"after": 1, "files": {LIMITS: both}, "onto": await in_force(desk)}
    saved = await desk.post(f"drafts/{draft['id']}/rebase", asked)
    assert saved["version"]["base"] == await in_force(desk)
    assert sorted(saved["version"]["files"]) == [HOURS, LIMITS]
    assert await text_of(desk, draft, LIMITS) == both
    (hours, limits) = (await desk.get(f"drafts/{draft['id']}/diff"))["data"]
    assert (hours["path"], limits["added"], limits["removed"]) == (HOURS, 1, 1), "only what the draft wants is left"


async def test_a_file_left_as_in_force_is_out_of_the_draft(desk: RuleDesk, clashing: Any) -> None:
    draft, _, theirs = clashing
    saved = await desk.post(f"drafts/{draft['id']}/rebase", {"after": 1, "files": {LIMITS: theirs}})
    assert list(saved["version"]["files"]) == [HOURS]


async def test_a_file_can_be_decided_to_go(desk: RuleDesk, clashing: Any) -> None:
    draft, *_ = clashing
    saved = await desk.post(f"drafts/{draft['id']}/rebase", {"after": 1, "files": {LIMITS: None}})
    assert saved["version"]["files"][LIMITS] is None


async def test_only_what_both_changed_can_be_decided(desk: RuleDesk, clashing: Any) -> None:
    draft, mine, _ = clashing
    asked = {"after": 1, "files": {LIMITS: mine, HOURS: "# slipped in\n"}}
    answer = await desk.ask("POST", f"drafts/{draft['id']}/rebase", asked)
    assert (answer.status_code, f"{HOURS} was not changed in both" in answer.text) == (400, True), answer.text


async def test_a_decision_upon_other_rules_than_those_in_force_is_refused(desk: RuleDesk, clashing: Any) -> None:
    draft, mine, _ = clashing
    asked = {"after": 1, "files": {LIMITS: mine}, "onto": draft["version"]["base"]}
    answer = await desk.ask("POST", f"drafts/{draft['id']}/rebase", asked)
    assert (answer.status_code, "in the meantime" in answer.text) == (409, True), answer.text
