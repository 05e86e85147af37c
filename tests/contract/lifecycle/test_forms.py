"""Forms through the API and the pages' routes of a real gateway."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rule_desk import RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

HOURS = "gateway/config/hours/data.yaml"


async def test_a_form_is_read_changed_and_saved_as_a_version(desk: RuleDesk) -> None:
    draft = await desk.draft({}, title="hours")
    names = {form["name"] for form in (await desk.get(f"drafts/{draft['id']}/forms"))["data"]}
    assert names >= {"hours", "networks", "models", "limits", "findings", "dlp", "retention", "content", "pictures"}
    form = await desk.get(f"drafts/{draft['id']}/forms/hours")
    assert form["values"]["timezone"] == "UTC"
    unchanged: dict[str, Any] = {"after": 1, "values": form["values"]}
    assert (await desk.post(f"drafts/{draft['id']}/forms/hours", unchanged))["version"]["number"] == 1
    saved = await desk.post(f"drafts/{draft['id']}/forms/hours", {"after": 1, "values": {"timezone": "Europe/Berlin"}})
    assert (saved["version"]["number"], list(saved["version"]["files"])) == (2, [HOURS])
    text = (await desk.get(f"drafts/{draft['id']}/files/{HOURS}"))["content"]
    assert text == desk.text(HOURS).replace('"UTC"', '"Europe/Berlin"')
    saves = await desk.rows("policy:draft:save")
    assert (await desk.content_of(saves[0]))["note"] == "form: Hours"


async def test_every_form_as_shipped_passes_through_the_api_unchanged(desk: RuleDesk) -> None:
    draft = await desk.draft({}, title="all forms")
    for form in (await desk.get(f"drafts/{draft['id']}/forms"))["data"]:
        values = (await desk.get(f"drafts/{draft['id']}/forms/{form['name']}"))["values"]
        same = await desk.post(f"drafts/{draft['id']}/forms/{form['name']}", {"after": 1, "values": values})
        assert same["version"]["number"] == 1, form["name"]


async def test_what_a_form_may_not_say_is_refused_and_nothing_is_saved(desk: RuleDesk) -> None:
    draft = await desk.draft({}, title="bad")
    for values, says in (
        ({"timezone": 5}, "timezone"),
        ({"weather": "sun"}, "no part of this form"),
        ({"windows": [{"days": ["Monday"], "from_hour": 9, "to_hour": 99}]}, "from 1 to 24"),
    ):
        answer = await desk.ask("POST", f"drafts/{draft['id']}/forms/hours", {"after": 1, "values": values})
        assert answer.status_code == 400
        assert says in answer.json()["error"]["message"]
    missing = await desk.ask("GET", f"drafts/{draft['id']}/forms/weather")
    assert missing.status_code == 404
    await desk.post(f"drafts/{draft['id']}/forms/hours", {"after": 1, "values": {"timezone": "Asia/Tokyo"}})
    late = await desk.ask("POST", f"drafts/{draft['id']}/forms/hours", {"after": 1, "values": {"timezone": "UTC"}})
    assert late.status_code == 409
    read_only = await desk.ask(
        "POST", f"drafts/{draft['id']}/forms/hours", {"after": 2, "values": {}}, by="bea", role="policy-approver"
    )
    assert read_only.status_code == 403
    assert (await desk.get(f"drafts/{draft['id']}"))["version"]["number"] == 2


async def test_what_a_form_makes_passes_the_checks(desk: RuleDesk) -> None:
    draft = await desk.draft({}, title="checked")
    limits = {"images_per_request": {"employee": 3, "service": 10}}
    await desk.post(f"drafts/{draft['id']}/forms/limits", {"after": 1, "values": limits})
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert report["passed"], report["problems"]
