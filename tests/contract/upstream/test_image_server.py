"""One suite over every image server: what the gateway asks of one, it asks of all."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image, ImageChops

from gateway.errors import Failure, InvalidRequest
from gateway.exchange import CleanUpload, FileFacts, ImageRequest, Partial, Progress, RequestId
from gateway.upstream import Made
from gateway.vocabulary import Permission
from tests.contract.upstream.conftest import End, connect
from tests.support.certificates import Authority
from tests.support.model_process import ModelProcess
from tests.support.pictures import colourful, decode, encode, mask
from tests.support.policy import ALICE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

HOLE = (8, 8, 24, 24)
Seen = list[Progress | Partial | Made]


def clean(field: str, data: bytes) -> CleanUpload:
    width, height = decode(data).size
    facts = FileFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type="image/png",
        width=width,
        height=height,
    )
    return CleanUpload(field=field, data=data, sent=facts, forwarded=facts)


PICTURE = clean("image", encode(colourful(32, 32)))
MASK = clean("mask", mask(32, 32, HOLE))


async def ask(end: End, action: Permission, uploads: Sequence[CleanUpload] = (), **changes: Any) -> Seen:
    texts = {} if action is Permission.IMAGE_VARY else {"prompt": "a fox"}
    request = ImageRequest(**{"action": action, "prompt": "never sent", "model": end.model, **changes})
    making = end.client.make(request, texts, uploads, RequestId(uuid4().hex), ALICE)
    async with aclosing(making) as answers:
        return [answer async for answer in answers]


def made(seen: Seen, request_n: int = 1) -> list[Image.Image]:
    last = seen[-1]
    assert isinstance(last, Made)
    assert [picture.index for picture in last.pictures] == list(range(request_n))
    pictures = [decode(picture.data) for picture in last.pictures]
    assert [f"{p.width}x{p.height}" for p in pictures] == [last.size] * request_n
    return pictures


async def test_it_lists_its_models(end: End) -> None:
    assert end.model in [entry["id"] for entry in await end.client.models()]


async def test_it_makes_pictures_from_a_prompt(end: End) -> None:
    seen = await ask(end, Permission.IMAGE_GENERATE, n=2, size=end.size)
    assert [f"{p.width}x{p.height}" for p in made(seen, 2)] == [end.size] * 2


async def test_an_edit_changes_what_the_mask_shows_and_not_one_bit_beside_it(end: End) -> None:
    (edited,) = made(await ask(end, Permission.IMAGE_EDIT, (PICTURE, MASK)))
    assert edited.size == (32, 32)
    changed = ImageChops.difference(edited.convert("RGB"), colourful(32, 32))
    changed.paste((0, 0, 0), HOLE)
    assert changed.getbbox() is None


async def test_an_edit_may_be_of_the_whole_picture(end: End) -> None:
    (edited,) = made(await ask(end, Permission.IMAGE_EDIT, (PICTURE,)))
    assert edited.convert("RGB").tobytes() != colourful(32, 32).tobytes()


async def test_a_variation_needs_a_picture_and_no_words(end: End) -> None:
    made(await ask(end, Permission.IMAGE_VARY, (PICTURE,), n=2), 2)


@pytest.mark.parametrize("action", [Permission.IMAGE_GENERATE, Permission.IMAGE_EDIT])
async def test_it_streams_progress_partial_pictures_and_then_all_pictures(end: End, action: Permission) -> None:
    uploads = () if action is Permission.IMAGE_GENERATE else (PICTURE,)
    seen = await ask(end, action, uploads, n=2, stream=True, partial_images=1)
    made(seen, 2)
    assert any(isinstance(answer, Progress) for answer in seen)
    partials = [answer for answer in seen if isinstance(answer, Partial)]
    assert partials
    assert all(decode(partial.data).size == (partial.width, partial.height) for partial in partials)


async def test_a_size_that_it_does_not_make_is_a_mistake_of_the_caller(end: End) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ask(end, Permission.IMAGE_GENERATE, size=end.odd_size)
    assert (caught.value.param, caught.value.code) == ("size", "unsupported_value")


async def test_every_answer_can_be_told_apart_and_is_charged_for_what_it_was(end: End) -> None:
    (last,) = await ask(end, Permission.IMAGE_GENERATE)
    assert isinstance(last, Made)
    assert last.usage.output_tokens > 0
    assert last.pictures[0].sha256 == hashlib.sha256(last.pictures[0].data).hexdigest()


async def test_one_of_ours_says_how_a_picture_was_made_and_makes_it_again(end: End) -> None:
    if not end.is_ours:
        with pytest.raises(InvalidRequest, match="seed"):
            await ask(end, Permission.IMAGE_EDIT, (PICTURE,), seed=7)
        return
    one, two = [await ask(end, Permission.IMAGE_EDIT, (PICTURE,), seed=7) for _ in range(2)]
    first, second = one[-1], two[-1]
    assert isinstance(first, Made)
    assert isinstance(second, Made)
    assert first.making.seed == 7
    assert first.making.model_digest.startswith("sha256:")
    assert first.pictures == second.pictures


async def test_closing_the_iterator_ends_the_work(end: End) -> None:
    options = {"steps": end.slow_steps} if end.is_ours else {}
    request = ImageRequest(action=Permission.IMAGE_EDIT, prompt="", model=end.model, stream=True, n=4, options=options)
    making = end.client.make(request, {"prompt": "a fox"}, (PICTURE,), RequestId(uuid4().hex), ALICE)
    with end.hanging():
        async with aclosing(making) as answers:
            assert isinstance(await anext(answers), Progress)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        async with end.is_idle() as idle:
            if idle:
                return
        await asyncio.sleep(0.02)
    pytest.fail("it works on for nobody")


async def test_our_certificate_opens_a_model_server_and_no_other_does(tmp_path: Any) -> None:
    company, stranger = Authority(tmp_path, "company"), Authority(tmp_path, "stranger")
    certificate, key = company.issue("image-server")
    tls = ["--tls-certificate-path", str(certificate), "--tls-key-path", str(key)]
    tls += ["--tls-client-ca-path", str(company.path), "--tls-client-name", "gateway"]
    ours, other, unnamed = company.issue("gateway"), stranger.issue("gateway-of-a-stranger"), company.issue("printer")
    with ModelProcess(tmp_path, arguments=[*tls, "--profile-seconds", "0"], scheme="https") as server:

        async def list_models(pair: tuple[Any, Any] | None) -> list[dict[str, Any]]:
            shown = {} if pair is None else {"tls_certificate_path": pair[0], "tls_key_path": pair[1]}
            client = connect(server.url, server.secret_path, tls_ca_path=company.path, **shown)
            try:
                return await client.models()
            finally:
                await client.aclose()

        assert await list_models(ours)
        for pair in (None, other, unnamed):
            with pytest.raises(Failure):
                await list_models(pair)
