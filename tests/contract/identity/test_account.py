"""One's own account: what happened, where one is signed in, and ending it, seen by nobody else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from demo.idp.browserless import sign_in
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

JSON = {"accept": "application/json"}


async def account(browser: httpx.AsyncClient) -> dict[str, Any]:
    answer = await browser.get("/account", headers=JSON)
    return answer.raise_for_status().json() if answer.status_code == 200 else {"status": answer.status_code}


async def post(browser: httpx.AsyncClient, path: str) -> int:
    token = (await browser.get("/v1/session")).json()["csrf_token"]
    return (await browser.post(path, data={"csrf_token": token}, headers={"origin": PUBLIC_URL})).status_code


async def test_a_new_browser_is_told_once_and_waits_until_it_is_seen(house: Any) -> None:
    async with house.browser() as alice:
        before = len([n for n in await _notices(house, "alice") if n["kind"] == "new-browser"])
        await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])
        told = [n for n in (await account(alice))["notices"] if n["kind"] == "new-browser"]
        assert len(told) == before + 1
        assert told[0]["seen"] is False
        assert told[0]["facts"]["network"]
        await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])  # the same browser: known now
        assert len([n for n in (await account(alice))["notices"] if n["kind"] == "new-browser"]) == before + 1
        assert await post(alice, "/account/notices/seen") == 303
        assert all(n["seen"] for n in (await account(alice))["notices"])


async def _notices(house: Any, name: str) -> list[dict[str, Any]]:
    found = await house.services.identity.notices.of(f"canaille|{name}")
    return [{"kind": notice.kind.value} for notice in found]


async def test_a_session_elsewhere_is_ended_from_here_and_on_record(house: Any) -> None:
    async with house.browser() as here, house.browser() as elsewhere, house.browser() as bob:
        await sign_in(elsewhere, PUBLIC_URL, house.idp.people["alice"])
        there = next(s for s in (await account(elsewhere))["sessions"] if s["is_this_one"])
        await sign_in(here, PUBLIC_URL, house.idp.people["alice"])
        assert there["id"] in [s["id"] for s in (await account(here))["sessions"]]
        await sign_in(bob, PUBLIC_URL, house.idp.people["bob"])
        assert there["id"] not in [s["id"] for s in (await account(bob))["sessions"]]
        assert await post(bob, f"/account/sessions/{there['id']}/end") == 404
        assert "sessions" in await account(elsewhere)
        assert await post(here, f"/account/sessions/{there['id']}/end") == 303
        assert (await elsewhere.get("/v1/session")).status_code == 401
        assert await post(here, f"/account/sessions/{there['id']}/end") == 404
        (row, *_) = await house.records("auth:session:end")
        assert (await house.content_of(row))["credential"] == there["id"]


async def test_it_is_for_people_in_a_browser(house: Any) -> None:
    async with house.browser() as alice, house.browser() as program:
        assert (await program.get("/account", headers=JSON)).status_code == 401
        await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])
        token = (await alice.get("/v1/session")).json()["csrf_token"]
        asked = {"name": "script", "scopes": ["model:list"], "days": 1}
        headers = {"x-csrf-token": token, "origin": PUBLIC_URL}
        key = (await alice.post("/v1/keys", json=asked, headers=headers)).json()["key"]
        answer = await program.get("/account", headers={**JSON, "authorization": f"Bearer {key}"})
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/account/notices/seen", "/account/sessions/session-x/end"])
async def test_other_sites_can_not_press_its_buttons(house: Any, path: str) -> None:
    async with house.browser() as alice:
        await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])
        assert (await alice.post(path, data={}, headers={"origin": "https://evil.example"})).status_code == 403


async def test_a_flood_of_bad_keys_is_one_record_and_then_told_to_wait(house: Any) -> None:
    async with house.browser() as program:
        bad = {"authorization": "Bearer imp_pat_" + "x" * 50}
        codes = [(await program.get("/v1/models", headers=bad)).status_code for _ in range(30)]
        assert codes == [401] * codes.index(429) + [429] * (30 - codes.index(429))
        answer = await program.get("/v1/models", headers=bad)
        assert int(answer.headers["retry-after"]) > 0
    (row,) = await house.records("auth:session:throttle")
    assert row.reasons == ("subject.throttled",)
