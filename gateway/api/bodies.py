"""The Images API's request bodies, checked field by field before anything else looks at them.

Shapes: the OpenAI Images reference and the types of `openai` 3.54. Every complaint names the field, says what was
expected, and never repeats what was sent.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from gateway.errors import InvalidRequest, UnsupportedMedia
from gateway.exchange import ImageRequest
from gateway.upstream.catalogue import Model
from gateway.vocabulary import Permission

MAX_PROMPT_CHARS: Final = 32_000
MAX_PICTURES: Final = 10
MAX_WIDTH, MAX_HEIGHT = 3840, 3840
MAX_PIXELS: Final = 3840 * 2160
MAX_ASPECT: Final = 3
LEGACY_SIZES: Final = frozenset({"256x256", "512x512", "1792x1024", "1024x1792"})

FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, and the bidi overrides that make a text read otherwise than it is (CVE-2021-42574). Right-to-left
languages need none of them."""

EXPECTED: Final = {
    "prompt": f"a text of 1 to {MAX_PROMPT_CHARS:,} characters",
    "model": "the id of a model (GET /v1/models lists them)",
    "n": f"a whole number from 1 to {MAX_PICTURES}",
    "size": 'auto or "WIDTHxHEIGHT"',
    "quality": "auto, low, medium, high, standard or hd",
    "background": "auto, opaque or transparent",
    "output_format": "png, webp or jpeg",
    "output_compression": "a whole number from 0 to 100",
    "moderation": "auto or low",
    "stream": "true or false",
    "partial_images": "a whole number from 0 to 3",
    "response_format": "b64_json or url",
    "style": "vivid or natural",
    "seed": "a whole number from 0 to 2^63-1",
    "steps": "a whole number from 1 to 200",
    "guidance": "a number from 0 to 30",
    "negative_prompt": f"a text of at most {MAX_PROMPT_CHARS:,} characters",
    "safety_identifier": "a text of at most 64 characters",
    "user": "a text of at most 256 characters",
}


class GenerationBody(BaseModel):
    """`POST /v1/images/generations`, plus the fields of our own model server."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    prompt: Annotated[StrictStr, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
    model: Annotated[StrictStr, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MAX_PICTURES)] | None = None
    size: StrictStr | None = None
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    moderation: Literal["auto", "low"] | None = None
    stream: StrictBool | None = None
    partial_images: Annotated[StrictInt, Field(ge=0, le=3)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    style: Literal["vivid", "natural"] | None = None
    safety_identifier: Annotated[StrictStr, Field(max_length=64)] | None = None
    user: Annotated[StrictStr, Field(max_length=256)] | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[StrictInt, Field(ge=1, le=200)] | None = None
    guidance: Annotated[StrictFloat | StrictInt, Field(ge=0, le=30)] | None = None
    negative_prompt: Annotated[StrictStr, Field(max_length=MAX_PROMPT_CHARS)] | None = None


async def read_json(request: Request) -> dict[str, Any]:
    """The body as one JSON object. Duplicate keys are refused: two readers could see two different requests."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("Send the request as application/json.", param="content-type")
    try:
        value = json.loads(await request.body(), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except RecursionError as error:
        raise InvalidRequest("The JSON is nested too deeply.", code="invalid_json") from error
    except ValueError as error:
        if isinstance(error, _BadJson):
            raise InvalidRequest(str(error), code="invalid_json") from None
        raise InvalidRequest("The body is not valid JSON (UTF-8).", code="invalid_json") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    return value


def generation(body: dict[str, Any], models: dict[str, Model], default_model: str) -> ImageRequest:
    """A checked request. Raises InvalidRequest with the field in `param`."""
    try:
        asked = GenerationBody.model_validate(body)
    except ValidationError as error:
        raise _complaint(error) from None
    for name in ("prompt", "negative_prompt"):
        _check_text(name, getattr(asked, name) or "")
    if not asked.prompt.strip():
        raise _wrong("prompt")
    model = asked.model or default_model
    known = models.get(model)
    if models and known is None:
        raise InvalidRequest(
            f"model: there is no such model. You can use: {', '.join(sorted(models))}.",
            param="model",
            code="model_not_found",
        )
    size = asked.size or "auto"
    _check_size(size, known)
    if asked.background == "transparent":
        raise InvalidRequest(
            "background: this model paints opaque pictures only.", param="background", code="unsupported_value"
        )
    if asked.stream and asked.response_format == "url":
        raise InvalidRequest(
            "response_format: a stream carries its pictures as b64_json.",
            param="response_format",
            code="unsupported_value",
        )
    options = {name: value for name in ("steps", "guidance") if (value := getattr(asked, name)) is not None}
    return ImageRequest(
        action=Permission.IMAGE_GENERATE,
        prompt=asked.prompt,
        model=model,
        negative_prompt=asked.negative_prompt or "",
        n=asked.n or 1,
        size=size,
        quality=asked.quality or "auto",
        background=asked.background or "auto",
        output_format=asked.output_format or "png",
        output_compression=100 if asked.output_compression is None else asked.output_compression,
        moderation=asked.moderation or "auto",
        response_format=asked.response_format or "b64_json",
        stream=bool(asked.stream),
        partial_images=asked.partial_images or 0,
        style=asked.style or "",
        safety_identifier=asked.safety_identifier or asked.user or "",
        seed=asked.seed,
        options=options,
    )


def _check_size(size: str, model: Model | None) -> None:
    if size == "auto":
        return
    match = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})", size)
    if match is None:
        raise _wrong("size")
    width, height = int(match[1]), int(match[2])
    if size not in LEGACY_SIZES and (
        width % 16
        or height % 16
        or width * height > MAX_PIXELS
        or max(width, height) > MAX_WIDTH
        or max(width, height) > MAX_ASPECT * min(width, height)
    ):
        raise InvalidRequest(
            f"size: width and height must be multiples of 16, at most 3:1, and at most {MAX_PIXELS:,} pixels.",
            param="size",
            code="unsupported_value",
        )
    if model is not None and model.sizes and size not in model.sizes:
        raise InvalidRequest(
            f"size: this model makes {', '.join(s for s in model.sizes if s != 'auto')} (or auto).",
            param="size",
            code="unsupported_value",
        )


def _check_text(name: str, text: str) -> None:
    found = FORBIDDEN.search(text)
    if found is not None:
        raise InvalidRequest(
            f"{name}: character {found.start() + 1} is a control character (U+{ord(found[0]):04X}). Remove it.",
            param=name,
        )


def _complaint(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "body"
    if first["type"] == "missing":
        return InvalidRequest(
            f"{name}: missing. Expected {EXPECTED[name]}.", param=name, code="missing_required_parameter"
        )
    if first["type"] == "extra_forbidden":
        # The name came from the caller: shown only when it could be a field's name and nothing else.
        shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "a field"
        return InvalidRequest(f"{shown}: unknown. Remove it.", param=shown, code="unknown_parameter")
    return _wrong(name)


def _wrong(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: expected {EXPECTED[name]}.", param=name)


class _BadJson(ValueError):
    """Carries a sentence of ours, unlike the parser's own errors, which can quote the body."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadJson("A key stands twice in the JSON body.")
    return found


def _no_constants(name: str) -> Any:
    raise _BadJson("NaN and Infinity are not JSON.")
