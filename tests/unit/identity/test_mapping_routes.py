"""The role mapping over HTTP: what one person may do, what it takes two for, what is on record, how soon it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.identity.mapping import LiveMapping
from gateway.identity.roles import RoleMap
from gateway.identity.tables import proposals, role_mappings
from tests.support.admins import Person, signed_in
from tests.support.front_door import FrontDoor, open_front_door
from tests.support.issuer import Issuer

MAPPING = "/v1/organization/role_mapping"
PROPOSALS = "/v1/organization/proposals"
NOW = {"staff": ["employee"], "compliance": ["auditor"], "platform": ["admin"]}
WIDER = {**NOW, "studio-leads": ["reviewer"]}


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


async def propose(person: Person, roles: dict[str, list[str]] = WIDER) -> dict[str, Any]:
    answer = await person.post(MAPPING, {"roles": roles, "note": "leads review"})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def decide(person: Person, proposal: dict[str, Any], act: str = "approve", **changes: str) -> Any:
    return await person.post(f"{PROPOSALS}/{proposal['id']}/{act}", {"digest": proposal["digest"], **changes})


async def test_settings_mapping_is_in_force_until_another_is(people):
    found = (await people["carol"].get(MAPPING)).json()
    assert (found["version"], found["roles"]) == (0, NOW)


async def test_widening_takes_a_second_administrator_and_is_on_record_before_it_holds(door, people):
    proposal = await propose(people["carol"])
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0
    assert (await people["erin"].get("/v1/session")).json()["roles"] == ["admin"]
    done = await decide(people["dan"], proposal)
    assert done.status_code == 200, done.text
    assert (done.json()["status"], done.json()["decided_by"]) == ("approved", "company|dan")
    found = (await people["carol"].get(MAPPING)).json()
    assert (found["version"], found["roles"], found["proposal"]) == (1, WIDER, proposal["id"])
    (activated,), (approved,) = await door.records("auth:mapping:activate"), await door.records("auth:proposal:approve")
    assert (activated.effect, approved.effect) == ("allow", "allow")
    assert (await door.content_of(activated))["payload"]["after"] == WIDER


async def test_whose_roles_change_is_signed_out_and_told_and_nobody_else_is(door, people):
    await decide(people["dan"], await propose(people["carol"]))
    assert (await people["erin"].get("/v1/session")).status_code == 401
    assert (await people["alice"].get("/v1/session")).status_code == 200
    await door.sign_in(people["erin"].browser, "erin", "platform", "studio-leads")
    assert (await people["erin"].get("/v1/session")).json()["roles"] == ["admin", "reviewer"]
    account = (await people["erin"].get("/account", headers={"accept": "application/json"})).json()
    assert account["notices"][0]["kind"] == "roles-changed"
    assert account["notices"][0]["facts"] == {"roles": "admin, reviewer"}


async def test_nobody_agrees_to_their_own_and_the_attempt_is_on_record(door, people):
    proposal = await propose(people["carol"])
    assert (await decide(people["carol"], proposal)).status_code == 403
    (row,) = await door.records("auth:proposal:approve")
    assert (row.effect, list(row.reasons)) == ("deny", ["subject.own-proposal"])
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0


async def test_nobody_in_a_widened_group_is_the_second_person(people):
    proposal = await propose(people["carol"])
    refused = await decide(people["erin"], proposal)
    assert refused.status_code == 403
    assert "studio-leads" in refused.text
    assert (await decide(people["dan"], proposal)).status_code == 200


async def test_what_is_agreed_to_is_what_was_read(people):
    proposal = await propose(people["carol"])
    assert (await decide(people["dan"], proposal, digest="0" * 64)).status_code == 400
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0


async def test_a_text_that_was_changed_in_the_database_is_agreed_to_by_nobody(door, people):
    proposal = await propose(people["carol"])
    async with door.services.database.transaction() as tx:
        forged = {**proposal["payload"], "after": {**WIDER, "staff": ["admin"]}}
        await tx.execute(update(proposals).values(payload=forged))
    assert (await decide(people["dan"], proposal)).status_code == 400
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_only_administrators_see_or_touch_any_of_it(people, name):
    proposal = await propose(people["carol"])
    person = people[name]
    answers = [
        await person.get(MAPPING),
        await person.post(MAPPING, {"roles": WIDER, "note": "x"}),
        await person.post(f"{MAPPING}/preview", {"roles": WIDER}),
        await person.post(f"{MAPPING}/rollback", {"version": 0, "note": "x"}),
        await person.get(PROPOSALS),
        await person.get(f"{PROPOSALS}/{proposal['id']}"),
        await decide(person, proposal),
        await decide(person, proposal, "reject"),
        await decide(person, proposal, "withdraw"),
    ]
    assert {answer.status_code for answer in answers} == {403}


async def test_narrowing_is_in_force_at_once_by_one_person(door, people):
    done = await people["carol"].post(MAPPING, {"roles": {"platform": ["admin"], "staff": ["employee"]}})
    assert done.status_code == 200, done.text
    assert done.json()["version"] == 1
    assert (await people["bob"].get("/v1/session")).status_code == 401
    (row,) = await door.records("auth:mapping:activate")
    content = await door.content_of(row)
    assert content["people"] == [{"actor": "company|bob", "gains": [], "loses": ["auditor"]}]


async def test_taking_a_role_away_that_ends_a_conflict_is_no_narrowing(door, people):
    """Whoever was mapped to both has neither; without the one they would have the other."""
    browser = door.browser()
    await door.sign_in(browser, "frank", "platform", "compliance")
    assert (await browser.get("/v1/session")).json()["roles"] == []
    narrower = {"platform": ["admin"], "staff": ["employee"]}
    asked = await people["carol"].post(MAPPING, {"roles": narrower, "note": "no auditors"})
    assert asked.status_code == 202, asked.text
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0
    words = (await people["dan"].get(f"{PROPOSALS}/{asked.json()['id']}")).json()["wording"]
    assert {"label": "Who gains", "value": "Frank (company|frank): admin"} in words["lines"]
    await browser.aclose()


async def test_going_back_may_widen_and_then_takes_two(people):
    await people["carol"].post(MAPPING, {"roles": {"platform": ["admin"]}})
    asked = await people["carol"].post(f"{MAPPING}/rollback", {"version": 0, "note": "that was wrong"})
    assert asked.status_code == 202
    assert (await people["carol"].get(MAPPING)).json()["roles"] == {"platform": ["admin"]}
    assert (await decide(people["dan"], asked.json())).status_code == 200
    found = (await people["carol"].get(MAPPING)).json()
    assert (found["version"], found["roles"]) == (2, NOW)
    assert [version["version"] for version in found["history"]] == [2, 1, 0]


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ({**NOW, "leads": ["admin", "auditor"]}, "nobody may hold together"),
        ({**NOW, "leads": ["billing", "reviewer"]}, "nobody may hold together"),
        ({**NOW, "robots": ["service"]}, "service account instead"),
        ({**NOW, "robots": ["break-glass"]}, "sealed codes"),
        ({**NOW, "leads": ["emperor"]}, "roles that there are not"),
        ({**NOW, " leads": ["reviewer"]}, "printable characters"),
        ({**NOW, "": ["reviewer"]}, "printable characters"),
        ({**NOW, "le\nads": ["reviewer"]}, "printable characters"),
        ({"staff": ["employee"]}, "nobody could change the mapping again"),
        (NOW, "nothing would change"),
    ],
)
async def test_what_may_never_be_in_force_can_not_be_proposed(people, roles, says):
    refused = await people["carol"].post(MAPPING, {"roles": roles, "note": "x"})
    assert refused.status_code == 400
    assert says in refused.json()["error"]["message"]


async def test_preview_names_who_gains_who_loses_and_what_to_look_at_twice(people):
    wanted = {**NOW, "compliance": ["auditor", "policy-author"], "leads": ["reviewer"]}
    found = (await people["carol"].post(f"{MAPPING}/preview", {"roles": wanted})).json()
    assert found["takes_two_people"]
    (bob,) = found["people"]
    assert (bob["id"], bob["gains"], bob["loses"]) == ("company|bob", ["policy-author"], [])
    assert any("leads" in warning for warning in found["warnings"])
    conflict = {**NOW, "studio-leads": ["auditor"]}
    found = (await people["carol"].post(f"{MAPPING}/preview", {"roles": conflict})).json()
    (erin,) = found["people"]
    assert (erin["conflicts"], erin["loses"]) == (["admin", "auditor"], ["admin"])
    assert any("Erin" in warning and "neither" in warning for warning in found["warnings"])


async def test_two_proposals_upon_one_mapping_only_the_first_is_carried_out(door, people):
    first = await propose(people["carol"])
    second = await propose(people["carol"], {**NOW, "leads": ["policy-author"]})
    assert (await decide(people["dan"], first)).status_code == 200
    late = await decide(people["dan"], second)
    assert late.status_code == 400
    assert "changed since" in late.text
    assert (await people["carol"].get(MAPPING)).json()["roles"] == WIDER
    words = (await people["dan"].get(f"{PROPOSALS}/{second['id']}")).json()["wording"]
    assert any("can't be carried out" in warning for warning in words["warnings"])


async def test_at_the_same_moment_too(door, people):
    asked = [await propose(people["carol"]), await propose(people["carol"], {**NOW, "leads": ["policy-author"]})]
    answers = await asyncio.gather(*(decide(people["dan"], one) for one in asked))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    async with door.services.database.reading() as tx:
        stored = (await tx.execute(select(role_mappings.c.version))).scalars().all()
        approved = (await tx.execute(select(proposals.c.id).where(proposals.c.status == "approved"))).scalars().all()
    assert (len(stored), len(approved)) == (1, 1)


async def test_rejected_and_withdrawn_proposals_do_nothing_and_are_on_record(door, people):
    rejected, withdrawn = await propose(people["carol"]), await propose(people["carol"])
    assert (await decide(people["dan"], rejected, "reject")).json()["status"] == "rejected"
    assert (await decide(people["dan"], withdrawn, "withdraw")).status_code == 403
    assert (await decide(people["carol"], withdrawn, "withdraw")).json()["status"] == "withdrawn"
    for proposal in (rejected, withdrawn):
        assert (await decide(people["dan"], proposal)).status_code == 400
    assert (await people["carol"].get(MAPPING)).json()["version"] == 0
    assert len(await door.records("auth:proposal:reject")) == 1
    assert len(await door.records("auth:proposal:withdraw")) == 1
    listed = (await people["dan"].get(f"{PROPOSALS}?status=all")).json()["data"]
    assert {one["status"] for one in listed} == {"rejected", "withdrawn"}
    assert (await people["dan"].get(PROPOSALS)).json()["data"] == []


async def test_another_process_holds_to_it_within_a_second(door, people):
    services = door.services
    roles = RoleMap(services.settings.identity.roles)
    other = LiveMapping(services.database, roles, services.clock, services.identity.notices)
    watching = asyncio.create_task(other.watch())
    await decide(people["dan"], await propose(people["carol"]))
    began = time.monotonic()
    while "studio-leads" not in roles.in_force:
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.02)
    watching.cancel()


async def test_a_gateway_that_starts_holds_to_the_newest_version_and_not_to_the_settings(door, people):
    await decide(people["dan"], await propose(people["carol"]))
    services = door.services
    roles = RoleMap(services.settings.identity.roles)
    await LiveMapping(services.database, roles, services.clock, services.identity.notices).refresh()
    assert roles.in_force["studio-leads"] == {"reviewer"}
