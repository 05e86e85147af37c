"""The admin plane of the log as OpenAI's own SDK reads it, by an auditor who signed in through the real provider."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, Omit

from audit import Query, Subject
from demo.idp.browserless import sign_in
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

LOGS = "/v1/organization/audit_logs"


async def as_bob(house: Any, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    await sign_in(browser, PUBLIC_URL, house.idp.people["bob"])
    return browser


async def test_the_unmodified_sdk_reads_events_in_pages_newest_first(house: Any) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        for _ in range(7):
            await browser.get("/audit/checkpoint")
            await browser.get("/audit?action=auth:session:start", headers={"accept": "application/json"})
        # The session stands in for an admin key: no API key may read the log (policies/gateway/config/roles).
        client = AsyncOpenAI(api_key="unused", admin_api_key="unused", base_url=f"{PUBLIC_URL}/v1", http_client=browser)
        seen = []
        async for event in client.admin.organization.audit_logs.list(
            limit=3, extra_headers={"Authorization": Omit()}, effective_at={"gte": int(house.began.timestamp())}
        ):
            seen.append(event)
            if len(seen) == 7:
                break
        assert len({event.id for event in seen}) == 7
        assert [event.effective_at for event in seen] == sorted((e.effective_at for e in seen), reverse=True)
        assert "audit:record:search" in {event.type for event in seen}
        assert "canaille|bob" in {event.actor.session.user.id for event in seen}


async def test_events_are_filtered_by_type_actor_and_time(house: Any) -> None:
    async with house.browser() as alice:
        await sign_in(alice, PUBLIC_URL, house.idp.people["alice"])
    async with house.browser() as browser:
        await as_bob(house, browser)
        asked = [("event_types[]", "login.succeeded"), ("actor_ids[]", "canaille|alice"), ("limit", "100")]
        body = (await browser.get(LOGS, params=asked)).raise_for_status().json()
        assert body["object"] == "list"
        assert {event["type"] for event in body["data"]} == {"login.succeeded"}
        assert {event["actor"]["session"]["user"]["id"] for event in body["data"]} == {"canaille|alice"}
        assert body["first_id"] == body["data"][0]["id"]
        later = (await browser.get(LOGS, params={"effective_at[gt]": "99999999999"})).json()
        assert (later["data"], later["first_id"], later["has_more"]) == ([], None, False)


async def test_reading_the_list_is_itself_an_event_with_its_query(house: Any) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        (await browser.get(LOGS, params={"event_types[]": "audit:content:open"})).raise_for_status()
    query = Query(action="audit:record:search", created_from=house.began)
    rows = (await house.services.audit.search(query, searched_by=Subject(actor="-"))).rows
    assert rows[0].subject is not None
    assert rows[0].subject.actor == "canaille|bob"
    assert "audit:content:open" in (await house.content_of(rows[0]))["query"]


async def test_an_employee_reads_neither(house: Any) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        for path in (LOGS, "/v1/organization/data_retention"):
            answer = await browser.get(path)
            assert answer.status_code == 403, answer.text
    async with house.browser() as nobody:
        assert (await nobody.get(LOGS)).status_code == 401


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"before": "x"}, "before"),
        ({"after": "x"}, "after"),
        ({"after": "01890000-0000-7000-8000-000000000000"}, "after"),
        ({"effective_at[gte]": "yesterday"}, "effective_at"),
        ({"actor_emails[]": "a@example.com"}, "actor_emails"),
        ({"event_types[]": "no such type"}, "query"),
    ],
)
async def test_what_can_not_be_answered_is_refused_by_name(house: Any, params: dict[str, str], param: str) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        answer = await browser.get(LOGS, params=params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_retention_is_told_as_policy_has_it(house: Any) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        body = (await browser.get("/v1/organization/data_retention")).raise_for_status().json()
    assert body == {
        "object": "organization.data_retention",
        "type": "default",
        "retention_days": 30,
        "classes": {"standard": 30, "abuse": 30, "zero": 30},
        "groups": {},
        "keyword_index": False,
    }


async def test_before_goes_back_to_the_page_that_came_before(house: Any) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        for _ in range(9):
            await browser.get("/audit?action=auth:session:start", headers={"accept": "application/json"})
        # A time that is over: reading the list writes to it, and pages of the past must not move.
        asked = {
            "limit": "3",
            "event_types[]": "audit:record:search",
            "effective_at[gte]": str(int(house.began.timestamp())),
        }
        pages = [(await browser.get(LOGS, params=asked)).raise_for_status().json()]
        for _ in range(2):
            more = (await browser.get(LOGS, params={**asked, "after": pages[-1]["last_id"]})).raise_for_status().json()
            pages.append(more)
        back = (await browser.get(LOGS, params={**asked, "before": pages[2]["first_id"]})).raise_for_status().json()
        assert [event["id"] for event in back["data"]] == [event["id"] for event in pages[1]["data"]]
        assert back["has_more"] is True
        both = await browser.get(LOGS, params={**asked, "before": pages[1]["first_id"], "after": pages[0]["last_id"]})
        assert both.status_code == 400
        unknown = await browser.get(LOGS, params={"before": "01890000-0000-7000-8000-000000000000"})
        assert unknown.json()["error"]["param"] == "before"


async def test_the_unmodified_sdk_reads_what_is_kept(house: Any) -> None:
    async with house.browser() as browser:
        await as_bob(house, browser)
        client = AsyncOpenAI(api_key="unused", admin_api_key="unused", base_url=f"{PUBLIC_URL}/v1", http_client=browser)
        kept = await client.admin.organization.data_retention.retrieve(extra_headers={"Authorization": Omit()})
        assert kept.object == "organization.data_retention"
        assert kept.model_extra["retention_days"] == 30
