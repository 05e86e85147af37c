"""Pictures with texts of their own: several calls that look like one, and end together."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from gateway.errors import ModelBroken
from gateway.exchange import Partial, Progress, RequestId
from gateway.upstream import Made, make_each
from model_server.wire import MAX_SEED
from tests.support import image_server as double
from tests.support.policy import ALICE
from tests.unit.upstream.conftest import request

TEXTS = [{"prompt": f"a doctor, number {place}", "negative_prompt": ""} for place in range(3)]


async def ask(client, asked, each=TEXTS):
    async with aclosing(make_each(client, asked, each, (), RequestId("request-1"), ALICE)) as steps:
        return [step async for step in steps]


async def wait_for(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_picture_has_its_own_text_and_they_come_as_one_answer_in_order(client, server):
    (made,) = await ask(client, request(n=3))
    sent = {headers["x-request-id"]: asked for headers, asked in _calls(server)}
    assert {name: (asked["prompt"], asked["n"]) for name, asked in sent.items()} == {
        f"request-1-{place}": (f"a doctor, number {place}", 1) for place in range(3)
    }
    assert isinstance(made, Made)
    assert [picture.index for picture in made.pictures] == [0, 1, 2]
    assert made.usage.text_tokens == 3 * double.USAGE["input_tokens_details"]["text_tokens"]


async def test_they_are_asked_for_at_once(client, server):
    waiting = asyncio.Barrier(3)

    async def all_of_them(running, asked, writer):
        await asyncio.wait_for(waiting.wait(), 5)
        await double.good(running, asked, writer)

    server.behaviour = all_of_them
    assert len((await ask(client, request(n=3)))[-1].pictures) == 3


async def test_their_streams_are_one(client):
    seen = await ask(client, request(n=3, stream=True, partial_images=1))
    assert isinstance(seen[-1], Made)
    assert {step.index for step in seen if isinstance(step, Partial)} == {0, 1, 2}
    progress = [step for step in seen if isinstance(step, Progress)]
    assert [step.step for step in progress] == sorted(step.step for step in progress)
    assert (progress[-1].step, progress[-1].steps) == (3, 3)


async def test_a_seed_is_the_first_picture_s_and_the_others_count_on(client, server):
    server.listing = double.OURS
    await ask(client, request(n=3, seed=MAX_SEED - 1))
    assert _seeds(server) == [MAX_SEED - 1, MAX_SEED, 0]


async def test_where_the_server_takes_seeds_one_is_chosen_so_that_the_record_can_make_all_again(client, server):
    server.listing = double.OURS
    (made,) = await ask(client, request(n=3))
    first, second, third = _seeds(server)
    assert (second, third) == (first + 1, first + 2)
    assert made.making.seed == double.PROVENANCE["seed"]  # what the server says of the first


async def test_a_stranger_s_server_gets_no_seed_and_the_record_claims_none(client, server):
    (made,) = await ask(client, request(n=3))
    assert _seeds(server) == [None, None, None]
    assert made.making.seed is None


async def test_when_one_fails_the_others_are_stopped_and_nothing_is_given(client, server):
    async def one_fails(running, asked, writer):
        if asked["prompt"].endswith("1"):
            await double.answer(writer, {"error": {}}, 500)
        else:
            await double.stall(running, asked, writer)

    server.listing, server.behaviour = double.OURS, one_fails
    with pytest.raises(ModelBroken):
        await ask(client, request(n=3))
    await wait_for(lambda: set(server.cancelled) == {"request-1-0", "request-1-2"})


async def test_who_goes_away_stops_all(client, server):
    server.listing, server.behaviour = double.OURS, double.stall
    asking = asyncio.create_task(ask(client, request(n=3)))
    await wait_for(lambda: len(server.requests) == 3)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await wait_for(lambda: set(server.cancelled) == {f"request-1-{place}" for place in range(3)})
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "upstream-each"]


async def test_one_text_for_all_is_one_call(client, server):
    (made,) = await ask(client, request(n=3), TEXTS[:1])
    assert [(asked["prompt"], asked["n"]) for asked in server.requests] == [("a doctor, number 0", 3)]
    assert server.headers[-1]["x-request-id"] == "request-1"
    assert len(made.pictures) == 3


async def test_another_number_of_texts_than_pictures_is_a_mistake_of_ours(client, server):
    with pytest.raises(ValueError, match="expected a text for each of 2 pictures, got 3"):
        await ask(client, request(n=2))
    assert server.requests == []


def _calls(server):
    """(headers, fields) of the calls for pictures, as they came."""
    heads = [headers for headers in server.headers if headers.get("content-type", "").startswith("application/json")]
    return zip(heads, server.requests, strict=True)


def _seeds(server):
    by_call = {headers["x-request-id"]: asked.get("seed") for headers, asked in _calls(server)}
    return [by_call[name] for name in sorted(by_call)]
