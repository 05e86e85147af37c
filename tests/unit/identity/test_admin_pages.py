"""The administrators' pages, as forms without scripts use them."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from gateway.errors import InvalidRequest
from gateway.identity.tables import sessions
from gateway.vocabulary import Role
from gateway.web.mapping import parse, written
from tests.support.admins import Person, signed_in
from tests.support.front_door import FrontDoor, open_front_door
from tests.support.issuer import Issuer

WIDER = "staff: employee\ncompliance: auditor\nplatform: admin\nstudio-leads: reviewer"


@pytest.fixture
async def door(tmp_path: Path, listening_issuer: Issuer) -> AsyncIterator[FrontDoor]:
    listening_issuer.forget()
    listening_issuer.now = time.time
    async with open_front_door(tmp_path, listening_issuer) as door:
        yield door


@pytest.fixture
async def people(door: FrontDoor) -> AsyncIterator[dict[str, Person]]:
    async with signed_in(door) as found:
        yield found


async def test_a_mapping_is_previewed_proposed_read_and_approved_by_forms_alone(people):
    carol, dan = people["carol"], people["dan"]
    shown = await carol.send("/mapping/preview", mapping=WIDER)
    assert "second administrator has to agree" in shown.text
    assert re.search(r"Erin.*?gains.*?reviewer", shown.text, re.DOTALL)
    asked = await carol.send("/mapping", mapping=WIDER, note="leads review")
    assert asked.status_code == 303
    address = asked.headers["location"]
    assert "Nobody approves their own proposal" in (await carol.page(address)).text
    assert address in (await dan.page("/proposals")).text
    read = unescape((await dan.page(address)).text)
    assert "Group studio-leads" in read
    assert "leads review" in read
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', read)[1]
    done = await dan.send(f"{address}/decision", act="approve", digest=digest)
    assert (done.status_code, done.headers["location"]) == (303, address)
    assert "studio-leads" in (await dan.page("/mapping")).text


async def test_a_narrower_mapping_is_in_force_by_one_form_and_goes_back_by_two_people(people):
    carol = people["carol"]
    shown = await carol.send("/mapping/preview", mapping="platform: admin\nstaff: employee")
    assert "in force as soon as you say so" in shown.text
    done = await carol.send("/mapping", mapping="platform: admin\nstaff: employee", note="")
    assert done.headers["location"] == "/mapping"
    back = await carol.send("/mapping/rollback", version="0", note="Back to version 0")
    assert back.headers["location"].startswith("/proposals/")


async def test_an_approval_that_needs_a_second_factor_comes_back_to_the_proposal(door, people):
    asked = await people["carol"].send("/mapping", mapping=WIDER, note="leads review")
    address = asked.headers["location"]
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', (await people["dan"].page(address)).text)[1]
    async with door.services.database.transaction() as tx:
        await tx.execute(update(sessions).values(mfa_at=None))
    dan = people["dan"].browser
    form = {"csrf_token": people["dan"].headers["x-csrf-token"], "act": "approve", "digest": digest}
    headers = {**people["dan"].headers, "accept": "text/html", "referer": f"https://imprimatur.example{address}"}
    away = await dan.post(f"{address}/decision", data=form, headers=headers)
    parts = urlsplit(away.headers["location"])
    assert (parts.path, parse_qs(parts.query)["return_to"]) == ("/auth/step-up", [address])
    assert door.services.identity.mapping.live.version == 0


async def test_a_preview_comes_back_after_a_second_factor_with_what_was_written(door, people):
    carol = people["carol"]
    headers = {**carol.headers, "accept": "text/html", "referer": "https://imprimatur.example/mapping/preview"}
    stale = door.services.clock().replace(year=2020)
    async with door.services.database.transaction() as tx:
        await tx.execute(update(sessions).values(mfa_at=stale))
    form = {"csrf_token": carol.headers["x-csrf-token"], "mapping": WIDER, "note": "leads review"}
    away = await carol.browser.post("/mapping", data=form, headers=headers)
    assert urlsplit(away.headers["location"]).path == "/auth/step-up"
    door.issuer.person = {"sub": "carol", "name": "Carol", "groups": ["platform"], "amr": ["pwd", "otp"]}
    back = await door.walk(carol.browser, await carol.browser.get(away.headers["location"]))
    assert back.headers["location"] == "/mapping/preview"
    again = unescape((await carol.page("/mapping/preview")).text)
    assert "studio-leads: reviewer" in again
    assert "leads review" in again
    assert "second administrator has to agree" in again


async def test_without_anything_written_the_preview_s_address_leads_to_the_mapping(people):
    assert (await people["carol"].page("/mapping/preview")).headers["location"] == "/mapping"


async def test_somebody_is_found_suspended_and_reinstated_by_forms_alone(people):
    carol = people["carol"]
    assert "company|alice" in (await carol.page("/people?q=alice")).text
    assert "Shut" not in (await carol.page("/people/company%7Calice")).text
    done = await carol.send("/people/company%7Calice/decision", act="suspend", reason="lost laptop")
    assert done.headers["location"] == "/people/company%7Calice"
    assert "Reinstate" in (await carol.page("/people/company%7Calice")).text
    await carol.send("/people/company%7Calice/decision", act="reinstate", reason="found")
    assert "Suspend" in (await carol.page("/people/company%7Calice")).text
    assert (await carol.send("/people/company%7Calice/decision", act="banish", reason="x")).status_code == 400


async def test_nobody_is_offered_to_suspend_themselves(people):
    assert "This is you" in (await people["carol"].page("/people/company%7Ccarol")).text


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_pages_are_closed_to_who_is_no_administrator(people, name):
    for path in ("/people", "/people/company%7Ccarol", "/mapping", "/mapping/preview", "/proposals"):
        assert (await people[name].page(path)).status_code == 403, path
    assert (await people["alice"].page("/access-review")).status_code == 403


async def test_review_page_is_for_auditors_and_administrators_and_on_record(door, people):
    for name in ("bob", "carol"):
        assert "company|alice" in (await people[name].page("/access-review")).text
    assert len(await door.records("auth:access:review")) == 2


async def test_whoever_is_in_conflicting_groups_is_told_why_they_have_neither_role(door):
    async with door.browser() as browser:
        await door.sign_in(browser, "frank", "platform", "compliance")
        shown = await browser.get("/", headers={"accept": "text/html"})
        assert "admin and auditor" in shown.text
        assert "you have neither" in shown.text
        assert "admin and auditor" in (await browser.get("/account", headers={"accept": "text/html"})).text


def test_what_is_written_is_what_is_read():
    mapping = {"staff": frozenset({Role.EMPLOYEE}), "a:b, c": frozenset({Role.ADMIN, Role.POLICY_AUTHOR})}
    assert {group: frozenset(roles) for group, roles in parse(written(mapping)).items()} == mapping


@pytest.mark.parametrize(
    ("text", "says"), [("staff", "Line 1"), ("a: admin\n: admin", "Line 2"), ("a: admin\na: employee", "twice")]
)
def test_a_line_that_can_not_be_read_is_named(text, says):
    with pytest.raises(InvalidRequest, match=says):
        parse(text)
