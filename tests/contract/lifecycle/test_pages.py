"""The pages of rules without a browser: what comes back after a step-up, and what is asked first."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from gateway.exchange import ActorId, Mfa
from gateway.identity.people import People
from gateway.identity.profile import Described
from gateway.identity.roles import RoleMap
from gateway.identity.sessions import SessionId, Sessions
from tests.authz.bed import COOKIE, OURS
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

HTML = {"accept": "text/html"}


async def stale(desk: RuleDesk, name: str, role: str, minutes: int) -> dict[str, str]:
    """Headers of somebody whose second factor is some minutes old."""
    services, id = desk.services, SessionId()
    settings, clock = services.settings.identity, services.clock
    roles = RoleMap(settings.roles)
    async with services.database.transaction() as tx:
        described = Described(display_name=name, groups=(role,))
        person = await People(services.database, roles, clock).seen(tx, ActorId(f"company|{name}"), described)
        mfa = Mfa(at=clock() - timedelta(minutes=minutes), amr=("pwd", "otp"))
        await Sessions(services.database, settings, roles, clock).start(tx, id, person, mfa)
    return {"cookie": f"{COOKIE}={id.secret}", **OURS, **HTML}


async def token(desk: RuleDesk, headers: dict[str, str]) -> str:
    answer = await desk.client.get("/v1/session", headers=headers | {"accept": "application/json"})
    found: str = answer.raise_for_status().json()["csrf_token"]
    return found


async def test_the_reason_of_a_rollback_is_still_there_after_the_second_factor(desk: RuleDesk) -> None:
    began = (await desk.get("status"))["in_force"]["revision"]
    changed = desk.text(LIMITS).replace("user_day: 500", "user_day: 499")
    await desk.change({LIMITS: changed})
    cleo = await stale(desk, "cleo", "policy-approver", minutes=20)
    overview = await desk.client.get("/rules", headers=cleo)
    assert overview.status_code == 200
    assert f'action="/rules/revisions/{began}/rollback"' in overview.text
    form = {"csrf_token": await token(desk, cleo), "reason": "It stops the night shift"}
    host = str(desk.client.base_url)
    sent = await desk.client.post(
        f"/rules/revisions/{began}/rollback", data=form, headers=cleo | {"referer": f"{host}/rules"}
    )
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/auth/step-up?max_age=300&return_to=%2Frules")
    kept = re.match("[^;]+", sent.headers["set-cookie"])
    assert kept
    back = await desk.client.get("/rules", headers=cleo | {"cookie": f"{cleo['cookie']}; {kept[0]}"})
    assert back.text.count("It stops the night shift") == 1
    assert (await desk.get("status"))["in_force"]["revision"] != began


async def test_a_long_text_is_on_the_page_again_where_no_cookie_could_keep_it(desk: RuleDesk) -> None:
    draft = await desk.draft({}, title="long", by="ann")
    ann = await stale(desk, "ann", "policy-author", minutes=61)
    form = {
        "csrf_token": await token(desk, ann),
        "act": "save",
        "after": "1",
        "file": LIMITS,
        "content": "# mine\r\n" + desk.text(LIMITS) + "# more\r\n" * 300,
    }
    sent = await desk.client.post(f"/rules/drafts/{draft['id']}", data=form, headers=ann)
    assert sent.status_code == 401
    assert "Confirm in another tab" in sent.text
    assert "# mine\n" in sent.text
    assert sent.text.count("# more\n") == 300
    for name, value in (("act", "save"), ("after", "1"), ("file", LIMITS)):
        assert f'name="{name}" value="{value}"' in sent.text
    assert sent.text.count('name="csrf_token"') == 2  # the form's, and that of signing out
    assert (await desk.get(f"drafts/{draft['id']}"))["version"]["number"] == 1


async def test_a_form_of_somebody_elses_page_changes_nothing(desk: RuleDesk) -> None:
    headers = await desk.person("ann", "policy-author") | HTML
    foreign = {name: value for name, value in headers.items() if name != "x-csrf-token"} | {
        "origin": "https://attacker.example",
        "sec-fetch-site": "cross-site",
    }
    before = len((await desk.get("drafts"))["data"])
    sent = await desk.client.post("/rules/drafts/new", data={"title": "foreign"}, headers=foreign)
    assert sent.status_code in (401, 403)
    assert len((await desk.get("drafts"))["data"]) == before


async def test_what_was_refused_comes_back_as_it_was_written(desk: RuleDesk) -> None:
    headers = await desk.person("ann", "policy-author") | HTML
    draft = await desk.draft({}, title="kept", by="ann")
    text = "# mine <b>\r\n" + desk.text(LIMITS)
    form = {"act": "save", "after": "9", "file": LIMITS, "content": text, "note": "a note"}
    sent = await desk.client.post(f"/rules/drafts/{draft['id']}", data=form, headers=headers)
    assert sent.status_code == 409
    assert "# mine &lt;b&gt;" in sent.text
    assert 'value="a note"' in sent.text
    assert 'name="after" value="1"' in sent.text


async def test_lines_that_no_test_runs_are_named_with_their_file(desk: RuleDesk) -> None:
    path = "gateway/extra/extra.rego"
    body = (
        "# METADATA\n# title: Extra\n# scope: package\n# custom:\n#   owner: security-team\npackage gateway.extra\n\n"
        "seen if {\n\tinput.a == 1\n\tinput.b == 2\n}\n\nunseen if {\n\tinput.c == 3\n\tinput.d == 4\n}\n"
    )
    tests = 'package gateway.extra_test\n\ntest_seen if data.gateway.extra.seen with input as {"a": 1, "b": 2}\n'
    draft = await desk.draft({path: body, path.replace(".rego", "_test.rego"): tests})
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert report["coverage"]["missed"] == {path: [14, 15]}, report
    assert (await desk.get(f"drafts/{draft['id']}"))["check"]["coverage"]["missed"] == {path: [14, 15]}
    page = f"/rules/drafts/{draft['id']}"
    headers = {**await desk.person("ann", "policy-author"), **HTML}
    editor = (await desk.client.get(page, params={"file": path}, headers=headers)).text
    assert 'data-line="14" data-last="15"' in editor
    assert "No test runs these lines." in editor
    assert editor.count('id="L14"') == 1
    check = (await desk.client.get(f"{page}/check", headers=headers)).text
    assert f'href="{page}?file={path}&amp;line=14#L14"><span class="unseen">lines </span>14–15<span' in check
    other = (await desk.client.get(page, params={"file": LIMITS}, headers=headers)).text
    assert "No test runs" not in other


async def test_a_conflict_is_read_and_decided_on_a_page_that_keeps_what_was_written(desk: RuleDesk) -> None:
    began = (await desk.get("status"))["in_force"]["revision"]
    mine = desk.text(LIMITS).replace("user_day: 500", "user_day: 400")
    draft = await desk.draft({LIMITS: mine})
    await desk.change({LIMITS: desk.text(LIMITS).replace("employee: 4", "employee: 3")})
    headers = {**await desk.person("ann", "policy-author"), **HTML}
    page = f"/rules/drafts/{draft['id']}/rebase"
    shown = (await desk.client.get(page, headers=headers)).text
    assert shown.count("employee: 3") == 1
    assert "user_day: 400" in shown
    form = {
        "csrf_token": headers["x-csrf-token"],
        "after": "1",
        "onto": (await desk.get("status"))["in_force"]["revision"],
        "file": LIMITS,
        "text-0": mine + "# and more\r\n",
    }
    unsaid = await desk.client.post(page, data=form, headers=headers)
    assert (unsaid.status_code, "say how it shall be" in unsaid.text) == (400, True)
    assert "# and more" in unsaid.text
    stale = await desk.client.post(page, data={**form, "how-0": "mine", "onto": began}, headers=headers)
    assert (stale.status_code, "in the meantime" in stale.text) == (409, True)
    done = await desk.client.post(page, data={**form, "how-0": "written"}, headers=headers)
    assert (done.status_code, done.headers["location"]) == (303, f"/rules/drafts/{draft['id']}/history?done=rebase")
    saved = await desk.get(f"drafts/{draft['id']}/files/{LIMITS}")
    assert saved["content"] == mine + "# and more\n"
    assert "is upon the rules in force" in (await desk.client.get(page, headers=headers)).text
    back = {"revision": began, "reason": "end of the test"}
    await desk.post("rollback", back, by="bea", role="policy-approver")
    await desk.until(began)


async def test_a_proposal_links_to_the_pages_of_its_change_and_of_its_replay(desk: RuleDesk) -> None:
    draft = await desk.draft({LIMITS: desk.text(LIMITS) + "# linked\n"})
    assert (await desk.post(f"drafts/{draft['id']}/check"))["passed"]
    job = await desk.post("replays", {"draft": draft["id"], "days": 7})
    while (await desk.get(f"replays/{job['id']}"))["status"] in ("waiting", "running"):
        await asyncio.sleep(0.1)
    asked = {"version": 1, "note": "because it is time", "impact": job["id"]}
    proposal = await desk.post(f"drafts/{draft['id']}/propose", asked)
    headers = {**await desk.person("bea", "policy-approver"), **HTML}
    html = (await desk.client.get(f"/proposals/{proposal['id']}", headers=headers)).text
    page = f"/rules/drafts/{draft['id']}"
    assert (
        f'<dd class="as-written"><a href="{page}/changes?version=1"><bdi>version 1, file by file</bdi></a></dd>' in html
    )
    assert f'<a href="{page}/replay?job={job["id"]}"><bdi>{job["id"]}</bdi></a>' in html
    assert "/v1/policy" not in html
    for link in ("changes?version=1", f"replay?job={job['id']}"):
        assert (await desk.client.get(f"{page}/{link}", headers=headers)).status_code == 200
    await desk.decide(proposal, act="reject")
