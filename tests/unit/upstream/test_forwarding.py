"""What goes to an image server and what does not: our own fields to our own kind alone, clean pictures, no names."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import replace

import pytest

from gateway.errors import InvalidRequest, ModelUnavailable
from gateway.exchange import ActorId, CleanUpload, FileFacts, RequestId, SketchRegion
from gateway.settings import UpstreamSettings
from gateway.upstream.turn import Turns
from gateway.vocabulary import Permission, Role
from tests.support import image_server as double
from tests.support.certificates import Authority
from tests.support.image_server import OURS, ImageServerDouble, png
from tests.support.policy import ALICE
from tests.unit.upstream.conftest import ask, request

OWN = {
    "seed": {"seed": 7},
    "steps": {"options": {"steps": 9}},
    "guidance": {"options": {"guidance": 2.5}},
    "strength": {"options": {"strength": 0.4}, "action": Permission.IMAGE_EDIT},
    "negative_prompt": {"negative_prompt": "never sent"},
    "sketch": {"sketch": (SketchRegion(label="never sent", box=(0, 0, 1, 1)),)},
    "stream": {"stream": True, "action": Permission.IMAGE_VARY},
    "output_format": {"output_format": "webp", "action": Permission.IMAGE_VARY},
}


def clean(field: str = "image") -> CleanUpload:
    data = png(8, 8, "olive")
    facts = FileFacts(
        sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type="image/png", width=8, height=8
    )
    return CleanUpload(field=field, data=data, sent=replace(facts, sha256="of what was sent"), forwarded=facts)


async def until(found) -> None:
    for _ in range(200):
        if found():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not happen")


@pytest.mark.parametrize("name", OWN)
async def test_a_field_of_ours_never_goes_to_a_server_that_has_not_announced_it(client, server, name):
    with pytest.raises(InvalidRequest) as caught:
        await ask(client, request(**OWN[name]), (clean(),))
    assert (caught.value.param, caught.value.code) == (name, "unsupported_value")
    assert server.requests == []


@pytest.mark.parametrize("name", OWN)
async def test_it_goes_to_one_that_has(client, server, name):
    server.listing = OURS
    uploads = (clean(),) if OWN[name].get("action") else ()
    texts = {"prompt": "a fox", "negative_prompt": "rain", "sketch.0": "a hat"}
    await ask(client, request(**OWN[name]), uploads, texts)
    assert name in server.requests[0]
    assert "never sent" not in str(server.requests)


async def test_a_sketch_goes_with_the_labels_as_they_may_be(client, server):
    server.listing = OURS
    regions = (
        SketchRegion(label="never sent", box=(0, 0, 0.5, 1)),
        SketchRegion(stroke=((0.1, 0.2), (0.3, 0.4)), width=0.2),
    )
    await ask(client, request(sketch=regions), texts={"prompt": "a fox", "sketch.0": "a hat"})
    assert server.requests[0]["sketch"] == {
        "regions": [
            {"label": "a hat", "box": [0, 0, 0.5, 1], "width": 0.1},
            {"label": "", "stroke": [[0.1, 0.2], [0.3, 0.4]], "width": 0.2},
        ]
    }


async def test_an_edit_is_a_form_with_clean_pictures_under_names_of_ours(client, server):
    (made,) = await ask(client, request(action=Permission.IMAGE_EDIT, n=2), (clean(), clean("mask")))
    assert server.paths == ["/v1/images/edits"]
    assert [(f.field, f.name, f.media_type) for f in server.files[0]] == [
        ("image", "image-0.png", "image/png"),
        ("mask", "mask-1.png", "image/png"),
    ]
    assert {f.data for f in server.files[0]} == {clean().data}
    assert server.requests[0]["prompt"] == "a fox"
    assert len(made.pictures) == 2


async def test_several_pictures_go_as_a_list(client, server):
    await ask(client, request(action=Permission.IMAGE_EDIT), (clean("image[0]"), clean("image[1]")))
    assert [f.field for f in server.files[0]] == ["image[]", "image[]"]


async def test_a_variation_to_a_stranger_has_openais_fields_alone(client, server):
    await ask(client, request(action=Permission.IMAGE_VARY), (clean(),), {"": ""})
    assert server.paths == ["/v1/images/variations"]
    assert set(server.requests[0]) == {"model", "n", "size", "response_format", "stream"}  # stream: the stand-in's own


async def test_whose_turn_it_is_goes_to_our_own_kind_alone_and_names_nobody(client, server):
    await ask(client)
    assert not any(name.startswith("x-imprimatur") for name in server.headers[-1])
    server.listing = OURS
    await client.models()
    await ask(client)
    told = server.headers[-1]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", told["x-imprimatur-tenant"])
    assert "design" not in told["x-imprimatur-tenant"].lower()
    assert told["x-imprimatur-class"] == "interactive"
    assert float(told["x-imprimatur-deadline-seconds"]) == UpstreamSettings().total_seconds


def test_a_department_shares_its_turn_and_who_has_none_stands_alone():
    turns = Turns(b"s" * 32)

    def tenant(**changes) -> str:
        return turns.headers(replace(ALICE, **changes))["x-imprimatur-tenant"]

    assert tenant() == tenant(id=ActorId("idp|ann"))
    assert tenant() != tenant(department="Sales")
    assert tenant(department="") != tenant(department="", id=ActorId("idp|ann"))
    assert tenant(department="", id=ActorId("Design")) != tenant(department="Design")
    assert Turns(b"t" * 32).headers(ALICE) != turns.headers(ALICE)


def test_programs_wait_behind_people():
    turns = Turns(b"s" * 32)
    service = replace(ALICE, roles=frozenset({Role.SERVICE}), method="api-key")
    assert turns.headers(service)["x-imprimatur-class"] == "batch"
    assert turns.headers(replace(ALICE, method="api-key"))["x-imprimatur-class"] == "interactive"


async def test_stopping_early_is_told_by_name_as_well(client, server):
    server.listing, server.behaviour = OURS, double.stall
    await client.models()
    answers = client.make(request(stream=True), {"prompt": "a fox"}, (), RequestId("request-7"), ALICE)
    await anext(answers)
    await answers.aclose()
    await until(lambda: server.cancelled == ["request-7"] and server.gone == 1)


async def test_so_it_is_when_nothing_was_streamed(client, server):
    server.listing, server.behaviour = OURS, double.stall
    await client.models()
    task = asyncio.create_task(ask(client))
    await until(lambda: server.requests)
    task.cancel()
    await until(lambda: server.cancelled == ["request-1"])


async def test_nothing_is_cancelled_that_ended_or_was_never_begun(client, server):
    server.listing = OURS
    await client.models()
    await ask(client)
    await ask(client, request(stream=True))
    server.behaviour = double.saying({"error": {"message": "busy"}}, 503)
    with pytest.raises(Exception, match="Many pictures"):
        await ask(client)
    await asyncio.sleep(0.1)
    assert server.cancelled == []


@pytest.mark.parametrize("stream", [True, False])
async def test_the_longest_time_ends_a_request_however_lively_it_is(server, connect, stream):
    server.listing, server.behaviour = OURS, double.stall
    client = connect(server.url, total_seconds=0.3, read_seconds=30)
    await client.models()
    with pytest.raises(ModelUnavailable, match="too long"):
        await ask(client, request(stream=stream))
    await until(lambda: server.cancelled == ["request-1"])
    await client.aclose()


@pytest.fixture
def company(tmp_path):
    return Authority(tmp_path, "company")


@pytest.fixture
async def guarded(company):
    """An image server that lets nobody in without a certificate of the company's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(company.path))
    context.load_cert_chain(*company.issue("image-server"))
    context.verify_mode = ssl.CERT_REQUIRED
    async with ImageServerDouble(tls=context) as running:
        yield running


async def test_a_server_that_asks_for_a_certificate_gets_ours(guarded, company, connect):
    certificate, key = company.issue("gateway")
    trusting = {"tls_ca_path": company.path, "tls_certificate_path": certificate, "tls_key_path": key}
    client = connect(guarded.url, **trusting)
    assert await client.models()
    await client.aclose()


async def test_without_a_certificate_there_is_no_picture(guarded, company, connect):
    client = connect(guarded.url, tls_ca_path=company.path)
    with pytest.raises(ModelUnavailable):
        await client.models()
    await client.aclose()


async def test_a_server_of_another_authority_is_not_believed(guarded, company, connect, tmp_path):
    certificate, key = company.issue("gateway")
    stranger = Authority(tmp_path, "stranger")
    for ca in ({"tls_ca_path": stranger.path}, {}):
        client = connect(guarded.url, tls_certificate_path=certificate, tls_key_path=key, **ca)
        with pytest.raises(ModelUnavailable):
            await client.models()
        await client.aclose()


def test_a_certificate_without_its_key_is_refused_at_the_start(tmp_path):
    with pytest.raises(ValueError, match="go together"):
        UpstreamSettings(tls_certificate_path=tmp_path / "c")
