"""Services over HTTP: who may, what is on record, and in which order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import forge
from tests.support.front_door import URL, FrontDoor, open_front_door
from tests.support.issuer import Issuer

ACCOUNTS = "/v1/organization/service_accounts"
WANTED = {
    "name": "newsletter",
    "description": "Writes the newsletter",
    "owner": "company|alice",
    "scopes": ["image:generate", "model:list"],
    "networks": ["10.0.0.0/8"],
    "client_provider": "company",
    "client_subject": "svc-1",
    "note": "The newsletter goes out at night",
}


@pytest.fixture
async def door(tmp_path: Path, listening_issuer: Issuer) -> AsyncIterator[FrontDoor]:
    listening_issuer.forget()
    listening_issuer.now = time.time
    async with open_front_door(tmp_path, listening_issuer, access_token_audience=forge.RESOURCE) as door:
        yield door


class Person:
    """A browser with somebody signed in, and what its pages send along."""

    def __init__(self, browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.browser = browser
        self.headers = headers

    async def get(self, path: str) -> httpx.Response:
        return await self.browser.get(path)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.browser.post(path, json=body, headers=self.headers)

    async def delete(self, path: str) -> httpx.Response:
        return await self.browser.delete(path, headers=self.headers)

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """A page's form."""
        form = {"csrf_token": self.headers["x-csrf-token"], **fields}
        headers = {"origin": URL, "sec-fetch-site": "same-origin", "accept": "text/html"}
        return await self.browser.post(path, data=form, headers=headers)


@pytest.fixture
async def people(door: FrontDoor) -> AsyncIterator[dict[str, Person]]:
    found = {}
    for name, group in (("alice", "staff"), ("bob", "compliance"), ("carol", "platform"), ("dan", "platform")):
        browser = door.browser("10.0.0.9")
        await door.sign_in(browser, name, group)
        found[name] = Person(browser, await door.page_headers(browser))
    yield found
    for person in found.values():
        await person.browser.aclose()


