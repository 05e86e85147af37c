from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import InvalidRequest, NotFound
from model_server.intake import parse_request, resolve
from model_server.pipelines.port import Capabilities, Limits
from model_server.wire import GenerationRequest

MODEL = Capabilities(
    name="small",
    digest="sha256:x",
    owner="tests",
    description="",
    scheduler="euler",
    sizes=((512, 512), (256, 256)),
    rendered=(64, 64),
    steps=Limits(20, 2, 50),
    guidance=Limits(3.0, 1.0, 10.0),
    output_tokens=64,
)


def ask(**fields: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": "a fox", **fields})


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'"a fox"', "invalid_json", None),
        (b"\xff\xfe\x00", "invalid_json", None),
        (b'{"prompt": "a", "guidance": NaN}', "invalid_json", None),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"{}", "missing_required_parameter", "prompt"),
        (b'{"prompt": "a", "colour": 1}', "unknown_parameter", "colour"),
        (b'{"prompt": 1}', "invalid_type", "prompt"),
        (b'{"prompt": "a", "n": 0}', "invalid_value", "n"),
        (b'{"prompt": "a", "n": true}', "invalid_type", "n"),
    ],
)
def test_a_body_that_is_not_a_request_is_refused_with_the_field_named(
    body: bytes, code: str, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(body)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(b'{"prompt": "a kind fox", "prompt": "another"}')
    assert caught.value.code == "invalid_json"


@given(
    st.dictionaries(
        st.text(max_size=12), st.one_of(st.integers(), st.text(max_size=60), st.none(), st.lists(st.booleans()))
    )
)
def test_no_refusal_repeats_what_was_sent(content: dict[str, object]) -> None:
    content = {**content, "prompt": "MARK-OF-THE-PROMPT " + str(content.get("prompt", "")), "n": "MARK-OF-THE-VALUE"}
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(content).encode())
    assert "MARK" not in caught.value.envelope.model_dump_json()


def test_what_is_left_out_is_filled_with_the_models_own_defaults() -> None:
    order = resolve(ask(seed=7), MODEL)
    assert order.job.steps == 20
    assert order.job.guidance == 3.0
    assert (order.job.width, order.job.height, order.size) == (512, 512, "512x512")
    assert (order.quality, order.output_format, order.job.seed, order.job.count) == ("medium", "png", 7, 1)


@pytest.mark.parametrize(
    ("quality", "steps"), [("low", 10), ("medium", 20), ("auto", 20), ("standard", 20), ("high", 40), ("hd", 40)]
)
def test_quality_sets_the_steps_when_none_are_given(quality: str, steps: int) -> None:
    assert resolve(ask(quality=quality), MODEL).job.steps == steps
    assert resolve(ask(quality=quality, steps=5), MODEL).job.steps == 5


def test_a_seed_is_chosen_when_none_is_given_and_differs_each_time() -> None:
    seeds = {resolve(ask(), MODEL).job.seed for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.parametrize(
    ("fields", "param", "lists"),
    [
        ({"size": "1024x1024"}, "size", "512x512, 256x256"),
        ({"size": "99999x99999"}, "size", "512x512, 256x256"),
        ({"steps": 1}, "steps", "2 to 50"),
        ({"steps": 51}, "steps", "2 to 50"),
        ({"guidance": 0.5}, "guidance", "1 to 10"),
        ({"guidance": 11}, "guidance", "1 to 10"),
        ({"background": "transparent"}, "background", "opaque"),
        ({"response_format": "url"}, "response_format", "b64_json"),
        ({"quality": "xhigh"}, "quality", "low, medium, high"),
    ],
)
def test_what_the_model_cannot_do_is_refused_listing_what_it_can(
    fields: dict[str, object], param: str, lists: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(ask(**fields), MODEL)
    assert (caught.value.code, caught.value.param, caught.value.status) == ("unsupported_value", param, 400)
    assert lists in caught.value.message


def test_another_model_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        resolve(ask(model="dall-e-3"), MODEL)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert resolve(ask(model="small"), MODEL).job.prompt == "a fox"


def test_partial_images_without_a_stream_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(ask(partial_images=1), MODEL)
    assert caught.value.param == "partial_images"
    assert resolve(ask(partial_images=1, stream=True), MODEL).partial_images == 1
