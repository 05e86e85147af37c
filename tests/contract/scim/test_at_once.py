"""From the directory's request to the next one of whoever it took out: session, key, and what they had running."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.running import WATCH_SECONDS
from gateway.vocabulary import Code, Conclusion, Event

WITHIN_SECONDS = 5.0  # a second on a quiet machine; it is printed
BODY = {"prompt": "a lighthouse"}


async def until(condition):
    """Wait for something that is under way."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


async def test_a_deprovisioning_is_effective_within_a_second(house):
    id = await house.hire("alice")
    async with house.client() as browser:
        unsafe = await house.sign_in(browser)
        asked = {"name": "k", "scopes": ["image:generate", "model:list"]}
        key = (await browser.post("/v1/keys", json=asked, headers=unsafe)).raise_for_status().json()["key"]
        async with house.client(authorization=f"Bearer {key}") as program:
            assert (await program.get("/v1/models")).status_code == 200
            first = asyncio.create_task(program.post("/v1/images/generations", json=BODY))
            second = asyncio.create_task(browser.post("/v1/images/generations", json=BODY, headers=unsafe))
            await until(lambda: len(house.model.requests) == 2)
            before = time.perf_counter()
            await house.set_active(id, False)
            answers = [await program.get("/v1/models"), await browser.get("/v1/session")]
            stopped = [await first, await second]
            seconds = time.perf_counter() - before
    print(f"deprovisioned, refused and stopped in {seconds * 1e3:.0f} ms")
    assert [answer.status_code for answer in answers] == [401, 401]
    assert [answer.status_code for answer in stopped] == [403, 403]
    assert {answer.json()["error"]["code"] for answer in stopped} == {"stopped"}
    assert seconds < WITHIN_SECONDS
    await until(lambda: house.model.gone == 2)
    rows = await house.rows("image:generate")
    assert [(row.effect, row.reasons) for row in rows] == [
        (Conclusion.CANCELLED.value, (Code.SUBJECT_DEPROVISIONED.value,))
    ] * 2
    assert len(await house.rows(Event.PERSON_DEPROVISION.value)) == 1


async def test_a_stream_ends_with_the_reason(house):
    id = await house.hire("alice")
    async with house.client() as browser:
        unsafe = await house.sign_in(browser)
        seen = []
        async with browser.stream(
            "POST", "/v1/images/generations", json={**BODY, "stream": True}, headers=unsafe
        ) as answer:
            async for line in answer.aiter_lines():
                seen.append(line)
                if "progress" in line and line.startswith("event"):
                    await house.set_active(id, False)
    assert any('"stopped"' in line for line in seen), seen
    await until(lambda: house.model.gone == 1)


async def test_what_another_replica_wrote_stops_it_too(house):
    """Only the database says so: nobody calls this process."""
    id = await house.hire("alice")
    async with house.client() as browser:
        unsafe = await house.sign_in(browser)
        running = asyncio.create_task(browser.post("/v1/images/generations", json=BODY, headers=unsafe))
        await until(lambda: len(house.model.requests) == 1)
        house.services.scim._on_gone = lambda actor, code: 0
        before = time.perf_counter()
        await house.set_active(id, False)
        answer = await running
    assert answer.status_code == 403
    assert time.perf_counter() - before < WITHIN_SECONDS + WATCH_SECONDS


async def test_nothing_but_the_directorys_token_opens_its_routes(house):
    async with house.client() as browser:
        unsafe = await house.sign_in(browser)
        made = await browser.post("/v1/keys", json={"name": "k", "scopes": ["model:list"]}, headers=unsafe)
        key = made.json()["key"]
        answers = [
            await browser.get("/scim/v2/company/Users"),
            await browser.post("/scim/v2/company/Users", json={}, headers=unsafe),
            await browser.get("/scim/v2/company/Users", headers={"authorization": f"Bearer {key}"}),
        ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/scim+json"
        assert answer.headers["www-authenticate"] == 'Bearer realm="SCIM"'
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    async with house.directory() as directory:
        assert (await directory.get("/v1/models")).status_code == 401
        assert (await directory.get("/v1/session")).status_code in (200, 401)
        assert (await directory.get("/v1/keys")).status_code == 401


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "HEAD"])
async def test_a_method_that_is_not_there_gets_scims_own_answer(house, method):
    async with house.directory() as directory:
        answer = await directory.request(method, "/scim/v2/company/Users")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.headers["content-type"] == "application/scim+json"


async def test_a_large_body_is_refused_in_scims_own_form_however_it_comes(house):
    async def pieces():
        for _ in range(60):
            yield b" " * 10_000

    async with house.directory() as directory:
        answers = [
            await directory.post("/scim/v2/company/Users", content=b" " * 600_000),
            await directory.post("/scim/v2/company/Users", content=b" " * 1_100_000),
            await directory.post("/scim/v2/company/Users", content=pieces()),
        ]
    for answer in answers:
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/scim+json"
        assert answer.json()["status"] == "413"
