"""`POST /v1/moderations` through the whole gateway: OpenAI's shape, our findings, nothing kept."""

from __future__ import annotations

import base64
import io
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openai.types import ModerationCreateResponse
from PIL import Image
from prometheus_client import generate_latest

from gateway.api import moderations
from gateway.api.moderations import CATEGORIES, MAX_CHARS, MAX_TEXTS
from gateway.credits.rate import RateLimit
from gateway.exchange import ActorId
from tests.support.front_door import FrontDoor, open_front_door
from tests.support.issuer import running_issuer

pytestmark = [pytest.mark.xdist_group("moderations"), pytest.mark.asyncio(loop_scope="module")]
CARD = "4111 1111 1111 1111"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontDoor]:
    with running_issuer() as issuer:
        issuer.now = time.time
        async with open_front_door(tmp_path_factory.mktemp("door"), issuer) as door:
            if not any(getattr(route, "path", "") == "/v1/moderations" for route in door.app.routes):
                door.app.include_router(moderations.router)
            yield door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(door: FrontDoor) -> AsyncIterator[httpx.AsyncClient]:
    async with door.browser() as browser:
        await door.sign_in(browser)
        browser.headers.update(await door.page_headers(browser))
        yield browser


async def asked(alice: httpx.AsyncClient, given: Any, **fields: Any) -> list[dict[str, Any]]:
    answer = await alice.post("/v1/moderations", json={"input": given, **fields})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def picture(kind: str = "png", size: int = 32) -> str:
    stream = io.BytesIO()
    Image.new("RGB", (size, size), "teal").save(stream, kind)
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode()


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


async def test_a_harmless_text_is_not_flagged(alice: httpx.AsyncClient) -> None:
    [result] = await asked(alice, "a fox in a snowy forest")
    assert result["flagged"] is False
    assert set(result["categories"]) == set(CATEGORIES)
    assert not any(result["categories"].values())
    assert result["findings"] == []


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("a nude woman on a beach", "sexual"),
        ("a beheading in the street, gore", "violence"),
        ("a man about to commit suicide", "self-harm"),
        ("a swastika on a flag", "hate"),
    ],
)
async def test_a_subject_is_one_of_openai_s_categories(alice: httpx.AsyncClient, text: str, category: str) -> None:
    [result] = await asked(alice, text)
    assert result["flagged"] is True
    assert result["categories"][category] is True
    assert result["category_scores"][category] > 0
    assert result["category_applied_input_types"][category] == ["text"]
    assert sum(result["categories"].values()) <= 3  # read for its meaning, suicide is violence too


async def test_sensitive_data_is_flagged_and_told_without_the_value(alice: httpx.AsyncClient) -> None:
    [result] = await asked(alice, f"a poster with {CARD}")
    [finding] = result["findings"]
    assert (result["flagged"], finding["type"], finding["effect"]) == (True, "dlp.payment-card", "deny")
    assert (finding["start"], finding["end"]) == (14, 14 + len(CARD))
    assert not any(result["categories"].values())
    assert CARD not in str(result)


async def test_each_text_of_a_list_has_a_result(alice: httpx.AsyncClient) -> None:
    results = await asked(alice, ["a fox", f"say {CARD}", "a nude man"])
    assert [result["flagged"] for result in results] == [False, True, True]


async def test_what_is_only_watched_flags_nothing(alice: httpx.AsyncClient) -> None:
    [result] = await asked(alice, "mickey mouse on a surfboard")
    assert result["flagged"] is False
    assert [finding["effect"] for finding in result["findings"]] == ["allow"]