async def approve(people: dict[str, Person], id: str, by: str = "dan") -> None:
    """A second person reads it and agrees."""
    read = (await people[by].get(f"/v1/organization/proposals/{id}")).json()
    answer = await people[by].post(f"/v1/organization/proposals/{id}/approve", {"digest": read["digest"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "approved"


@pytest.fixture
async def account(door: FrontDoor, people: dict[str, Person]) -> dict[str, Any]:
    asked = await people["carol"].post(ACCOUNTS, WANTED)
    await approve(people, asked.json()["id"])
    found: dict[str, Any] = (await people["carol"].get(f"{ACCOUNTS}/newsletter")).json()
    return found


async def key_of(people: dict[str, Person], **changes: Any) -> dict[str, Any]:
    carol = people["carol"]
    asked = await carol.post(
        f"{ACCOUNTS}/newsletter/api_keys",
        {"name": "robot", "scopes": ["model:list"], "days": 30, "note": "x", **changes},
    )
    assert asked.status_code == 202, asked.text
    await approve(people, asked.json()["id"])
    made = await carol.post(f"{ACCOUNTS}/api_keys/{asked.json()['id']}/collect")
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    return {**made.json(), "proposal": asked.json()["id"]}


async def test_service_is_proposed_on_record_and_shown_once_agreed(door, people):
    asked = await people["carol"].post(ACCOUNTS, WANTED)
    assert asked.status_code == 202, asked.text
    proposal = asked.json()
    assert (proposal["kind"], proposal["status"], proposal["proposed_by"]) == (
        "service-account",
        "open",
        "company|carol",
    )
    (row,) = await door.records("auth:proposal:submit")
    content = await door.content_of(row)
    assert (content["proposal"], content["digest"]) == (proposal["id"], proposal["digest"])
    assert content["payload"]["after"]["owner"] == "company|alice"
    assert (await people["carol"].get(ACCOUNTS)).json()["data"] == []
    own = await people["carol"].post(
        f"/v1/organization/proposals/{proposal['id']}/approve", {"digest": proposal["digest"]}
    )
    assert own.status_code == 403
    await approve(people, proposal["id"])
    (created,) = await door.records("auth:service:create")
    assert (await door.content_of(created))["payload"]["after"]["owner"] == "company|alice"
    (one,) = (await people["carol"].get(ACCOUNTS)).json()["data"]
    assert one["id"] == "service|newsletter"
    assert (one["role"], one["status"], one["trouble"], one["approved_by"]) == (
        "service",
        "active",
        None,
        "company|dan",
    )


async def test_only_administrators_come_near(door, people, account):
    key = await key_of(people)
    attempts = [
        ("GET", ACCOUNTS, None),
        ("POST", ACCOUNTS, WANTED),
        ("GET", f"{ACCOUNTS}/newsletter", None),
        ("POST", f"{ACCOUNTS}/newsletter", {"scopes": []}),
        ("DELETE", f"{ACCOUNTS}/newsletter", None),
        ("GET", f"{ACCOUNTS}/newsletter/api_keys", None),
        ("POST", f"{ACCOUNTS}/newsletter/api_keys", {"name": "x", "note": "x"}),
        ("POST", f"{ACCOUNTS}/api_keys/{key['proposal']}/collect", None),
        ("DELETE", f"{ACCOUNTS}/newsletter/api_keys/{key['id']}", None),
    ]
    for name in ("alice", "bob"):
        for method, path, body in attempts:
            answer = await people[name].browser.request(method, path, json=body, headers=people[name].headers)
            assert answer.status_code == 403, (name, method, path, answer.text)
    async with door.browser("10.0.0.9") as nobody:
        for method, path, body in attempts:
            by_key = {"authorization": f"Bearer {key['value']}"}
            assert (await nobody.request(method, path, json=body)).status_code == 401
            assert (await nobody.request(method, path, json=body, headers=by_key)).status_code == 403
    assert (await people["carol"].get(f"{ACCOUNTS}/newsletter")).json() == account


async def test_key_is_collected_on_record_used_within_its_network_and_revoked(door, people, account):
    key = await key_of(people, networks=["10.0.0.0/16"])
    assert key["value"].startswith("imp_svc_")
    (row,) = await door.records("auth:key:mint")
    content = await door.content_of(row)
    assert (content["key"], content["service"], content["proposal"]) == (
        key["id"],
        "service|newsletter",
        key["proposal"],
    )
    assert key["value"] not in str(content)
    bearer = {"authorization": f"Bearer {key['value']}"}
    async with door.browser("10.0.0.77", **bearer) as inside, door.browser("10.1.0.77", **bearer) as outside:
        seen = await inside.get("/v1/models")
        assert seen.status_code in (200, 502, 503), seen.text  # let in: the image server itself is down here
        for _ in range(2):
            assert (await outside.get("/v1/models")).status_code == 401
        (refused,) = await door.records("auth:key:refuse")
        assert refused.reasons == ("network.not-of-key",)
        assert (await door.content_of(refused))["ip"] == "10.1.0.77"
        (shown,) = (await people["carol"].get(f"{ACCOUNTS}/newsletter/api_keys")).json()["data"]
        assert (shown["last_used_from"], shown["minted_by"]) == ("10.0.0.77", "company|carol")
        assert "value" not in shown
        again = await people["carol"].post(f"{ACCOUNTS}/api_keys/{key['proposal']}/collect")
        assert again.status_code == 400
        gone = await people["dan"].delete(f"{ACCOUNTS}/newsletter/api_keys/{key['id']}")
        assert gone.json()["deleted"] is True
        assert (await inside.get("/v1/models")).status_code == 401
    (row,) = await door.records("auth:key:revoke")
    assert (await door.content_of(row))["key"] == key["id"]


async def test_policy_lets_a_service_make_pictures_within_its_scopes_and_records_it_by_name(door, people, account):
    able = await key_of(people, scopes=["image:generate"])
    unable = await key_of(people, scopes=["model:list"])
    ask = {"prompt": "a fox", "n": 1}
    async with door.browser("10.0.0.77") as program:
        made = await program.post(
            "/v1/images/generations", json=ask, headers={"authorization": f"Bearer {able['value']}"}
        )
        assert made.status_code in (502, 503), made.text  # the image server itself is down here
        refused = await program.post(
            "/v1/images/generations", json=ask, headers={"authorization": f"Bearer {unable['value']}"}
        )
        assert refused.status_code == 403
        assert {reason["code"] for reason in refused.json()["error"]["reasons"]} == {"subject.scope-missing"}
    rows = await door.records("image:generate")
    assert {(row.subject.actor, row.effect) for row in rows} == {
        ("service|newsletter", "failed"),
        ("service|newsletter", "deny"),
    }


async def test_service_comes_in_by_its_provider_s_token(door, people, account):
    claims = forge.good_claims("access-token", int(time.time()), door.issuer.url)
    claims |= {"sub": "svc-1", "client_id": "svc-1", "scope": "model:list", "jti": "one"}
    bearer = {"authorization": f"Bearer {forge.token(forge.good_header('access-token'), claims)}"}
    async with door.browser("10.9.9.9", **bearer) as inside, door.browser("192.0.2.1", **bearer) as outside:
        assert (await inside.get("/v1/models")).status_code in (200, 502, 503)
        assert (await outside.get("/v1/models")).status_code == 401
        me = await inside.get("/v1/credits")
        assert me.status_code in (403, 404), me.text
        (refused,) = await door.records("auth:key:refuse")
        content = await door.content_of(refused)
        assert (content["fault"], refused.subject.actor) == ("network-not-of-key", "service|newsletter")


async def test_narrowing_is_done_at_once_and_widening_waits(door, people, account):
    carol = people["carol"]
    done = await carol.post(f"{ACCOUNTS}/newsletter", {"scopes": ["model:list"]})
    assert (done.status_code, done.json()["scopes"]) == (200, ["model:list"])
    (row,) = await door.records("auth:service:change")
    content = await door.content_of(row)
    assert content["before"]["scopes"] == ["image:generate", "model:list"]
    assert content["after"]["scopes"] == ["model:list"]
    asked = await carol.post(f"{ACCOUNTS}/newsletter", {"scopes": ["image:generate", "model:list"], "note": "again"})
    assert asked.status_code == 202
    assert (await carol.get(f"{ACCOUNTS}/newsletter")).json()["scopes"] == ["model:list"]
    await approve(people, asked.json()["id"])
    assert (await carol.get(f"{ACCOUNTS}/newsletter")).json()["scopes"] == ["image:generate", "model:list"]


async def test_service_is_switched_off_at_once(door, people, account):
    off = await people["dan"].delete(f"{ACCOUNTS}/newsletter")
    assert off.json() == {
        "object": "organization.service_account.deleted",
        "id": "service|newsletter",
        "deleted": True,
        "status": "disabled",
    }
    found = (await people["carol"].get(f"{ACCOUNTS}/newsletter")).json()
    assert (found["status"], found["trouble"]) == ("disabled", "service-disabled")
    (row,) = await door.records("auth:service:disable")
    assert (await door.content_of(row))["service"] == "service|newsletter"
    on = await people["dan"].post(f"{ACCOUNTS}/newsletter", {"is_enabled": True, "note": "needed again"})
    assert on.status_code == 202


@pytest.mark.parametrize("name", ["nobody", "New", "service|newsletter", "x" * 60])
async def test_unknown_service_is_not_found(door, people, name):
    assert (await people["carol"].get(f"{ACCOUNTS}/{name}")).status_code == 404
    assert (await people["carol"].delete(f"{ACCOUNTS}/{name}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        WANTED | {"networks": ["10.1.1.1/8"]},
        WANTED | {"scopes": ["key:manage"]},
        WANTED | {"owner": "company|nobody"},
        WANTED | {"note": ""},
        WANTED | {"extra": 1},
    ],
)
async def test_odd_service_is_refused_without_a_record(door, people, body):
    assert (await people["carol"].post(ACCOUNTS, body)).status_code == 400
    assert await door.records("auth:proposal:submit") == ()


async def test_nothing_opens_when_the_log_is_away_and_what_closes_still_does(door, people, account, monkeypatch):
    key = await key_of(people)
    waiting = await people["carol"].post(
        f"{ACCOUNTS}/newsletter/api_keys", {"name": "two", "scopes": [], "days": 1, "note": "x"}
    )
    await approve(people, waiting.json()["id"])

    async def away(*_: Any, **__: Any) -> None:
        from audit import AuditUnavailable

        raise AuditUnavailable("away")

    monkeypatch.setattr(type(door.services.audit), "note", away)
    carol, desk = people["carol"], door.services.identity.services
    assert (
        await carol.post(ACCOUNTS, WANTED | {"name": "other", "client_provider": "", "client_subject": ""})
    ).status_code == 503
    assert (await carol.post(f"{ACCOUNTS}/api_keys/{waiting.json()['id']}/collect")).status_code == 503
    assert [one.id for one in await desk.keys_of(await desk.get("newsletter"))] == [key["id"]]
    assert len(await door.services.identity.proposals.list(["service-account", "service-key"], only_open=True)) == 0
    assert (await carol.delete(f"{ACCOUNTS}/newsletter/api_keys/{key['id']}")).status_code == 503
    assert (await carol.delete(f"{ACCOUNTS}/newsletter")).status_code == 503
    found = await desk.get("newsletter")
    assert not found.terms.is_enabled
    assert (await desk.keys_of(found))[0].revoked_at is not None


async def test_whoever_answers_for_a_service_is_told(door, people, account):
    await key_of(people)
    asked = await people["carol"].post(f"{ACCOUNTS}/newsletter", {"owner": "company|bob", "note": "moves"})
    await approve(people, asked.json()["id"])

    async def told(name: str) -> list[str]:
        return [n.facts.get("what", "") for n in await door.services.identity.notices.of(f"company|{name}")]

    assert sorted(filter(None, await told("alice"))) == ["it got a key", "it was changed", "it was made"]
    assert list(filter(None, await told("bob"))) == ["it was changed"]


async def test_whoever_has_a_new_key_is_told(door, people):
    await people["alice"].post("/v1/keys", {"name": "night script", "scopes": [], "days": 1})
    told = await door.services.identity.notices.of("company|alice")
    assert {"name": "night script", "network": "10.0.0.9"} in [dict(notice.facts) for notice in told]


async def test_person_s_key_says_its_networks(door, people):
    alice = people["alice"]
    made = await alice.post("/v1/keys", {"name": "s", "scopes": ["model:list"], "days": 1, "networks": ["10.0.0.9"]})
    assert made.json()["networks"] == ["10.0.0.9/32"]
    (row,) = await door.records("auth:key:mint")
    assert (await door.content_of(row))["networks"] == ["10.0.0.9/32"]
    odd = await alice.post("/v1/keys", {"name": "s", "networks": ["10.0.0.9/8"]})
    assert odd.status_code == 400
    assert "Did you mean 10.0.0.0/8" in odd.json()["error"]["message"]
    assert odd.json()["error"]["param"] == "networks"


async def test_pages_do_what_the_api_does(door, people, account):
    carol = people["carol"]
    sent = await carol.send("/services/newsletter/keys", key="robot", days="30", note="x", **{"scope.model:list": "on"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/services/newsletter")
    (proposal,) = await door.services.identity.services.open_proposals()
    assert dict(proposal.payload) == {
        "service": "service|newsletter",
        "name": "robot",
        "scopes": ["model:list"],
        "networks": [],
        "days": 30,
    }
    await approve(people, proposal.id)
    shown = await carol.send(f"/services/keys/{proposal.id}")
    assert shown.status_code == 200
    assert "imp_svc_" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    (key,) = (await carol.get(f"{ACCOUNTS}/newsletter/api_keys")).json()["data"]
    assert (await carol.send(f"/services/newsletter/keys/{key['id']}/revoke")).status_code == 303
    assert (await carol.get(f"{ACCOUNTS}/newsletter/api_keys")).json()["data"][0]["revoked_at"] is not None
    assert (await carol.send("/services/newsletter/switch", act="off")).status_code == 303
    assert (await carol.get(f"{ACCOUNTS}/newsletter")).json()["status"] == "disabled"
    assert (await carol.send("/services/newsletter/switch", act="sideways")).status_code == 400
    assert (await carol.send("/services/newsletter/switch", act="on", note="needed")).status_code == 303
    (again,) = await door.services.identity.services.open_proposals()
    assert again.payload["after"]["is_enabled"] is True
    assert (await carol.send("/services/newsletter/keys", key="r", days="ninety", note="x")).status_code == 400
    for page in ("/services", "/services/newsletter"):
        assert (await carol.get(page)).status_code == 200
        assert (await people["bob"].browser.get(page, headers={"accept": "text/html"})).status_code == 403


async def test_page_s_form_of_somebody_else_or_without_its_token_does_nothing(door, people, account):
    for path in (
        "/services",
        "/services/newsletter/change",
        "/services/newsletter/switch",
        "/services/newsletter/keys",
    ):
        assert (await people["alice"].send(path, act="off")).status_code == 403
        answer = await people["carol"].browser.post(
            path, data={"act": "off"}, headers={"origin": "https://evil.example"}
        )
        assert answer.status_code == 403
    assert (await people["carol"].get(f"{ACCOUNTS}/newsletter")).json() == account


async def test_form_comes_back_filled_from_a_fresh_second_factor(door, people):
    async with door.browser("10.0.0.9") as browser:
        door.issuer.auth_time = time.time() - 400
        await door.sign_in(browser, "erin", "platform")
        erin = Person(browser, await door.page_headers(browser))
        form = {
            "csrf_token": erin.headers["x-csrf-token"],
            "name": "slides",
            "description": "Pictures for slides",
            "owner": "company|alice",
            "networks": "10.1.0.0/16\r\n10.2.0.0/16",
            "scope.model:list": "on",
            "note": "because",
        }
        headers = {"origin": URL, "sec-fetch-site": "same-origin", "accept": "text/html", "referer": f"{URL}/services"}
        away = await browser.post("/services", data=form, headers=headers)
        assert away.status_code == 303, away.text
        assert away.headers["location"].startswith("/auth/step-up")
        door.issuer.auth_time = None
        back = await door.walk(browser, await browser.get(away.headers["location"]))
        assert back.headers["location"] == "/services"
        page = (await browser.get("/services", headers={"accept": "text/html"})).text
    for text in ('value="slides"', 'value="Pictures for slides"', 'value="company|alice"', "10.2.0.0/16", "because"):
        assert text in page
    assert await door.services.identity.services.open_proposals() == []
