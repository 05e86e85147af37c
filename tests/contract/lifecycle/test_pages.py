"""The pages of rules without a browser: what comes back after a step-up, and what is asked first."""

from __future__ import annotations

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
