"""Edits, variations and sketches, from outside: unmodified SDK, real gateway, real model server."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import UTC, datetime

import httpx
import openai
import pytest
from PIL import Image, ImageChops

from gateway.upstream.badge import Badge
from tests.support.person import PersonAt
from tests.support.pictures import FAINT, colourful, decode, encode, mask, most_apart

pytestmark = pytest.mark.timeout(240)

PICTURE = encode(colourful(64, 64))
HOLE = (16, 16, 48, 48)


@pytest.fixture
async def sdk(stack):
    async with PersonAt(stack, "alice") as alice:
        key = await alice.mint()
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1", max_retries=0) as client:
        yield client


def pictures_of(answer) -> list[Image.Image]:
    return [decode(base64.b64decode(item.b64_json)) for item in answer.data]


async def test_an_edit_changes_what_the_mask_shows_and_beside_it_nothing_but_the_watermark(stack, sdk):
    raw = await sdk.images.with_raw_response.edit(
        image=("fox.png", PICTURE), mask=("mask.png", mask(64, 64, HOLE)), prompt="a red apple", size="auto"
    )
    (edited,) = pictures_of(raw.parse())
    assert (edited.format, edited.size) == ("PNG", (64, 64))
    apart = ImageChops.difference(edited.convert("RGB"), colourful(64, 64))
    changed = apart.point(lambda value: 255 * (value > FAINT)).getbbox()
    assert changed is not None
    assert changed[0] >= HOLE[0]
    assert changed[1] >= HOLE[1]
    assert changed[2] <= HOLE[2]
    assert changed[3] <= HOLE[3]
    async with PersonAt(stack, "bob") as bob:
        row = await bob.effect_of(raw.headers["x-request-id"])
        assert (row["who"], row["effect"], row["action"]) == ("Alice Marsh", "allow", "image:edit")


async def test_an_edit_of_two_pictures_and_three_answers(sdk):
    answer = await sdk.images.edit(
        image=[("one.png", PICTURE), ("two.jpg", encode(colourful(80, 60), "JPEG"))],
        prompt="both in one picture",
        n=3,
    )
    assert len(pictures_of(answer)) == 3


async def test_a_variation_is_like_the_picture_and_not_the_same(stack, sdk):
    async with PersonAt(stack, "alice") as alice:
        before = await alice.credits()
        answer = await sdk.images.create_variation(image=("fox.png", PICTURE), n=3, size="256x256")
        assert await alice.credits() == before - 1
    found = pictures_of(answer)
    assert [picture.size for picture in found] == [(256, 256)] * 3
    assert len({picture.tobytes() for picture in found}) == 3


async def test_an_edit_streams_partial_pictures_and_then_the_picture(sdk):
    seen = []
    stream = await sdk.images.edit(
        image=("fox.png", PICTURE), prompt="a red apple", stream=True, partial_images=2, size="auto"
    )
    async for event in stream:
        seen.append(event.type)
        assert decode(base64.b64decode(event.b64_json)).size == (64, 64)
    assert seen[-1] == "image_edit.completed"
    assert set(seen) == {"image_edit.partial_image", "image_edit.completed"}


async def test_a_page_sees_progress_of_each_call(stack):
    async with PersonAt(stack, "alice") as alice:
        edited = await alice.edit("a hat", PICTURE, stream="true")
        varied = await alice.vary(PICTURE, stream="true")
    for stem, answer in (("image_edit", edited), ("image_variation", varied)):
        events = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
        assert events[0] == f"{stem}.accepted"
        assert f"{stem}.progress" in events
        assert events[-1] == f"{stem}.completed"


async def test_the_same_seed_edits_alike_and_strength_says_how_far(stack):
    async with PersonAt(stack, "alice") as alice:
        asked = {"seed": "7", "size": "auto"}
        one, two = [await alice.edit("a hat", PICTURE, **asked, strength="0.5") for _ in range(2)]
        other = await alice.edit("a hat", PICTURE, **asked, strength="1")
    first, second, third = [decode(base64.b64decode(a.json()["data"][0]["b64_json"])) for a in (one, two, other)]
    assert most_apart(first, second) <= 2 * FAINT
    assert most_apart(first, third) > 4 * FAINT


async def test_pictures_are_to_be_had_by_address(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.edit("a hat", PICTURE, response_format="url")
        fetched = await alice.client.get(answer.json()["data"][0]["url"])
    assert decode(fetched.content).format == "PNG"


async def test_a_sensitive_instruction_is_refused_and_not_charged(stack):
    async with PersonAt(stack, "alice") as alice:
        before = await alice.credits()
        answer = await alice.edit("write 4111 1111 1111 1111 on it", PICTURE)
        assert answer.json()["error"]["moderation_details"]["categories"] == ["dlp.payment-card"]
        assert await alice.credits() == before


async def test_an_address_in_an_instruction_is_masked(stack):
    async with PersonAt(stack, "alice") as alice:
        answer = await alice.edit("a sign for dana.miller@contoso.example", PICTURE)
    assert answer.status_code == 200, answer.text
    assert "contoso" not in answer.json()["data"][0]["revised_prompt"]


async def test_a_sketch_says_where_things_stand_and_its_labels_are_screened(stack):
    def sketch(label: str) -> dict:
        return {"regions": [{"label": label, "box": [0.05, 0.4, 0.5, 0.95]}]}

    async with PersonAt(stack, "alice") as alice:
        free = await alice.generate("on green", seed=3)
        drawn = await alice.generate("on green", seed=3, sketch=sketch("a fox"))
        refused = await alice.generate("on green", sketch=sketch("4111 1111 1111 1111"))
    assert drawn.status_code == free.status_code == 200, drawn.text
    assert refused.json()["error"]["code"] == "moderation_blocked"
    picture = decode(base64.b64decode(drawn.json()["data"][0]["b64_json"])).convert("RGB")
    assert picture.tobytes() != decode(base64.b64decode(free.json()["data"][0]["b64_json"])).convert("RGB").tobytes()
    background = Image.new("RGB", picture.size, picture.getpixel((picture.width - 4, 4)))
    thing = ImageChops.difference(picture, background).convert("L").point(lambda level: 255 * (level > 40))
    left = thing.crop((0, 0, round(picture.width * 0.6), picture.height))
    assert left.histogram()[255] > 0.8 * thing.histogram()[255] > 0


async def test_the_list_says_what_each_model_can_do_for_whom(stack):
    async with PersonAt(stack, "alice") as alice:
        (model,) = (await alice.client.get("/v1/models")).json()["data"]
        assert (model["tasks"], model["sketch"]) == (["generate", "edit", "vary"], True)
        assert (await alice.client.get(f"/v1/models/{model['id']}")).json() == model
        narrow = await alice.mint(["image:vary", "model:list"])
        blind = await alice.mint(["model:list"])
    for key, tasks in ((narrow, [["vary"]]), (blind, [])):
        async with httpx.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {key}"}) as program:
            listed = (await program.get("/v1/models")).json()["data"]
            assert [entry["tasks"] for entry in listed] == tasks
            alone = await program.get(f"/v1/models/{model['id']}")
            assert alone.status_code == (200 if tasks else 404)


async def test_a_client_that_hangs_up_frees_the_slot(stack):
    badge = Badge(stack.state / "secrets" / "model-server.key", lambda: datetime.now(UTC))
    async with PersonAt(stack, "alice") as alice, httpx.AsyncClient(base_url=stack.model_url) as model:

        async def job(request_id: str) -> dict:
            answer = await model.get(f"/v1/queue/{request_id}", headers={"authorization": badge.header()})
            return dict(answer.json())

        async def slots_busy() -> float:
            text = (await model.get("/metrics")).text
            (line,) = [line for line in text.splitlines() if not line.startswith("#") and "slots_busy" in line]
            return float(line.split()[-1])

        before = await alice.credits()
        steps = str(await model_steps(model, badge))
        files = {"image": ("a.png", PICTURE)}
        fields = {"prompt": "a hat", "stream": "true", "steps": steps, "n": "4"}
        asking = alice.client.stream("POST", "/v1/images/edits", data=fields, files=files, headers=alice.unsafe)
        async with asking as answer:
            request_id = answer.headers["x-request-id"]
            async for line in answer.aiter_lines():
                if line.startswith("event: image_edit.progress") and (await job(request_id))["state"] == "running":
                    break
        deadline = time.monotonic() + 30
        while (status := await job(request_id))["state"] == "running" and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert status["state"] == "cancelled"
        assert status["step"] < status["steps"]
        while await slots_busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert await slots_busy() == 0
        assert (await job(request_id))["step"] == status["step"], "not one step more was taken"
        async with PersonAt(stack, "bob") as bob:
            row = await bob.effect_of(request_id)
        assert (row["effect"], row["reasons"]) == ("cancelled", ["client.gone"])
        assert await alice.credits() == before


async def model_steps(model: httpx.AsyncClient, badge: Badge) -> int:
    """As many steps as the model takes: time enough to hang up in the middle."""
    listed = (await model.get("/v1/models", headers={"authorization": badge.header()})).json()
    return int(listed["data"][0]["steps"]["maximum"])
