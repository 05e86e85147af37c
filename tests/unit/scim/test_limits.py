"""How much a directory may ask for, and what it hears when it asks for more or for something wrong."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from gateway.identity.tables import scim_groups, scim_users
from gateway.scim import filters
from gateway.scim.facade import MAX_BODY_BYTES
from gateway.scim.schemas import PAGE_RESOURCES
from gateway.scim.service import MAX_FILTER
from tests.support.directory import GROUP, USER

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


async def fill(database, moment, number, provider="company"):
    """So many users, straight into the table."""
    rows = [
        {
            "id": f"{provider}-{n:06}",
            "provider": provider,
            "user_name": f"user{n}",
            "external_id": f"{n}",
            "actor": f"{provider}|{n}",
            "is_active": True,
            "resource": {"userName": f"User{n}", "externalId": f"{n}", "title": "x", "active": True},
            "version": 1,
            "created_at": moment(),
            "modified_at": moment(),
        }
        for n in range(number)
    ]
    async with database.transaction() as tx:
        for start in range(0, number, 500):
            await tx.execute(insert(scim_users), rows[start : start + 500])


async def test_a_body_that_is_too_large_is_not_looked_at(directory):
    said = await directory.send("POST", "/Users", b" " * (MAX_BODY_BYTES + 1))
    assert (said.status, said.json["schemas"]) == (413, [ERROR])


async def test_pages_have_an_end_and_follow_each_other(directory, database, moment):
    await fill(database, moment, PAGE_RESOURCES + 5)
    first = (await directory.send("GET", "/Users?count=100000")).json
    assert (first["totalResults"], first["itemsPerPage"]) == (PAGE_RESOURCES + 5, PAGE_RESOURCES)
    second = (await directory.send("GET", f"/Users?startIndex={PAGE_RESOURCES + 1}&count=100")).json
    assert second["itemsPerPage"] == 5
    ids = [user["id"] for user in first["Resources"] + second["Resources"]]
    assert len(set(ids)) == PAGE_RESOURCES + 5
    assert (await directory.send("GET", "/Users?count=0")).json["itemsPerPage"] == 0


async def test_a_directory_sees_its_own_people_only(directory, database, moment):
    await fill(database, moment, 3, provider="elsewhere")
    id = await directory.hire("alice")
    assert (await directory.send("GET", "/Users")).json["totalResults"] == 1
    assert (await directory.send("GET", '/Users?filter=userName eq "user1"')).json["totalResults"] == 0
    for method in ("GET", "DELETE"):
        assert (await directory.send(method, "/Users/elsewhere-000001")).status == 404
    said = await directory.set_active("elsewhere-000001", False)
    assert said.status == 404
    body = {"schemas": [GROUP], "displayName": "g", "members": [{"value": "elsewhere-000001"}, {"value": id}]}
    said = await directory.send("POST", "/Groups", body)
    assert (said.status, said.json["scimType"]) == (400, "invalidValue")
    group = await directory.group("g", id)
    add = {"op": "add", "path": "members", "value": [{"value": "elsewhere-000001"}]}
    said = await directory.patch(f"/Groups/{group}", add)
    assert (said.status, said.json["scimType"]) == (400, "invalidValue")


@pytest.mark.parametrize("where", ["query", "body"])
async def test_a_filter_is_measured_before_it_is_parsed(where, directory):
    filter = " or ".join(['userName eq "x"'] * (MAX_FILTER // 10))
    if where == "query":
        said = await directory.send("GET", f"/Users?filter={filter}")
    else:
        said = await directory.send("POST", "/Users/.search", {"filter": filter})
    assert (said.status, said.json["scimType"]) == (400, "invalidFilter")
    assert "1,000 characters" in said.json["detail"]


@pytest.mark.parametrize(
    "filter", ["(" * 480 + 'title eq "x"' + ")" * 480, "not (" * 160 + "title pr" + ")" * 160, 'userName eq "x', "x"]
)
async def test_a_filter_that_can_not_be_read_is_an_answer_and_no_crash(filter, directory):
    said = await directory.send("GET", f"/Users?filter={filter}")
    assert said.status in (200, 400)
    assert said.status == 200 or said.json["scimType"] in ("invalidFilter", "invalidPath")


async def test_a_search_that_would_look_at_everybody_is_refused_and_by_name_it_is_not(directory, database, moment):
    await fill(database, moment, filters.MAX_JUDGED + 1)
    said = await directory.send("GET", '/Users?filter=title eq "x"')
    assert (said.status, said.json["scimType"]) == (400, "tooMany")
    for filter in (
        'userName eq "USER7"',
        'externalId eq "7"',
        'id eq "company-000007"',
        'userName eq "user7" and title pr',
    ):
        said = await directory.send("GET", f"/Users?filter={filter}")
        assert [user["userName"] for user in said.json["Resources"]] == ["User7"], filter
    said = await directory.send("GET", '/Users?filter=userName eq "user7" or userName eq "user8"&sortBy=userName')
    assert [user["userName"] for user in said.json["Resources"]] == ["User7", "User8"]


@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_what_the_database_sorts_is_sorted_as_the_library_would(order, directory, database):
    for name in ("bob", "Alice", "carol"):
        await directory.hire(name, title=name)
    by_column = await directory.send("GET", f"/Users?sortBy=userName&sortOrder={order}")
    by_hand = await directory.send("GET", f"/Users?sortBy=title&sortOrder={order}")
    names = [user["userName"] for user in by_column.json["Resources"]]
    assert names == [user["userName"] for user in by_hand.json["Resources"]]
    assert names == (["Alice", "bob", "carol"] if order == "ascending" else ["carol", "bob", "Alice"])


async def test_versions_are_checked(directory):
    id = await directory.hire("alice")
    first = (await directory.send("GET", f"/Users/{id}")).headers["ETag"]
    assert (await directory.send("GET", f"/Users/{id}", headers={"if-none-match": first})).status == 304
    replace = {"op": "replace", "path": "title", "value": "x"}
    assert (await directory.patch(f"/Users/{id}", replace, headers={"if-match": first})).status == 200
    for said in (
        await directory.patch(f"/Users/{id}", replace, headers={"if-match": first}),
        await directory.send("DELETE", f"/Users/{id}", headers={"if-match": first}),
    ):
        assert (said.status, said.json["status"]) == (412, "412")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/Bulk", 501),
        ("GET", "/Me", 501),
        ("GET", "/Unknown", 404),
        ("GET", "/Users/a/b", 404),
        ("PUT", "/Users", 405),
        ("PATCH", "/Groups", 405),
    ],
)
async def test_what_is_not_offered_is_said_in_scims_words(method, path, status, directory):
    said = await directory.send(method, path, {"schemas": [USER]})
    assert (said.status, said.json["schemas"], said.json["status"]) == (status, [ERROR], str(status))


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        (b"{", "invalidSyntax"),
        (b"[]", "invalidSyntax"),
        ({"schemas": [USER]}, "invalidValue"),
        ({"schemas": [USER], "userName": ""}, "invalidValue"),
        ({"schemas": [USER], "userName": "x" * 256}, "invalidValue"),
        ({"schemas": [USER], "userName": "x", "externalId": "y" * 221}, "invalidValue"),
        ({"schemas": [USER], "userName": "x", "externalId": "a\nb"}, "invalidValue"),
        ({"schemas": [USER], "userName": "x\x00"}, "invalidValue"),
        ({"schemas": [USER], "userName": "x", "emails": [{"value": "\x00"}]}, "invalidValue"),
        ({"schemas": [USER], "userName": 7}, "invalidValue"),
        ({"schemas": [USER], "userName": "x", "active": "perhaps"}, "invalidValue"),
    ],
)
async def test_what_is_wrong_with_a_user_is_said(body, scim_type, directory, database):
    said = await directory.send("POST", "/Users", body)
    assert (said.status, said.json.get("scimType")) == (400, scim_type)
    async with database.reading() as tx:
        assert (await tx.execute(select(scim_users.c.id))).all() == []


@pytest.mark.parametrize(
    "body",
    [
        {"schemas": [GROUP]},
        {"schemas": [GROUP], "displayName": ""},
        {"schemas": [GROUP], "displayName": "x" * 256},
        {"schemas": [GROUP], "displayName": "g", "members": [{"value": "nobody"}]},
        {"schemas": [GROUP], "displayName": "g", "members": [{"value": "\x00"}]},
        {"schemas": [GROUP], "displayName": "g", "members": [{"value": "x", "type": "Group"}]},
    ],
)
async def test_what_is_wrong_with_a_group_is_said(body, directory, database):
    said = await directory.send("POST", "/Groups", body)
    assert (said.status, said.json["scimType"]) == (400, "invalidValue")
    async with database.reading() as tx:
        assert (await tx.execute(select(scim_groups.c.id))).all() == []


async def test_other_media_types_are_refused(directory):
    said = await directory.send("POST", "/Users", {}, headers={"content-type": "text/xml"})
    assert said.status == 415


async def test_passwords_and_what_else_we_do_not_need_is_not_kept(directory, database):
    await directory.hire(
        "alice", password="hunter2hunter2", phoneNumbers=[{"value": "+49 30 1234"}], addresses=[{"locality": "Berlin"}]
    )
    async with database.reading() as tx:
        row = (await tx.execute(select(scim_users))).one()
    kept = json.dumps(dict(row.resource))
    assert not any(word in kept for word in ("hunter2", "1234", "Berlin"))


@pytest.mark.parametrize(
    ("error", "status"),
    [(OperationalError("select", None, Exception("canary")), 503), (RuntimeError("canary of a value"), 500)],
)
async def test_a_crash_shows_no_stack_and_no_value(error, status, directory, caplog):
    with mock.patch.object(type(directory.scim._database), "reading", side_effect=error):
        said = await directory.send("GET", "/Users")
    assert (said.status, said.json["schemas"]) == (status, [ERROR])
    assert "canary" not in json.dumps(said.json)
    assert "canary" not in caplog.text
