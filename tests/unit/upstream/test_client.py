"""The client of the image server: what it sends, what it believes, and how each failure is named."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from gateway.errors import Failure, ImprimaturError, InvalidRequest, ModelBroken, ModelOverloaded, ModelUnavailable
from gateway.exchange import Partial, Progress, RequestId
from gateway.upstream import Made
from gateway.upstream.badge import Badge
from gateway.upstream.catalogue import Catalogue
from tests.support import image_server as double
from tests.support.image_server import BROKEN
from tests.support.policy import ALICE
from tests.unit.upstream.conftest import SECRET, ask, request


async def test_it_sends_the_masked_text_and_not_the_requests_own(client, server):
    await ask(client)
    assert server.requests[0]["prompt"] == "a fox"
    assert "never sent" not in str(server.requests)


async def test_every_call_carries_a_fresh_short_lived_token(client, server):
    await ask(client)
    await ask(client)
    tokens = [headers["authorization"].removeprefix("Bearer ") for headers in server.headers]
    claims = [jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims for token in tokens]
    assert claims[0]["jti"] != claims[1]["jti"]
    assert claims[0]["aud"] == "imprimatur-model-server"
    assert claims[0]["exp"] - claims[0]["iat"] == 60


async def test_a_short_secret_is_refused_at_the_start(tmp_path):
    (tmp_path / "short").write_text("short")
    with pytest.raises(ValueError, match="at least 32 bytes, got 5"):
        Badge(tmp_path / "short", lambda: datetime.now(UTC))


async def test_pictures_come_with_how_they_were_made(client):
    (made,) = await ask(client, request(n=2))
    assert isinstance(made, Made)
    assert [p.index for p in made.pictures] == [0, 1]
    assert made.pictures[0].data.startswith(b"\x89PNG")
    assert (made.making.model_digest, made.making.seed, made.size) == ("sha256:00", 1, "32x32")
    assert made.usage.text_tokens == 3


async def test_a_stream_gives_progress_partials_and_then_all_pictures(client):
    seen = await ask(client, request(n=2, stream=True, partial_images=1))
    assert [type(s) for s in seen] == [Progress] * 3 + [Partial, Made]
    assert len(seen[-1].pictures) == 2
    assert seen[-1].usage.output_tokens == 2 * double.USAGE["output_tokens"]


@pytest.mark.parametrize("name", BROKEN)
async def test_each_broken_server_has_its_code_and_charges_nothing(client, server, name):
    server.behaviour, code = BROKEN[name]
    with pytest.raises(Failure) as caught:
        await ask(client)
    assert caught.value.code == code
    assert "charged" in caught.value.message


async def test_a_server_that_says_when_to_come_back_is_believed(client, server):
    server.behaviour = BROKEN["429"][0]
    with pytest.raises(ModelOverloaded) as caught:
        await ask(client)
    assert caught.value.retry_after_seconds == 7


async def test_a_silent_server_is_given_up(client, server):
    server.behaviour = double.stall
    with pytest.raises(ModelUnavailable, match="too long"):
        await ask(client)


async def test_no_server_at_all_is_unavailable(client, server):
    await server.__aexit__()
    with pytest.raises(ModelUnavailable, match="can't be reached"):
        await ask(client)


@pytest.mark.parametrize("behaviour", [double.stream_that_ends_early, double.stream_with_an_error])
async def test_a_stream_that_breaks_off_is_no_picture(client, server, behaviour):
    server.behaviour = behaviour
    with pytest.raises(ModelBroken):
        await ask(client, request(stream=True))


async def test_closing_the_iterator_closes_the_connection(client, server):
    server.behaviour = double.stall
    answers = client.make(request(stream=True), {"prompt": "a fox"}, (), RequestId("request-1"), ALICE)
    assert isinstance(await anext(answers), Progress)
    await answers.aclose()
    for _ in range(100):
        if server.gone:
            break
        await asyncio.sleep(0.02)
    assert server.gone == 1


async def test_what_the_model_cannot_do_is_told_in_its_own_words(client, server):
    body = {"error": {"message": "size: I make 32x32", "param": "size", "code": "unsupported_value"}}
    server.behaviour = double.saying(body, 400)
    with pytest.raises(InvalidRequest) as caught:
        await ask(client)
    assert (caught.value.param, caught.value.code, caught.value.message) == (
        "size",
        "unsupported_value",
        "size: I make 32x32",
    )


async def test_a_complaint_about_the_prompt_is_not_repeated(client, server):
    body = {"error": {"message": "bad prompt: a fox", "param": "prompt", "code": "x"}}
    server.behaviour = double.saying(body, 400)
    with pytest.raises(ImprimaturError) as caught:
        await ask(client)
    assert "fox" not in caught.value.message


async def test_an_oversize_answer_is_not_collected(client, server):
    server.behaviour = double.saying({"data": [{"b64_json": "A" * (50 << 20)}]})
    with pytest.raises(ModelBroken, match="larger than it may be"):
        await ask(client)


async def test_the_catalogue_outlives_a_server_that_goes_down(client, server, monkeypatch):
    catalogue = Catalogue(client)
    assert list(await catalogue.models()) == ["imprimatur-embedded"]
    await server.__aexit__()
    catalogue._until = 0.0
    assert list(await catalogue.models()) == ["imprimatur-embedded"]


async def test_a_model_with_a_strange_name_does_not_upset_the_log(client, server):
    told = {**double.PROVENANCE, "model": "my model\n<b>" + "x" * 500}
    server.behaviour = double.saying({"data": [{"b64_json": double.B64}], "size": "32x32", "provenance": told})
    (made,) = await ask(client)
    assert made.making.model.startswith("my-model--b-")
    assert len(made.making.model) == 160