async def test_texts_and_pictures_together_have_one_result(alice: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": "a fox"}, part(picture()), {"type": "text", "text": f"say {CARD}"}]
    [result] = await asked(alice, parts)
    assert [finding["input"] for finding in result["findings"]] == [1]
    [clean] = await asked(alice, [part(picture("webp"))])
    assert clean["findings"] == []


async def test_a_picture_that_is_none_is_refused_by_field(alice: httpx.AsyncClient) -> None:
    broken = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    answer = await alice.post("/v1/moderations", json={"input": [part(picture()), part(broken)]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input[1].image_url"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([part("https://example.com/x.png")], "input[0].image_url"),
        ([part("http://169.254.169.254/latest/meta-data")], "input[0].image_url"),
        ([part("data:image/svg+xml;base64,PHN2Zz4=")], "input[0].image_url"),
        ([part("data:image/png;base64,@@@@")], "input[0].image_url"),
        ([part(picture(size=1))] * 5, "input"),
        ([], "input"),
        (7, "input"),
        (None, "input"),
        (["a"] * (MAX_TEXTS + 1), "input"),
        (["a" * 30_000] * (MAX_CHARS // 30_000 + 1), "input"),
        (["a", {"type": "text", "text": "b"}], "input"),
        ([{"type": "audio"}], "input"),
    ],
)
async def test_what_can_t_be_looked_at_is_refused_and_not_repeated(
    alice: httpx.AsyncClient, given: Any, param: str
) -> None:
    answer = await alice.post("/v1/moderations", json={"input": given})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert "169.254" not in answer.text


async def test_an_unknown_field_is_refused(alice: httpx.AsyncClient) -> None:
    assert (await alice.post("/v1/moderations", json={"input": "a", "inputs": "b"})).status_code == 400


async def test_strangers_and_foreign_forms_are_not_answered(door: FrontDoor, alice: httpx.AsyncClient) -> None:
    async with door.browser() as stranger:
        assert (await stranger.post("/v1/moderations", json={"input": "a"})).status_code == 401
    answer = await alice.post("/v1/moderations", json={"input": "a"}, headers={"x-csrf-token": "forged"})
    assert answer.status_code in (401, 403)


async def test_who_may_not_make_pictures_may_not_ask(door: FrontDoor) -> None:
    async with door.browser() as browser:
        await door.sign_in(browser, "carol", "compliance")
        headers = await door.page_headers(browser)
        assert (await browser.post("/v1/moderations", json={"input": "a"}, headers=headers)).status_code == 403


async def test_nothing_is_recorded(door: FrontDoor, alice: httpx.AsyncClient) -> None:
    before = await door.records("image:generate")
    await asked(alice, f"a poster with {CARD}")
    assert await door.records("image:generate") == before


async def test_the_sdk_s_own_types_read_the_answer(alice: httpx.AsyncClient) -> None:
    body = {"input": "a nude woman on a beach", "model": "omni-moderation-latest"}
    raw = (await alice.post("/v1/moderations", json=body)).json()
    answer = ModerationCreateResponse.model_validate(raw)
    assert answer.id.startswith("modr-")
    assert answer.results[0].flagged
    assert answer.results[0].categories.sexual
    assert not answer.results[0].categories.sexual_minors
    assert answer.results[0].category_scores.sexual > 0
    assert answer.results[0].category_applied_input_types.sexual == ["text"]


async def test_a_person_may_ask_so_often_and_pictures_have_their_own_measure(
    door: FrontDoor, alice: httpx.AsyncClient
) -> None:
    usual = door.services
    door.app.state.services = replace(usual, hint_rate=RateLimit(2), moderation_rate=RateLimit(2))
    try:
        for path, body in (("/v1/screening/hints", {"text": "a fox"}), ("/v1/moderations", {"input": "a fox"})):
            answers = [(await alice.post(path, json=body)) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429], path
            assert int(answers[-1].headers["retry-after"]) > 0
            async with door.browser() as bob:
                await door.sign_in(bob, "bob")
                bob.headers.update(await door.page_headers(bob))
                assert (await bob.post(path, json=body)).status_code == 200
    finally:
        door.app.state.services = usual


async def test_hints_leave_nothing_behind(
    door: FrontDoor, alice: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a letter of what was typed, in no file of the gateway, no log line and no metric; and no event."""
    word = "zanthoxylumquorra"
    before = len(await door.records("image:generate"))
    with caplog.at_level(logging.DEBUG):
        for path, body in (
            ("/v1/screening/hints", {"text": f"{word} {CARD}"}),
            ("/v1/moderations", {"input": f"{word} {CARD}"}),
        ):
            answer = await alice.post(path, json=body)
            assert answer.status_code == 200
            assert "dlp.payment-card" in answer.text
            assert word not in answer.text
    assert len(await door.records("image:generate")) == before
    state = door.services.settings.pictures_path.parent
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    places = [path.read_bytes() for path in files] + [
        caplog.text.encode(),
        generate_latest(door.services.metrics.registry),
    ]
    assert [n for n, place in enumerate(places) if word.encode() in place or CARD.encode() in place] == []


async def test_who_leaves_is_forgotten(door: FrontDoor) -> None:
    """Pieces of a card that somebody typed before they signed out are not completed by what they type after."""
    actor = ActorId("company|dora")
    halves = "4111 1111 1111", "1111 for the poster"
    screening = door.services.screening
    await screening.screen_across(actor, f"card {halves[0]}")
    assert [f.type for f in await screening.screen_across(actor, halves[1])] == ["dlp.payment-card"]
    await screening.screen_across(actor, f"card {halves[0]}")
    async with door.browser() as dora:
        await door.sign_in(dora, "dora")
        headers = await door.page_headers(dora)
        assert (await dora.post("/auth/sign-out", headers=headers)).status_code == 303
    assert await screening.screen_across(actor, halves[1]) == ()


async def test_asking_has_a_permission_of_its_own(door: FrontDoor, alice: httpx.AsyncClient) -> None:
    """Who holds it alone makes no pictures; who may make pictures may moderate, as keys from before could."""
    asks = (("/v1/screening/hints", {"text": "a fox"}), ("/v1/moderations", {"input": "a fox"}))
    makes = ("/v1/images/generations", {"prompt": "a fox"})
    expected = {
        "screening:ask": [200, 200, 403],
        "image:generate": [403, 200],
        "model:list": [403, 403, 403],
    }
    for scope, statuses in expected.items():
        minted = await alice.post("/v1/keys", json={"name": scope, "scopes": [scope], "days": 1})
        assert minted.status_code == 201, minted.text
        headers = {"authorization": f"Bearer {minted.json()['key']}"}
        async with door.browser() as program:
            answers = [await program.post(path, json=body, headers=headers) for path, body in (*asks, makes)]
        assert [answer.status_code for answer in answers][: len(statuses)] == statuses, scope
