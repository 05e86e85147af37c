"""Hostile uploads: each gets its status, its field and a record; nothing reaches the model, nothing is charged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from demo.stack import Stack
from tests.support.image_server import ImageServerDouble, png
from tests.support.patience import UNHURRIED
from tests.support.person import PersonAt
from tests.support.pictures import BAD_FILES, GPS_CANARY, colourful, decode, encode, mask, photo_with_place

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("faults")]

GOOD = encode(colourful())
BOUNDARY = "----b"


@dataclass(frozen=True)
class Hostile:
    """A request with pictures, and what must come of it."""

    param: str | None
    status: int = 400
    call: str = "edits"
    files: tuple[tuple[str, tuple[str, bytes]], ...] = (("image", ("a.png", GOOD)),)
    fields: Mapping[str, str] = field(default_factory=lambda: {"prompt": "a hat"})
    body: bytes | None = None
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"


def image(data: bytes, name: str = "a.png") -> tuple[tuple[str, tuple[str, bytes]], ...]:
    return (("image", (name, data)),)


def masked(data: bytes) -> tuple[tuple[str, tuple[str, bytes]], ...]:
    return (*image(GOOD), ("mask", ("m.png", data)))


def parts(*texts: str, end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    whole = "".join(f"--{BOUNDARY}\r\n{text}\r\n" for text in texts)
    return (whole + end).encode()


def text_part(name: str, value: str) -> str:
    return f'content-disposition: form-data; name="{name}"\r\n\r\n{value}'


FILE_PART = 'content-disposition: form-data; name="image"; filename="a.png"\r\n\r\nx'

TABLE: dict[str, Hostile] = {
    **{f"edit: {name}": Hostile("image", files=image(data)) for name, data in BAD_FILES.items()},
    "vary: SVG as PNG": Hostile("image", call="variations", files=image(BAD_FILES["SVG as PNG"]), fields={}),
    "vary: not square": Hostile("image", call="variations", files=image(encode(colourful(64, 48))), fields={}),
    "vary: 4 MB and more": Hostile("image", 413, "variations", files=image(GOOD + bytes(4_000_000)), fields={}),
    "vary: two pictures": Hostile("image", call="variations", files=image(GOOD) * 2, fields={}),
    "vary: with a mask": Hostile("mask", call="variations", files=masked(mask()), fields={}),
    "vary: with a prompt": Hostile("prompt", call="variations"),
    "no picture": Hostile("image", body=parts(text_part("prompt", "a hat"))),
    "a picture as text": Hostile("image", body=parts(text_part("prompt", "a hat"), text_part("image", "x"))),
    "a prompt as a file": Hostile("prompt", files=(*image(GOOD), ("prompt", ("p.txt", b"a hat"))), fields={}),
    "a picture of 51 MB": Hostile("image", 413, files=image(bytes(51_000_000))),
    "seventeen pictures": Hostile("image", files=image(GOOD) * 17),
    "seventeen pictures in a list": Hostile("image", files=(("image[]", ("a.png", GOOD)),) * 17),
    "more pictures than the model takes": Hostile("image", files=image(GOOD) * 5),
    "the second of two is broken": Hostile("image[1]", files=(*image(GOOD), *image(BAD_FILES["a cut PNG"]))),
    "a mask of another size": Hostile("mask", files=masked(mask(32, 32, (0, 0, 8, 8)))),
    "a mask without a hole": Hostile("mask", files=masked(GOOD)),
    "a mask as JPEG": Hostile("mask", files=masked(encode(colourful(), "JPEG"))),
    "a mask of 4 MB": Hostile("mask", 413, files=masked(mask() + bytes(4_000_000))),
    "two masks": Hostile("mask", files=(*masked(mask()), ("mask", ("m.png", mask())))),
    "a drawing over the picture": Hostile("markup", files=(*image(GOOD), ("markup", ("m.png", mask())))),
    "a thousand parts": Hostile(None, body=parts(*[text_part("n", "1")] * 1000)),
    "a thousand files": Hostile(None, body=parts(*[FILE_PART] * 1000)),
    "a field that nobody knows": Hostile("admin", fields={"prompt": "a hat", "admin": "true"}),
    "a prompt sent twice": Hostile("prompt", body=parts(text_part("prompt", "a"), text_part("prompt", "b"), FILE_PART)),
    "no prompt": Hostile("prompt", fields={}),
    "a blank prompt": Hostile("prompt", fields={"prompt": "  "}),
    "a prompt of 33,000 characters": Hostile("prompt", fields={"prompt": "a" * 33_000}),
    "a prompt of a megabyte": Hostile("prompt", 413, fields={"prompt": "a" * 1_000_000}),
    "a prompt with NUL": Hostile("prompt", fields={"prompt": "a\x00b"}),
    "a prompt that is not UTF-8": Hostile(
        "prompt", body=parts(text_part("prompt", "Q"), FILE_PART).replace(b"Q", b"\xff\xfe")
    ),
    "n as words": Hostile("n", fields={"prompt": "a", "n": "four"}),
    "n of eleven": Hostile("n", fields={"prompt": "a", "n": "11"}),
    "strength of two": Hostile("strength", fields={"prompt": "a", "strength": "2"}),
    "strength that is no number": Hostile("strength", fields={"prompt": "a", "strength": "nan"}),
    "input_fidelity": Hostile("input_fidelity", fields={"prompt": "a", "input_fidelity": "total"}),
    "stream as a number": Hostile("stream", fields={"prompt": "a", "stream": "1"}),
    "a size that the model can't make": Hostile("size", fields={"prompt": "a", "size": "2048x2048"}),
    "JSON": Hostile("content-type", 415, body=json.dumps({"prompt": "a"}).encode(), content_type="application/json"),
    "no boundary": Hostile("content-type", 415, body=b"x", content_type="multipart/form-data"),
    "a boundary that never comes": Hostile(None, body=b"x" * 100_000),
    "a form that breaks off": Hostile(None, body=parts(text_part("prompt", "a"), end="")),
    "bytes behind the form": Hostile(None, body=parts(text_part("prompt", "a"), FILE_PART) + b"more"),
    "a name with a path in it": Hostile(None, body=parts(text_part("../../etc/passwd", "a"))),
    "nothing at all": Hostile(None, body=b""),
}


async def send(alice: PersonAt, hostile: Hostile) -> httpx.Response:
    if hostile.body is None:
        return await alice.post_form(hostile.call, hostile.files, hostile.fields)
    headers = {**alice.unsafe, "content-type": hostile.content_type}
    return await alice.client.post(f"/v1/images/{hostile.call}", content=hostile.body, headers=headers)


async def test_every_hostile_upload_is_named_recorded_and_reaches_nobody(crew, server):
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        before = await alice.credits()
        for name, hostile in TABLE.items():
            answer = await send(alice, hostile)
            assert answer.status_code == hostile.status, (name, answer.text)
            error = answer.json()["error"]
            assert (error["param"], error["type"]) == (hostile.param, "invalid_request_error"), (name, error)
            assert answer.headers["x-should-retry"] == "false", name
            row = await bob.effect_of(answer.headers["x-request-id"])
            assert (row["effect"], row["reasons"]) == ("deny", ["request.invalid"]), name
        assert await alice.credits() == before
    assert server.requests == []


async def test_a_body_larger_than_it_may_be_is_refused_while_it_is_read(crew, server):
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:

        async def endless() -> AsyncIterator[bytes]:
            yield parts(FILE_PART, end="")
            for _ in range(200):
                yield bytes(1 << 20)

        headers = {**alice.unsafe, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = await alice.client.post("/v1/images/edits", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (413, "image")
        assert (await bob.effect_of(answer.headers["x-request-id"]))["effect"] == "deny"
    assert server.requests == []


async def test_who_is_not_known_sends_no_pictures(crew, server):
    async with httpx.AsyncClient(base_url=crew.url) as nobody:
        answer = await nobody.post("/v1/images/edits", files={"image": ("a.png", GOOD)}, data={"prompt": "a"})
    assert answer.status_code == 401
    assert server.requests == []


async def test_where_a_photo_was_taken_does_not_reach_the_model(crew, server):
    async with PersonAt(crew, "alice") as alice:
        for kind in ("JPEG", "PNG", "WEBP"):
            photo = photo_with_place(kind)
            assert GPS_CANARY.encode() in photo
            assert (await alice.edit("a hat", photo)).status_code == 200
    for files in server.files:
        assert GPS_CANARY.encode() not in files[0].data
        assert b"GPS" not in files[0].data
        assert not decode(files[0].data).getexif()
        assert files[0].name == "image-0.png"


ODD: dict[str, bytes] = {
    "CMYK": encode(colourful().convert("CMYK"), "JPEG"),
    "a palette": encode(colourful().convert("P")),
    "16 bits": encode(decode(png(64, 64)).convert("I;16")),
    "black and white": encode(colourful().convert("1")),
}


async def test_odd_pictures_and_names_go_on_as_plain_png(crew, server):
    async with PersonAt(crew, "alice") as alice:
        for data in ODD.values():
            files = [("image", ("../../etc/passwd\u202egnp.exe", data, "text/html"))]
            assert (await alice.post_form("edits", files, {"prompt": "a hat"})).status_code == 200
    assert [decode(files[0].data).mode for files in server.files] == ["RGB"] * len(ODD)
    assert "passwd" not in str(server.files)


async def test_the_record_knows_an_upload_by_its_digests_and_holds_no_picture(crew, server):
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        answer = await alice.edit("a hat", GOOD, mask())
        assert (await bob.effect_of(answer.headers["x-request-id"]))["action"] == "image:edit"
    log = b"".join(path.read_bytes() for path in crew.audit_directory.rglob("*") if path.is_file())
    assert GOOD[:64] not in log
    assert server.files[0][0].data[:64] not in log


async def test_credits_follow_the_number_of_pictures(crew, server):
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        assert (await alice.edit("a hat", GOOD, n="3")).status_code == 200
        assert await alice.credits() == before - 1
        assert (await alice.vary(GOOD, n="4")).status_code == 200
        assert await alice.credits() == before - 3


async def test_a_sensitive_prompt_with_a_picture_is_refused_before_the_picture_is_decoded(crew, server):
    async with PersonAt(crew, "alice") as alice:
        answer = await alice.edit("a poster with 4111 1111 1111 1111", BAD_FILES["a cut PNG"])
    assert answer.json()["error"]["code"] == "moderation_blocked"
    assert server.requests == []


SKETCH = {"regions": [{"label": "a fox", "box": [0, 0, 0.5, 1]}, {"label": "for jane@corp.com", "box": [0.5, 0, 1, 1]}]}


async def test_the_labels_of_a_sketch_are_masked_and_recorded(crew, server):
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        await alice.client.get("/v1/models")
        answer = await alice.generate("a picture", size="auto", sketch=SKETCH)
        assert answer.status_code == 200, answer.text
        assert (await bob.effect_of(answer.headers["x-request-id"]))["effect"] == "mask"
    labels = [region["label"] for region in server.requests[0]["sketch"]["regions"]]
    assert labels == ["a fox", "for someone@example.com"]


async def test_a_card_number_in_a_label_is_refused(crew, server):
    async with PersonAt(crew, "alice") as alice:
        for one, two in (("4111 1111 1111 1111", "a fox"), ("4111 1111", "1111 1111")):
            regions = [{"label": label, "box": [0, 0, 1, 1]} for label in (one, two)]
            answer = await alice.generate("a card", size="auto", sketch={"regions": regions})
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["moderation_details"]["categories"] == ["dlp.payment-card"]
            assert "4111" not in answer.text
    assert server.requests == []


@pytest.fixture
def cramped(tmp_path):
    """A gateway with room for one large upload, and no time to decode any."""
    changes: dict[str, Any] = {
        **UNHURRIED,
        "server": {**UNHURRIED["server"], "upload_room_bytes": 3_000_000, "upload_seconds": 5},
        "screening": {"upload_timeout_seconds": 0.001},
    }
    with Stack(tmp_path / "cramped", say=lambda _: None, with_model=False, settings=changes) as running:
        yield running


async def test_screening_that_has_no_time_is_a_no_and_a_full_house_says_when_to_come_back(cramped):
    async with ImageServerDouble(cramped.model_port) as server, PersonAt(cramped, "alice") as alice:
        late = await alice.edit("a hat", GOOD)
        assert (late.status_code, late.json()["error"]["code"]) == (400, "moderation_blocked")
        assert late.json()["error"]["moderation_details"]["categories"] == ["screening.unavailable"]
        opening = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield parts(FILE_PART, end="")
            opening.set()
            await asyncio.sleep(2)

        headers = {
            **alice.unsafe,
            "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            "content-length": "2500000",
        }
        sending = asyncio.create_task(alice.client.post("/v1/images/edits", content=slow(), headers=headers))
        await opening.wait()
        for _ in range(100):
            full = await alice.edit("a hat", encode(colourful(1000, 400), "PNG", compress_level=0))
            if full.status_code == 429:
                break
        assert (full.status_code, full.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(full.headers["retry-after"]) >= 1
        sending.cancel()
        async with PersonAt(cramped, "bob") as bob:
            row = await bob.effect_of(full.headers["x-request-id"])
        assert (row["effect"], row["reasons"]) == ("deny", ["request.no-room"])
        assert server.requests == []


async def test_room_goes_back_however_a_request_ends(crew, server):
    """A body without a length takes as much as may come, and four of those fill the house."""

    async def chunked(data: bytes) -> AsyncIterator[bytes]:
        yield data

    def form(picture: bytes) -> bytes:
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()
        return parts(text_part("prompt", "a hat"), end="") + head + picture + f"\r\n--{BOUNDARY}--\r\n".encode()

    async with PersonAt(crew, "alice") as alice:
        headers = {**alice.unsafe, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        for status, body in ((200, form(GOOD)), (400, form(b"no picture")), (400, b"no form")) * 5:
            answer = await alice.client.post("/v1/images/edits", content=chunked(body), headers=headers)
            assert answer.status_code == status, answer.text


async def test_who_hangs_up_in_the_middle_of_an_upload_leaves_nothing_behind(crew, server):
    async with PersonAt(crew, "alice") as alice:
        sending = asyncio.Event()

        async def cut_off() -> AsyncIterator[bytes]:
            yield parts(FILE_PART, end="")
            sending.set()
            await asyncio.sleep(60)

        headers = {**alice.unsafe, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        for _ in range(6):
            sending.clear()
            task = asyncio.create_task(alice.client.post("/v1/images/edits", content=cut_off(), headers=headers))
            await sending.wait()
            task.cancel()
        for _ in range(100):  # hanging up is noticed a moment later
            answer = await alice.edit("a hat", GOOD)
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.1)
        assert answer.status_code == 200, answer.text
    assert len(server.requests) == 1
