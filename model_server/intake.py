"""From the bytes of a body to a job: parse, check each field, then hold it against what the loaded model can do."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from model_server.errors import InvalidRequest, NotFound
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.wire import GenerationRequest, OutputFormat

OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("png", "webp", "jpeg")

_QUALITY_NAMES = {"auto": "medium", "standard": "medium", "hd": "high"}
_QUALITY_STEPS = {"low": 0.5, "medium": 1.0, "high": 2.0}
_RANDOM_SEEDS = 2**32
"""Seeds of our choosing stay far below 2**53, which every JSON reader holds exactly."""
_LONGEST_PARAM = 64

_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
_PLAIN_MESSAGES = {"missing": "is required", "extra_forbidden": "is not a parameter of this call"}


@dataclass(frozen=True, slots=True)
class Order:
    """A request that the loaded model can meet: the job for the engine and how to answer."""

    job: Job
    size: str
    quality: str
    output_format: OutputFormat
    output_compression: int
    partial_images: int
    stream: bool


def parse_request(body: bytes) -> GenerationRequest:
    """The request in the body. Raises InvalidRequest that names the field and never repeats its value."""
    try:
        content = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON, each name once.", code="invalid_json") from error
    if not isinstance(content, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    try:
        return GenerationRequest.model_validate(content)
    except ValidationError as error:
        # include_input=False: the offending value may be the prompt.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    kind = first["type"]
    param = str(first["loc"][0])[:_LONGEST_PARAM] if first["loc"] else None
    message = _PLAIN_MESSAGES.get(kind, first["msg"].removeprefix("Value error, "))
    code = _CODES.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")
    shown = "A field" if kind == "extra_forbidden" else f"'{param}'"  # a name we do not know is the caller's own text
    raise InvalidRequest(f"{shown}: {message}.", param=param, code=code)


def resolve(request: GenerationRequest, model: Capabilities) -> Order:
    """What the request comes to on this model. Raises InvalidRequest or NotFound, listing what would do."""
    if request.model is not None and request.model != model.name:
        raise NotFound(
            f"This server has one model: {model.name}. Ask for it, or leave `model` out.",
            param="model",
            code="model_not_found",
        )
    _supported("response_format", request.response_format, ("b64_json",))
    _supported("background", request.background, ("auto", "opaque"))
    quality = _QUALITY_NAMES.get(request.quality, request.quality)
    _supported("quality", quality, ("auto", *_QUALITY_STEPS, *_QUALITY_NAMES))
    if request.partial_images and not request.stream:
        raise InvalidRequest("'partial_images' needs `stream: true`.", param="partial_images")
    offered = [f"{width}x{height}" for width, height in model.sizes]
    size = offered[0] if request.size == "auto" else request.size
    _supported("size", size, ("auto", *offered))
    width, height = model.sizes[offered.index(size)]
    wanted_steps = request.steps or _clamp(round(model.steps.default * _QUALITY_STEPS[quality]), model.steps)
    _in_limits("steps", wanted_steps, model.steps)
    guidance = model.guidance.default if request.guidance is None else request.guidance
    _in_limits("guidance", guidance, model.guidance)
    job = Job(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        count=request.n,
        width=width,
        height=height,
        steps=wanted_steps,
        guidance=float(guidance),
        seed=secrets.randbelow(_RANDOM_SEEDS) if request.seed is None else request.seed,
    )
    compression = request.output_compression
    return Order(job, size, quality, request.output_format, compression, request.partial_images, request.stream)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers that pick different twins are how a screened prompt and a drawn one come to differ.
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("duplicate name")
    return content


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _supported(param: str, value: str, offered: Sequence[str]) -> None:
    if value not in offered:
        raise InvalidRequest(
            f"'{param}': this model can do {', '.join(offered)}.", param=param, code="unsupported_value"
        )


def _in_limits(param: str, value: float, limits: Limits) -> None:
    if not limits.holds(value):
        raise InvalidRequest(
            f"'{param}': this model takes {limits.minimum:g} to {limits.maximum:g}.",
            param=param,
            code="unsupported_value",
        )


def _clamp(value: int, limits: Limits) -> int:
    return int(min(max(value, limits.minimum), limits.maximum))
