from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from model_server.wire import GenerationRequest


def test_importing_the_wire_loads_neither_torch_nor_the_server() -> None:
    code = (
        "import sys, model_server.wire; "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'diffusers', 'transformers', 'fastapi', 'PIL')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_a_prompt_alone_is_a_request() -> None:
    request = GenerationRequest(prompt="a fox")
    assert (request.n, request.size, request.output_format, request.stream, request.partial_images) == (
        1,
        "auto",
        "png",
        False,
        0,
    )
    assert request.seed is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "  \n "),
        ("prompt", "x" * 32_001),
        ("prompt", 5),
        ("prompt", None),
        ("prompt", "half a pair \ud83d"),
        ("model", "m" * 129),
        ("model", 1),
        ("n", 0),
        ("n", 11),
        ("n", -1),
        ("n", "2"),
        ("n", 2.5),
        ("n", True),
        ("size", "999999x1"),
        ("size", "0x10"),
        ("size", "10"),
        ("size", "10x10\n"),
        ("size", "../../etc"),
        ("size", 512),
        ("quality", "best"),
        ("background", "blue"),
        ("output_format", "gif"),
        ("output_compression", 101),
        ("output_compression", -1),
        ("response_format", "file"),
        ("stream", "true"),
        ("stream", 1),
        ("partial_images", 4),
        ("partial_images", -1),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", "7"),
        ("steps", 0),
        ("steps", 1001),
        ("steps", 2.5),
        ("guidance", -0.1),
        ("guidance", 51),
        ("guidance", float("nan")),
        ("guidance", float("inf")),
        ("guidance", "3"),
        ("negative_prompt", "x" * 32_001),
        ("negative_prompt", "\udc00"),
        ("negative_prompt", None),
        ("moderation", "off"),
        ("style", "noir"),
        ("user", "u" * 513),
        ("safety_identifier", 5),
        ("surprise", 1),
    ],
)
def test_a_wrong_value_is_refused_and_the_field_named(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerationRequest.model_validate({"prompt": "a fox", field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 1),
        ("n", 10),
        ("prompt", "x" * 32_000),
        ("seed", 0),
        ("seed", 2**63 - 1),
        ("guidance", 3),
        ("guidance", 0.0),
        ("steps", 1000),
        ("partial_images", 3),
        ("size", "1024x1536"),
        ("output_compression", 0),
        ("user", "someone"),
        ("quality", "hd"),
    ],
)
def test_the_edges_of_each_field_are_inside(field: str, value: object) -> None:
    request = GenerationRequest.model_validate({"prompt": "a fox", field: value})
    assert getattr(request, field) == value


def test_a_request_cannot_be_changed_after_it_was_checked() -> None:
    request = GenerationRequest(prompt="a fox")
    with pytest.raises(ValidationError):
        request.prompt = "something else"  # type: ignore[misc]
