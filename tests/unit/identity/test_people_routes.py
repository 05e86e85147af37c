"""Shutting people out and letting them in again, and the review of who has what, over HTTP."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import update

from gateway.identity.access_review import harmless
from gateway.identity.tables import api_keys
from gateway.identity.tables import people as people_table
from tests.support.admins import CAST, Person, signed_in
from tests.support.front_door import FrontDoor, open_front_door
from tests.support.issuer import Issuer

USERS = "/v1/organization/users"
REVIEW = "/v1/organization/access_review"
ALICE = quote("company|alice")


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


async def key_of(person: Person, name: str = "script") -> str:
    made = await person.post("/v1/keys", {"name": name, "scopes": ["model:list"], "days": 30})
    assert made.status_code in (200, 201), made.text
    return str(made.json()["key"])


async def suspend(person: Person, who: str = ALICE, reason: str = "lost laptop"):
    return await person.post(f"{USERS}/{who}/suspend", {"reason": reason})


async def test_list_says_what_each_person_holds_and_through_what(people):
    await key_of(people["alice"])
    listed = (await people["carol"].get(USERS)).json()["data"]
    assert [one["id"] for one in listed] == sorted(f"company|{name}" for name in CAST)
    alice = listed[0]
    assert (alice["roles"], alice["roles_through"]) == (["employee"], {"employee": ["staff"]})
    assert (alice["status"], alice["sessions"], len(alice["api_keys"])) == ("active", 1, 1)
    assert [one["name"] for one in (await people["carol"].get(f"{USERS}?q=ALI+company")).json()["data"]] == ["Alice"]
    assert (await people["carol"].get(f"{USERS}?q=%25")).json()["data"] == []  # no wildcard


async def test_suspended_person_is_out_with_session_key_and_sign_in_from_the_next_request_on(door, people):
    key = await key_of(people["alice"])
    headers = {"authorization": f"Bearer {key}"}
    async with door.browser() as program:
        assert (await program.get("/v1/models", headers=headers)).status_code != 401
        done = await suspend(people["carol"])
        assert (done.status_code, done.json()["status"], done.json()["sessions"]) == (200, "suspended", 0)
        assert (await people["alice"].get("/v1/session")).status_code == 401
        assert (await program.get("/v1/models", headers=headers)).status_code == 401
        door.issuer.person = {"sub": "alice", "name": "Alice", "groups": ["staff"], "amr": ["pwd", "otp"]}
        refused = await door.walk(program, await program.get("/auth/sign-in?provider=company"))
        assert refused.status_code in (401, 403)
    (row,) = await door.records("auth:person:suspend")
    content = await door.content_of(row)
    assert (content["person"], content["reason"], len(content["credentials"])) == ("company|alice", "lost laptop", 1)


async def test_reinstated_person_signs_in_again_and_is_told_and_no_session_comes_back(door, people):
    await suspend(people["carol"])
    done = await people["dan"].post(f"{USERS}/{ALICE}/reinstate", {"reason": "laptop found"})
    assert (done.status_code, done.json()["status"]) == (200, "active")
    assert (await people["alice"].get("/v1/session")).status_code == 401
    await door.sign_in(people["alice"].browser, "alice", "staff")
    notices = (await people["alice"].get("/account", headers={"accept": "application/json"})).json()["notices"]
    assert ("reinstated", {"reason": "laptop found"}) in [(one["kind"], one["facts"]) for one in notices]
    assert len(await door.records("auth:person:reinstate")) == 1


async def test_nobody_suspends_themselves(people):
    refused = await suspend(people["carol"], quote("company|carol"))
    assert refused.status_code == 403
    assert (await people["carol"].get("/v1/session")).status_code == 200


async def test_what_a_suspended_administrator_proposed_is_taken_back(people):
    wider = {"roles": {"platform": ["admin"], "leads": ["reviewer"]}, "note": "x"}
    asked = (await people["carol"].post("/v1/organization/role_mapping", wider)).json()
    await suspend(people["dan"], quote("company|carol"))
    late = await people["dan"].post(f"/v1/organization/proposals/{asked['id']}/approve", {"digest": asked["digest"]})
    assert late.status_code == 400
    assert "withdrawn" in late.text


async def test_signing_somebody_out_everywhere_ends_their_sessions_and_nothing_else(door, people):
    key = await key_of(people["alice"])
    done = await people["carol"].post(f"{USERS}/{ALICE}/sign_out")
    assert (done.status_code, done.json()["sessions"], done.json()["status"]) == (200, 0, "active")
    assert (await people["alice"].get("/v1/session")).status_code == 401
    async with door.browser(authorization=f"Bearer {key}") as program:
        assert (await program.get("/v1/models")).status_code != 401
    (row,) = await door.records("auth:session:revoke")
    assert (await door.content_of(row))["person"] == "company|alice"


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_only_administrators_shut_out_or_look_up(people, name):
    answers = [
        await people[name].get(USERS),
        await people[name].get(f"{USERS}/{ALICE}"),
        await suspend(people[name], quote("company|carol")),
        await people[name].post(f"{USERS}/{ALICE}/reinstate", {"reason": "x"}),
        await people[name].post(f"{USERS}/{ALICE}/sign_out"),
    ]
    assert {answer.status_code for answer in answers} == {403}


async def test_who_is_not_there_or_there_already_is_said(people):
    assert (await suspend(people["carol"], quote("company|nobody"))).status_code == 404
    assert (await suspend(people["carol"], reason="  ")).status_code == 400
    assert (await people["carol"].post(f"{USERS}/{ALICE}/reinstate", {"reason": "x"})).status_code == 400
    await suspend(people["carol"])
    assert (await suspend(people["carol"])).status_code == 400


async def test_review_says_who_has_what_through_what_and_looking_is_on_record(door, people):
    await key_of(people["alice"], "=cmd|' /C calc'!A0")
    review = (await people["bob"].get(REVIEW)).json()
    roles = {(h["who"], h["what"], h["through"]) for h in review["holdings"] if h["kind"] == "role"}
    assert ("company|alice", "employee", "staff") in roles
    assert ("company|erin", "admin", "platform") in roles
    (key,) = [h for h in review["holdings"] if h["kind"] == "key"]
    assert (key["who"], key["what"], key["last_used"]) == ("company|alice", "model:list", "")
    assert key["since"] < key["expires"]
    (row,) = await door.records("auth:access:review")
    assert (await door.content_of(row))["holdings"] == len(review["holdings"])
    answer = await people["bob"].get(f"{REVIEW}?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(review["holdings"]) + len(review["remarks"])
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@")]
    assert (await people["alice"].get(REVIEW)).status_code == 403


async def test_review_remarks_on_what_nobody_uses_or_answers_for(door, people):
    await key_of(people["alice"])
    async with door.browser() as browser:
        await door.sign_in(browser, "frank", "platform", "compliance")
    await key_of(people["alice"], "old")
    long_ago = door.services.clock() - timedelta(days=200)
    async with door.services.database.transaction() as tx:
        await tx.execute(update(api_keys).where(api_keys.c.name == "old").values(created_at=long_ago))
        await tx.execute(update(people_table).where(people_table.c.id == "company|bob").values(last_seen=long_ago))
    await suspend(people["carol"], quote("company|dan"))
    await suspend(people["carol"], quote("company|erin"))
    remarks = {(one["kind"], one["who"]) for one in (await people["carol"].get(REVIEW)).json()["remarks"]}
    assert remarks == {
        ("roles-conflict", "company|frank"),
        ("not-seen", "company|bob"),
        ("key-unused", "company|alice"),
        ("too-few-admins", "admin"),
    }


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1+1", "' =1+1"),
        ("\r=1+1", "' =1+1"),
        ("a\n=1+1", "a =1+1"),
        ("＝1+1", "'＝1+1"),
        ("Alice = Bob", "Alice = Bob"),
        ("", ""),
    ],
)
def test_no_cell_begins_a_formula(cell, safe):
    assert harmless(cell) == safe
