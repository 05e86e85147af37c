"""Who was turned away with something real in hand is on record: told, bounded, and refused whatever the log says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from audit import AuditUnavailable
from demo.idp.browserless import sign_in
from gateway.exchange import Origin
from gateway.identity.api_keys import PREFIX, checksum
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]


async def key_of_alice(house: Any, browser: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, str]]:
    await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
    unsafe = {"x-csrf-token": (await browser.get("/v1/session")).json()["csrf_token"], "origin": PUBLIC_URL}
    asked = {"name": "script", "scopes": ["model:list"], "days": 1}
    return (await browser.post("/v1/keys", json=asked, headers=unsafe)).raise_for_status().json(), unsafe


async def use(house: Any, key: str) -> int:
    async with house.browser() as program:
        return (await program.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code


async def test_a_revoked_key_in_use_is_told_once_an_hour_with_whose_it_was(house: Any) -> None:
    async with house.browser() as alice:
        key, unsafe = await key_of_alice(house, alice)
        await alice.delete(f"/v1/keys/{key['id']}", headers=unsafe)
    for _ in range(3):
        assert await use(house, key["key"]) == 401
    (row,) = [row for row in await house.records("auth:key:refuse") if row.reasons == ("subject.key-revoked",)]
    assert (row.effect, row.subject.actor) == ("deny", "canaille|alice")
    content = await house.content_of(row)
    assert content["key"] == key["id"]
    assert key["key"] not in str(content)
    real = house.services.clock
    away = house.services.identity.authenticator._on_refused_key.__self__
    away._clock = lambda: real() + timedelta(hours=1, seconds=1)
    try:
        await use(house, key["key"])
    finally:
        away._clock = real
    assert len(await house.records("auth:key:refuse")) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [("expired", "subject.key-expired"), ("suspended", "subject.suspended"), ("away", "subject.not-seen")],
)
async def test_every_way_a_key_can_be_over_is_told_by_its_name(house: Any, change: str, reason: str) -> None:
    async with house.browser() as alice:
        key, _ = await key_of_alice(house, alice)
    identity = house.services.identity
    real = identity.authenticator._clock
    shift = {"expired": timedelta(days=2), "away": timedelta(days=31)}.get(change, timedelta())
    if change == "suspended":
        await identity.people.set_status("canaille|alice", "suspended")
    identity.authenticator._clock = lambda: real() + shift
    try:
        if change == "away":  # a key that lives longer than its owner was seen
            found = await identity.authenticator._api_keys.find(key["key"])
            object.__setattr__(found.info, "expires_at", real() + timedelta(days=90))
            assert identity.authenticator._fault_of(found, None, Origin(ip="127.0.0.1")) == "owner-not-seen"
            await identity.authenticator._on_refused_key("owner-not-seen", found, Origin(ip="127.0.0.1"))
        else:
            assert await use(house, key["key"]) == 401
    finally:
        identity.authenticator._clock = real
        if change == "suspended":
            await identity.people.set_status("canaille|alice", "active")
    assert (await house.records("auth:key:refuse"))[0].reasons == (reason,)


async def test_a_key_that_nobody_made_writes_nothing(house: Any) -> None:
    """Else anybody on the network could fill the log."""
    before = len(await house.records("auth:key:refuse"))
    body = PREFIX + "A" * 44
    for key in (body + checksum(body), "imp_pat_nonsense"):
        assert await use(house, key) == 401
    assert len(await house.records("auth:key:refuse")) == before


async def test_forms_of_other_sites_are_told_once_a_minute_with_their_number(house: Any) -> None:
    away = house.services.identity._on_foreign_form.__self__
    away._form_told, away._forms = None, 0
    real, now = away._clock, away._clock()
    away._clock = lambda: now
    try:
        async with house.browser() as alice:
            await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])
            for _ in range(5):
                foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
                answer = await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=foreign)
                assert answer.json()["error"]["code"] == "csrf_refused"
            now += timedelta(seconds=61)
            await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=foreign)
    finally:
        away._clock = real
    later, first = await house.records("auth:form:refuse")
    assert (first.effect, first.reasons, first.subject.actor) == ("deny", ("request.foreign-form",), "-")
    assert [(await house.content_of(row))["times"] for row in (first, later)] == [1, 5]
    assert (await house.content_of(first))["sent_from"] == "https://evil.example"


async def test_the_refusal_stands_when_the_log_takes_nothing_and_is_told_later(house: Any, monkeypatch: Any) -> None:
    async with house.browser() as alice:
        key, unsafe = await key_of_alice(house, alice)
        await alice.delete(f"/v1/keys/{key['id']}", headers=unsafe)

    async def unavailable(*_: object, **__: object) -> None:
        raise AuditUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(house.services.audit, "note", unavailable)
        assert await use(house, key["key"]) == 401
    assert await house.records("auth:key:refuse") == ()
    assert await use(house, key["key"]) == 401
    assert len(await house.records("auth:key:refuse")) == 1
