"""Members that come and go by their ids are changed as the library would change them, without reading the group."""

from __future__ import annotations

import json
import random

import pytest
from scim2_models import Context, PatchOp

from gateway.scim.dialects import translate
from gateway.scim.members import MAX_WRITTEN, after, split
from gateway.scim.schemas import POLICY, Group, Member
from tests.support.directory import GROUP, PATCH
from tests.unit.scim.test_limits import fill

IDS = [f"id{n}" for n in range(6)]


def operation(chance: random.Random) -> dict[str, object]:
    """One as directories send it."""
    some = [{"value": id} for id in chance.sample(IDS, chance.randint(1, 4))]
    return chance.choice(
        [
            {"op": "Add", "path": "members", "value": some},
            {"op": "add", "path": "members", "value": some[0]},
            {"op": "add", "value": {"members": some}},
            {"op": "Replace", "path": "members", "value": some},
            {"op": "replace", "path": "members", "value": []},
            {"op": "Remove", "path": "members", "value": some},
            {"op": "remove", "path": f'members[value eq "{some[0]["value"]}"]'},
            {"op": "remove", "path": "members"},
        ]
    )


@pytest.mark.parametrize("seed", range(60))
def test_what_is_left_is_what_the_library_leaves(seed):
    chance = random.Random(seed)
    before = chance.sample(IDS, 3)
    body = {"schemas": [PATCH], "Operations": [operation(chance) for _ in range(chance.randint(1, 5))]}
    translated = translate("PATCH", "/Groups/g", json.dumps(body).encode())
    with POLICY:
        group = Group(display_name="g", members=[Member(value=id) for id in before])
        patch = PatchOp[Group].model_validate_json(translated, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        patch.patch(group)
    found = split(translated)
    assert found is not None
    steps, rest = found
    assert rest is None
    assert after(steps, frozenset(before)) == {member.value for member in group.members or []}, body


@pytest.mark.parametrize(
    "odd",
    [
        {"op": "remove", "path": 'members[type eq "User"]'},
        {"op": "remove", "path": 'members[value eq "a" or value eq "b"]'},
        {"op": "add", "path": "members", "value": [{"display": "somebody"}]},
        {"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}]},
        {"op": "add", "path": "members", "value": ["a"]},
        {"op": "move", "path": "members", "value": [{"value": "a"}]},
        {"op": "replace", "path": 'members[value eq "a"].type', "value": "User"},
        {"op": "remove", "path": "members.value"},
        "text",
    ],
)
def test_what_is_not_by_id_is_left_to_the_library(odd):
    assert split(json.dumps({"Operations": [odd]}).encode()) is None


async def test_a_rename_and_members_in_one_patch_are_both_done(directory):
    alice, bob = await directory.hire("alice"), await directory.hire("bob")
    group = await directory.group("old", alice)
    said = await directory.patch(
        f"/Groups/{group}",
        {"op": "replace", "path": "displayName", "value": "new"},
        {"op": "add", "path": "members", "value": [{"value": bob}]},
        {"op": "remove", "path": f'members[value eq "{alice}"]'},
    )
    assert said.status == 204
    found = (await directory.send("GET", f"/Groups/{group}")).json
    assert (found["displayName"], [member["value"] for member in found["members"]]) == ("new", [bob])
    record = directory.log.last("auth:group:change")
    assert (record["added"], record["removed"], record["changed"]) == ([bob], [alice], ["displayName"])


async def test_a_member_who_is_nobody_changes_nothing(directory):
    alice = await directory.hire("alice")
    group = await directory.group("g", alice)
    said = await directory.patch(
        f"/Groups/{group}",
        {"op": "replace", "path": "displayName", "value": "new"},
        {"op": "add", "path": "members", "value": [{"value": "nobody"}]},
    )
    assert (said.status, said.json["scimType"]) == (400, "invalidValue")
    assert (await directory.send("GET", f"/Groups/{group}")).json["displayName"] == "g"


async def test_what_is_so_already_is_neither_recorded_nor_a_new_version(directory):
    alice = await directory.hire("alice")
    group = await directory.group("g", alice)
    version, number = (await directory.send("GET", f"/Groups/{group}")).headers["ETag"], len(directory.log.entries)
    said = await directory.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": alice}]})
    assert (said.status, said.headers["ETag"]) == (204, version)
    assert len(directory.log.entries) == number
    said = await directory.patch(
        f"/Groups/{group}", {"op": "remove", "path": "members"}, headers={"if-match": 'W/"77"'}
    )
    assert said.status == 412


async def test_an_empty_patch_is_refused(directory):
    group = await directory.group("g")
    assert (await directory.patch(f"/Groups/{group}")).status == 400


async def test_a_large_group_is_changed_by_id_and_nothing_else(directory, database, moment):
    await fill(database, moment, MAX_WRITTEN + 200)
    ids = [f"company-{n:06}" for n in range(MAX_WRITTEN + 200)]
    body = {"schemas": [GROUP], "displayName": "all", "members": [{"value": id} for id in ids]}
    said = await directory.send("POST", "/Groups", body)
    assert (said.status, "by PATCH" in said.json["detail"]) == (413, True)
    group = await directory.group("all")
    add = {"op": "add", "path": "members", "value": [{"value": id} for id in ids]}
    assert (await directory.patch(f"/Groups/{group}", add)).status == 204
    removals = [{"op": "remove", "path": f'members[value eq "{id}"]'} for id in ids[:100]]
    assert (await directory.patch(f"/Groups/{group}", *removals)).status == 204
    assert len((await directory.send("GET", f"/Groups/{group}")).json["members"]) == MAX_WRITTEN + 100
    said = await directory.patch(f"/Groups/{group}", {"op": "remove", "path": 'members[type eq "User"]'})
    assert (said.status, said.json["scimType"]) == (400, "tooMany")
