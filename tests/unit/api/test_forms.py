"""Forms with pictures: what is read, how much of it, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.forms import read_upload
from gateway.errors import InvalidRequest, PayloadTooLarge, RateLimited, Refusal, UnsupportedMedia
from gateway.room import Room
from gateway.settings import ServerSettings
from gateway.vocabulary import Permission

EDIT, VARY = Permission.IMAGE_EDIT, Permission.IMAGE_VARY
ROOM = 10_000


def request(chunks: list[bytes], content_type: str = "multipart/form-data; boundary=b", **headers: str) -> Request:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(3600)
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or body == b"..."}

    named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def part(name: str, value: str, file: bool = False) -> bytes:
    named = '; filename="../../x.png"' if file else ""
    return f'--b\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n{value}\r\n'.encode()


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


async def read(body: bytes, action: Permission = EDIT, room: Room | None = None, **settings: Any) -> Any:
    lease = (room or Room(ROOM)).lease()
    changed = ServerSettings.model_validate({"max_upload_bytes": 5_000, **settings})
    return await read_upload(request([body], content_length=str(len(body))), action, changed, lease)


async def test_scalars_become_what_they_spell():
    body = form(
        *(part(n, v) for n, v in {"prompt": "a", "n": "2", "strength": "0.5", "stream": "true", "seed": "7"}.items()),
        part("image", "x", file=True),
    )
    fields, _ = await read(body)
    assert fields == {"prompt": "a", "n": 2, "strength": 0.5, "stream": True, "seed": 7}


@pytest.mark.parametrize(("name", "value"), [("n", "2.0"), ("n", "0x2"), ("strength", "inf"), ("stream", "True")])
async def test_what_spells_none_stays_text_for_its_field_to_refuse(name, value):
    fields, _ = await read(form(part(name, value), part("image", "x", file=True)))
    assert fields == {name: value}


async def test_pictures_come_in_order_and_the_mask_last():
    parts = [part("mask", "m", file=True), part("image[]", "1", file=True), part("image[]", "2", file=True)]
    _, uploads = await read(form(*parts))
    assert [(u.field, u.data) for u in uploads] == [("image[0]", b"1"), ("image[1]", b"2"), ("mask", b"m")]


async def test_a_single_picture_is_called_image_either_way():
    for name in ("image", "image[]"):
        _, (upload,) = await read(form(part(name, "x", file=True)))
        assert upload.field == "image"


async def test_a_files_own_name_is_kept_nowhere():
    fields, uploads = await read(form(part("image", "x", file=True)))
    assert "x.png" not in repr((fields, uploads))


async def test_room_is_taken_before_the_body_is():
    room = Room(ROOM)
    room.take(ROOM - 10)
    with pytest.raises(RateLimited):
        await read(form(part("image", "x" * 100, file=True)), room=room)


async def test_a_body_without_a_length_takes_as_much_as_may_come():
    room = Room(ROOM)
    lease = room.lease()
    body = form(part("image", "x", file=True))
    await read_upload(request([body]), EDIT, ServerSettings(max_upload_bytes=5_000), lease)
    assert room.taken_bytes == 5_000


async def test_a_length_beyond_the_limit_is_refused_unread():
    asked = request([b""], content_length="5001")
    with pytest.raises(PayloadTooLarge) as caught:
        await read_upload(asked, EDIT, ServerSettings(max_upload_bytes=5_000), Room(ROOM).lease())
    assert caught.value.param == "image"


async def test_a_body_that_lies_about_its_length_is_refused_all_the_same():
    body = form(part("image", "x" * 6_000, file=True))
    asked = request([body], content_length="100")
    with pytest.raises(PayloadTooLarge):
        await read_upload(asked, EDIT, ServerSettings(max_upload_bytes=5_000), Room(ROOM).lease())


async def test_a_body_that_takes_for_ever_is_given_up():
    asked = request([part("prompt", "a"), b"..."])
    settings = ServerSettings(upload_seconds=0.05)
    with pytest.raises(InvalidRequest) as caught:
        await read_upload(asked, EDIT, settings, Room(settings.max_upload_bytes).lease())
    assert caught.value.code == "upload_timeout"


@pytest.mark.parametrize("content_type", ["application/json", "", "multipart/form-data", "multipart/mixed; boundary=b"])
async def test_another_kind_of_body_is_told_which_is_wanted(content_type):
    with pytest.raises(UnsupportedMedia) as caught:
        await read_upload(request([b"{}"], content_type), EDIT, ServerSettings(), Room(ROOM).lease())
    assert caught.value.param == "content-type"


async def test_a_variation_takes_one_picture_and_no_mask():
    await read(form(part("image", "x", file=True)), VARY)
    for name in ("image[]", "mask"):
        with pytest.raises(InvalidRequest) as caught:
            await read(form(part(name, "x", file=True)), VARY)
        assert caught.value.param == name.removesuffix("[]")


async def test_drawing_over_the_picture_is_said_to_be_unsupported():
    with pytest.raises(InvalidRequest) as caught:
        await read(form(part("image", "x", file=True), part("markup", "x", file=True)))
    assert (caught.value.param, caught.value.code) == ("markup", "unsupported_value")


@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from([EDIT, VARY]))
def test_any_body_is_read_or_refused_and_nothing_of_it_repeated(pieces, action):
    canary = b"canary-7f3a"
    body = b"--b\r\ncontent-disposition: form-data; name=" + canary.join(pieces) + canary
    with pytest.raises(Refusal) as caught:
        asyncio.run(read(body, action))
    assert "canary" not in caught.value.message
