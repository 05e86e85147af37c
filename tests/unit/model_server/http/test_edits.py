"""Edits and variations over real HTTP."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from model_server.wire import CompletedEvent, ErrorEnvelope, ImagesResponse, ModelList, ProgressEvent
from tests.unit.model_server.support import PacedModel, Running, serving, token

EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8))


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def hole(width: int, height: int) -> Image.Image:
    """A mask whose right half is to be painted."""
    mask = Image.new("RGBA", (width, height), "black")
    mask.paste((0, 0, 0, 0), (width // 2, 0, width, height))
    return mask


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def post(server: Running, path: str, files: dict[str, bytes], **fields: object) -> httpx.Response:
    data = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()}
    named = {name: ("../../a name.png", content, "image/png") for name, content in files.items()}
    return server.client.post(path, files=named, data=data)


def error_of(response: httpx.Response) -> tuple[int, str, str | None]:
    envelope = ErrorEnvelope.model_validate_json(response.text)
    return response.status_code, envelope.error.code, envelope.error.param


def events_of(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    assert response.status_code == 200, response.text
    blocks = [block for block in response.text.split("\n\n") if block.startswith("event")]
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


@pytest.mark.parametrize("size", [(48, 48), (90, 30), (31, 77)])
def test_an_edit_under_a_mask_changes_painted_pixels_and_no_other_bit(server: Running, size: tuple[int, int]) -> None:
    picture = noise(*size)
    response = post(
        server,
        EDITS,
        {"image": png(picture), "mask": png(hole(*size))},
        prompt="red apple",
        n=2,
        seed=7,
        steps=3,
    )
    answer = ImagesResponse.model_validate_json(response.text)
    assert answer.size == f"{size[0]}x{size[1]}"
    assert (answer.provenance.rendered_size, answer.provenance.seed) == ("16x16", 7)
    kept = size[0] // 2
    for datum in answer.data:
        made = np.asarray(decoded(datum.b64_json))
        assert (made[:, :kept] == np.asarray(picture)[:, :kept]).all()
        assert (made[:, kept + 2 :] != np.asarray(picture)[:, kept + 2 :]).any()
    assert len({datum.b64_json for datum in answer.data}) == 2


def test_pictures_sent_are_counted_as_input(server: Running) -> None:
    files = {"image": png(noise(20, 20)), "mask": png(hole(20, 20))}
    usage = ImagesResponse.model_validate_json(post(server, EDITS, files, prompt="red apple", steps=1).text).usage
    assert (usage.input_tokens_details.image_tokens, usage.input_tokens_details.text_tokens) == (128, 2)
    assert usage.total_tokens == 130 + usage.output_tokens


def test_a_variation_keeps_the_size_and_tells_its_strength(server: Running) -> None:
    answer = ImagesResponse.model_validate_json(
        post(server, VARIATIONS, {"image": png(noise(40, 40))}, strength="0.5", seed=1, steps=4).text
    )
    assert (answer.size, answer.provenance.strength) == ("40x40", 0.5)
    assert decoded(answer.data[0].b64_json).size == (40, 40)


def test_the_same_edit_gives_the_same_bytes_and_another_picture_others(server: Running) -> None:
    def made(picture: Image.Image, path: str) -> str:
        fields = {} if path == VARIATIONS else {"prompt": "fox"}
        response = post(server, path, {"image": png(picture)}, seed=3, steps=4, strength="0.5", **fields)
        return str(response.json()["data"][0]["b64_json"])

    for path in (EDITS, VARIATIONS):
        assert made(noise(16, 16), path) == made(noise(16, 16), path)
        assert made(noise(16, 16), path) != made(Image.new("RGB", (16, 16), "red"), path)


@pytest.mark.parametrize(("path", "stem"), [(EDITS, "image_edit"), (VARIATIONS, "image_variation")])
def test_a_stream_calls_its_events_by_the_call(server: Running, path: str, stem: str) -> None:
    fields = {} if path == VARIATIONS else {"prompt": "fox"}
    given = {"seed": 3, "steps": 4, "strength": "1", "n": 2, **fields}
    files = {"image": png(noise(32, 32))}
    events = events_of(post(server, path, files, stream=True, partial_images=1, **given))
    names = [name for name, _ in events]
    assert set(names) == {f"{stem}.progress", f"{stem}.partial_image", f"{stem}.completed"}
    assert all(name == data["type"] for name, data in events)
    ProgressEvent.model_validate_json(json.dumps(events[0][1]))
    completed = [CompletedEvent.model_validate_json(json.dumps(data)) for name, data in events if "completed" in name]
    plain = ImagesResponse.model_validate_json(post(server, path, files, **given).text)
    assert [event.b64_json for event in completed] == [datum.b64_json for datum in plain.data]
    assert sum(event.usage.total_tokens for event in completed) == plain.usage.total_tokens
    assert completed[0].size == "32x32"


def test_an_explicit_size_and_format_are_kept(server: Running) -> None:
    files = {"image": png(noise(90, 30))}
    response = post(server, EDITS, files, prompt="fox", steps=1, size="256x256", output_format="webp")
    picture = decoded(response.json()["data"][0]["b64_json"])
    assert (picture.format, picture.size) == ("WEBP", (256, 256))


@pytest.mark.parametrize(
    ("path", "files", "fields", "expected"),
    [
        (EDITS, {}, {"prompt": "fox"}, (415, "unsupported_media_type", None)),
        (EDITS, {"mask": png(hole(9, 9))}, {"prompt": "fox"}, (400, "missing_required_parameter", "image")),
        (EDITS, {"image": png(noise(9, 9))}, {}, (400, "missing_required_parameter", "prompt")),
        (EDITS, {"image": b"<svg/>"}, {"prompt": "fox"}, (400, "invalid_image", "image")),
        (
            EDITS,
            {"image": png(noise(9, 9)), "mask": png(hole(8, 9))},
            {"prompt": "fox"},
            (400, "invalid_image", "mask"),
        ),
        (EDITS, {"image": png(noise(9, 9))}, {"prompt": "fox", "n": "0"}, (400, "invalid_value", "n")),
        (EDITS, {"image": png(noise(9, 9))}, {"prompt": "fox", "sketch": "{}"}, (400, "unknown_parameter", "sketch")),
        (EDITS, {"image": png(noise(9, 9))}, {"prompt": "fox", "model": "m"}, (404, "model_not_found", "model")),
        (EDITS, {"image": png(noise(9, 9)), "file": b""}, {"prompt": "fox"}, (400, "unknown_parameter", "file")),
        (VARIATIONS, {"image": png(noise(9, 9))}, {"prompt": "fox"}, (400, "unknown_parameter", "prompt")),
        (VARIATIONS, {"image": png(noise(9, 8))}, {}, (400, "invalid_image", "image")),
        (VARIATIONS, {"image": b"\0" * 4_000_001}, {}, (413, "request_too_large", "image")),
    ],
    ids=range(12),
)
def test_each_refusal_has_the_one_shape(
    server: Running,
    path: str,
    files: dict[str, bytes],
    fields: dict[str, str],
    expected: tuple[int, str, str | None],
) -> None:
    assert error_of(post(server, path, files, **fields)) == expected


def test_json_is_no_form_and_a_form_no_json(server: Running) -> None:
    assert error_of(server.client.post(EDITS, json={"prompt": "fox"}))[0] == 415
    files = {"image": ("a", png(noise(9, 9)))}
    assert error_of(server.client.post("/v1/images/generations", files=files, data={"prompt": "fox"}))[0] == 415


def test_without_a_token_no_picture_is_even_read(slow: Running) -> None:
    for path in (EDITS, VARIATIONS):
        assert httpx.post(slow.url + path, files={"image": ("a", b"x")}).status_code == 401


def test_several_models_are_listed_and_chosen_by_name() -> None:
    first, second = PacedModel(), PacedModel(name="other", tasks=("generate",), has_sketch=False, licence="ours")
    with serving(first, second) as server:
        listed = ModelList.model_validate_json(server.client.get("/v1/models").text).data
        assert [model.id for model in listed] == ["paced", "other"]
        assert (listed[0].tasks, listed[0].sketch, listed[0].max_input_images) == (
            ("generate", "edit", "vary"),
            True,
            16,
        )
        assert listed[0].strength is not None
        assert (listed[1].tasks, listed[1].sketch, listed[1].strength, listed[1].licence) == (
            ("generate",),
            False,
            None,
            "ours",
        )
        for asked, made in ((None, "paced"), ("paced", "paced"), ("other", "other")):
            body = {"prompt": "x"} if asked is None else {"prompt": "x", "model": asked}
            answer = server.client.post("/v1/images/generations", json=body).json()
            assert answer["provenance"]["model"] == made
        response = post(server, EDITS, {"image": png(noise(9, 9))}, prompt="fox", model="other")
        assert error_of(response) == (400, "unsupported_value", "model")
        response = server.client.post("/v1/images/generations", json={"prompt": "x", "model": "third"})
        assert "paced, other" in response.text


def test_the_unmodified_sdk_edits_and_varies(server: Running) -> None:
    def client() -> openai.OpenAI:
        return openai.OpenAI(base_url=server.url + "/v1", api_key=token(), max_retries=0)

    images = [("a.png", png(noise(24, 24)), "image/png")]
    edited = client().images.edit(
        image=images, mask=("m.png", png(hole(24, 24)), "image/png"), prompt="fox", n=1, extra_body={"steps": 2}
    )
    assert edited.data is not None
    assert decoded(edited.data[0].b64_json or "").size == (24, 24)
    varied = client().images.create_variation(image=images[0], n=2)
    assert varied.data is not None
    assert len(varied.data) == 2
    with pytest.raises(openai.BadRequestError) as caught:
        client().images.edit(image=("a.png", b"x", "image/png"), prompt="fox")
    assert caught.value.param == "image"
