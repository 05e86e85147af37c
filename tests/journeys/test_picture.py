"""From sign-in to picture to proof, from outside, on real parts."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import httpx
import openai
import pytest
from PIL import Image

from demo.idp.browserless import SignInStopped
from tests.support.person import PersonAt
from tests.support.pictures import FAINT, decode, most_apart

pytestmark = pytest.mark.timeout(240)


async def test_the_unmodified_sdk_makes_a_picture_and_the_auditor_proves_its_record(stack):
    async with PersonAt(stack, "alice") as alice:
        before = await alice.credits()
        key = await alice.mint()
        async with openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1") as client:
            raw = await client.images.with_raw_response.generate(prompt="a fox on a blue background", size="256x256")
            listed = [model.id async for model in client.models.list()]
        answer = raw.parse()
        picture = Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json)))
        assert (picture.format, picture.size) == ("PNG", (256, 256))
        assert answer.data[0].revised_prompt is None
        assert listed == ["imprimatur-embedded"]
        assert await alice.credits() == before - 1
        assert raw.headers["x-credits-remaining"] == str(before - 1)
        assert "forward" not in raw.headers["server-timing"] or "authn" in raw.headers["server-timing"]
    async with PersonAt(stack, "bob") as bob:
        row = await bob.effect_of(raw.headers["x-request-id"])
        assert (row["who"], row["effect"], row["action"]) == ("Alice Marsh", "allow", "image:generate")


async def test_the_sdk_streams_partial_pictures_and_then_the_picture(stack):
    async with PersonAt(stack, "alice") as alice:
        key = await alice.mint()
    seen = []
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1") as client:
        stream = await client.images.generate(prompt="a red apple", size="256x256", stream=True, partial_images=2)
        async for event in stream:
            seen.append(event.type)
            if event.type == "image_generation.completed":
                assert Image.open(io.BytesIO(base64.b64decode(event.b64_json))).size == (256, 256)
    assert seen[-1] == "image_generation.completed"
    assert set(seen) == {"image_generation.partial_image", "image_generation.completed"}


async def test_a_page_sees_progress(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.generate("a tulip", stream=True, partial_images=1)
    events = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert events[0] == "image_generation.accepted"
    assert "image_generation.progress" in events
    assert events[-1] == "image_generation.completed"


async def test_a_card_number_is_refused_explained_recorded_and_not_charged(stack):
    async with PersonAt(stack, "alice") as alice:
        before = await alice.credits()
        answer = await alice.generate("a poster for the order paid with 4111 1111 1111 1111")
        error = answer.json()["error"]
        assert answer.status_code == 400
        assert error["code"] == "moderation_blocked"
        assert error["moderation_details"] == {"moderation_stage": "input", "categories": ["dlp.payment-card"]}
        assert error["reasons"][0]["span"] == [33, 52]
        assert "4111" not in answer.text
        assert answer.headers["x-should-retry"] == "false"
        assert await alice.credits() == before
    async with PersonAt(stack, "bob") as bob:
        row = await bob.effect_of(answer.headers["x-request-id"])
        assert (row["effect"], row["reasons"]) == ("deny", ["dlp.payment-card"])


async def test_an_address_is_masked_before_the_model_sees_it(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.generate("a panda for dana.miller@contoso.example")
        assert answer.status_code == 200, answer.text
        revised = answer.json()["data"][0]["revised_prompt"]
        assert "contoso" not in revised
        assert revised.startswith("a panda for ")
    async with PersonAt(stack, "bob") as bob:
        assert (await bob.effect_of(answer.headers["x-request-id"]))["effect"] == "mask"


async def test_a_negative_prompt_is_screened_like_the_prompt(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.generate("a panda", negative_prompt="no 4111 1111 1111 1111")
    assert answer.status_code == 400
    assert answer.json()["error"]["reasons"][0]["code"] == "dlp.payment-card"


async def test_somebody_without_a_role_is_refused_by_policy(stack):
    async with PersonAt(stack, "dave") as dave:
        answer = await dave.generate("a fox")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "policy_denied"
    async with PersonAt(stack, "bob") as bob:
        assert (await bob.effect_of(answer.headers["x-request-id"]))["effect"] == "deny"


async def test_somebody_without_a_second_factor_gets_nothing(stack):
    try:
        async with PersonAt(stack, "carol") as carol:
            answer = await carol.generate("a fox")
    except SignInStopped:
        return  # not even a session
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "insufficient_user_authentication"
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]


async def test_an_employee_cannot_search_the_log(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.client.get("/audit", headers={"accept": "application/json"})
    assert answer.status_code == 403


async def test_a_key_without_the_scope_is_refused(stack):
    async with PersonAt(stack, "alice") as alice:
        key = await alice.mint(["model:list"])
    async with httpx.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {key}"}) as program:
        answer = await program.post("/v1/images/generations", json={"prompt": "a fox"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "policy_denied"


async def test_a_session_without_the_csrf_token_makes_nothing(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.client.post("/v1/images/generations", json={"prompt": "a fox"})
        other = await alice.client.post(
            "/v1/images/generations",
            json={"prompt": "a fox"},
            headers={"x-csrf-token": alice.csrf, "origin": "https://evil.example"},
        )
    assert [a.json()["error"]["code"] for a in (answer, other)] == ["csrf_refused", "csrf_refused"]


async def test_the_same_seed_makes_the_same_picture(stack):
    async with PersonAt(stack, "alice") as alice:
        one = await alice.generate("a sunflower", seed=7)
        two = await alice.generate("a sunflower", seed=7)
        other = await alice.generate("a sunflower", seed=8)
    first, second, third = [decode(base64.b64decode(a.json()["data"][0]["b64_json"])) for a in (one, two, other)]
    assert first.tobytes() != second.tobytes()  # each carries its own watermark
    assert most_apart(first, second) <= 2 * FAINT
    assert most_apart(first, third) > 4 * FAINT


async def test_nothing_a_person_typed_is_in_logs_or_metrics(stack):
    canary = "zanzibarquokka"
    async with PersonAt(stack, "alice") as alice:
        await alice.generate(f"{canary} 4111 1111 1111 1111")
        await alice.generate(f"a {canary} panda")
        await alice.client.get(f"/v1/models/{canary}?q={canary}")
        metrics = (await alice.client.get("/metrics")).text
    assert canary not in metrics
    for log in (stack.state / "logs").iterdir():
        assert canary not in log.read_text(), log.name
    for file in stack.audit_directory.rglob("*"):
        assert not file.is_file() or canary.encode() not in file.read_bytes(), file.name
    assert canary.encode() not in (stack.state / "gateway.sqlite").read_bytes()


async def test_log_lines_are_json_with_a_route_and_no_query(stack):
    async with PersonAt(stack, "alice") as alice:
        await alice.client.get("/v1/models?secret=1")
    for _ in range(100):  # the line is written after the answer has gone out
        text = (stack.state / "logs" / "gateway.log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        if any(line.get("route") == "/v1/models" and line["status"] == 200 for line in lines):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("no line for the route")
    assert "secret=1" not in text


async def test_a_picture_asked_for_by_address_is_there_for_its_owner_alone(stack):
    async with PersonAt(stack, "alice") as alice, PersonAt(stack, "bob") as bob:
        answer = await alice.generate("a tulip", response_format="url")
        address = answer.json()["data"][0]["url"]
        assert "b64_json" not in answer.json()["data"][0]
        mine = await alice.client.get(address)
        assert Image.open(io.BytesIO(mine.content)).format == "PNG"
        assert mine.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert (await bob.client.get(address)).status_code in (403, 404)
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.get(address)).status_code == 401


async def test_every_answer_says_how_much_may_still_be_asked(stack):
    async with PersonAt(stack, "alice") as alice:
        good = await alice.generate("a tulip")
        bad = await alice.generate("a poster with 4111 1111 1111 1111")
    for answer in (good, bad):
        assert int(answer.headers["x-ratelimit-limit-requests"]) > 0
        assert "policy;dur=" in answer.headers["server-timing"]


async def test_a_card_cut_in_two_over_two_prompts_is_stopped_and_recorded(stack):
    async with PersonAt(stack, "alice") as alice:
        first = await alice.generate("a poster that reads 4111 1111")
        assert first.status_code == 200, first.text
        second = await alice.generate("the same poster, but with 1111 1111")
        assert second.status_code == 400, second.text
        assert "dlp.payment-card" in second.text
        assert "Put together with what you asked for just before" in second.text
    async with PersonAt(stack, "bob") as bob:
        row = await bob.effect_of(second.headers["x-request-id"])
        assert row["effect"] == "deny"


async def test_the_unmodified_sdk_asks_for_moderation(stack):
    async with PersonAt(stack, "alice") as alice:
        key = await alice.mint()
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1") as client:
        answer = await client.moderations.create(input=["a fox", "a nude woman"], model="omni-moderation-latest")
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.sexual
