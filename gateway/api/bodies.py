"""The Images API's request bodies, checked field by field before anything else looks at them: JSON as it came, forms
after `forms` has read them.

Shapes: the OpenAI Images reference and the types of `openai` 3.54. Every complaint names the field, says what was
expected, and never repeats what was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from gateway.errors import InvalidRequest, UnsupportedMedia
from gateway.exchange import ImageRequest, SketchRegion, Upload
from gateway.upstream.catalogue import Model
from gateway.upstream.fields import NOT_FOR_VARIATIONS
from gateway.vocabulary import TASKS, Permission

MAX_PROMPT_CHARS: Final = 32_000
MAX_PICTURES: Final = 10
MAX_WIDTH, MAX_HEIGHT = 3840, 3840
MAX_PIXELS: Final = 3840 * 2160
MAX_ASPECT: Final = 3
MAX_REGIONS, MAX_LABEL_CHARS, MAX_STROKE_POINTS = 16, 100, 500
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
    "sketch": f'{{"regions": [...]}} with 1 to {MAX_REGIONS} regions, each a box or a stroke in shares from 0 to 1',
    "strength": "a number above 0, at most 1",
    "input_fidelity": "high or low",
}

OWN_FIELDS: Final = ("seed", "steps", "guidance", "negative_prompt", "strength", "sketch")
"""Not OpenAI's: sent only to a server whose list of models says that it knows them."""

Prompt = Annotated[StrictStr, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
Number = StrictFloat | StrictInt
Share = Annotated[Number, Field(ge=0, le=1)]
Strength = Annotated[Number, Field(gt=0, le=1)]


class _Body(BaseModel):
    """What all three calls take, plus the fields of our own model server."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: Annotated[StrictStr, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MAX_PICTURES)] | None = None
    size: StrictStr | None = None
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    stream: StrictBool | None = None
    partial_images: Annotated[StrictInt, Field(ge=0, le=3)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    safety_identifier: Annotated[StrictStr, Field(max_length=64)] | None = None
    user: Annotated[StrictStr, Field(max_length=256)] | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[StrictInt, Field(ge=1, le=200)] | None = None
    guidance: Annotated[Number, Field(ge=0, le=30)] | None = None
    negative_prompt: Annotated[StrictStr, Field(max_length=MAX_PROMPT_CHARS)] | None = None


class RegionBody(BaseModel):
    """One thing of a sketch: a box (left, top, right, bottom) or a brush stroke, never both."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    label: Annotated[StrictStr, Field(max_length=MAX_LABEL_CHARS)] = ""
    box: tuple[Share, Share, Share, Share] | None = None
    stroke: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=1, max_length=MAX_STROKE_POINTS)] | None = None
    width: Strength = 0.1

    @model_validator(mode="after")
    def _is_one_shape(self) -> RegionBody:
        if (self.box is None) == (self.stroke is None):
            raise ValueError("a box or a stroke")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("left, top, right, bottom")
        return self


class SketchBody(BaseModel):
    """What stands where. Later regions cover earlier ones."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    regions: Annotated[tuple[RegionBody, ...], Field(min_length=1, max_length=MAX_REGIONS)]


class GenerationBody(_Body):
    """`POST /v1/images/generations`."""

    prompt: Prompt
    moderation: Literal["auto", "low"] | None = None
    style: Literal["vivid", "natural"] | None = None
    sketch: SketchBody | None = None


class EditBody(_Body):
    """The texts of `POST /v1/images/edits`."""

    prompt: Prompt
    input_fidelity: Literal["high", "low"] | None = None
    strength: Strength | None = None


class VariationBody(_Body):
    """The texts of `POST /v1/images/variations`."""

    strength: Strength | None = None


async def read_json(request: Request) -> dict[str, Any]:
    """The body as one JSON object. Duplicate keys are refused: two readers could see two different requests."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("Send this request as application/json.", param="content-type")
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


def generation(body: Mapping[str, Any], models: Mapping[str, Model], default_model: str) -> ImageRequest:
    """A checked request for pictures from a prompt. Raises InvalidRequest with the field in `param`."""
    return _request(Permission.IMAGE_GENERATE, _checked(GenerationBody, body), (), models, default_model)


def edit(
    body: Mapping[str, Any], uploads: Sequence[Upload], models: Mapping[str, Model], default_model: str
) -> ImageRequest:
    """A checked request to edit the pictures that came along. Raises InvalidRequest with the field in `param`."""
    return _request(Permission.IMAGE_EDIT, _checked(EditBody, body), uploads, models, default_model)


def variation(
    body: Mapping[str, Any], uploads: Sequence[Upload], models: Mapping[str, Model], default_model: str
) -> ImageRequest:
    """A checked request for variations of a picture. Raises InvalidRequest with the field in `param`."""
    return _request(Permission.IMAGE_VARY, _checked(VariationBody, body), uploads, models, default_model)


_Checked = TypeVar("_Checked", bound=_Body)


def _checked(shape: type[_Checked], body: Mapping[str, Any]) -> _Checked:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise _complaint(error) from None


def _request(
    action: Permission, asked: _Body, uploads: Sequence[Upload], models: Mapping[str, Model], default_model: str
) -> ImageRequest:
    prompt = getattr(asked, "prompt", "")
    _check_text("prompt", prompt)
    _check_text("negative_prompt", asked.negative_prompt or "")
    if action is not Permission.IMAGE_VARY and not prompt.strip():
        raise _wrong("prompt")
    sketch = _sketch(getattr(asked, "sketch", None))
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
        raise _unsupported("background", "this model paints opaque pictures only")
    if asked.stream and asked.response_format == "url":
        raise _unsupported("response_format", "a stream carries its pictures as b64_json")
    if known is not None:
        _check_abilities(action, asked, uploads, known)
    named = ("steps", "guidance", "strength", "input_fidelity")
    return ImageRequest(
        action=action,
        prompt=prompt,
        model=model,
        negative_prompt=asked.negative_prompt or "",
        n=asked.n or 1,
        size=size,
        quality=asked.quality or "auto",
        background=asked.background or "auto",
        output_format=asked.output_format or "png",
        output_compression=100 if asked.output_compression is None else asked.output_compression,
        moderation=getattr(asked, "moderation", None) or "auto",
        response_format=asked.response_format or "b64_json",
        stream=bool(asked.stream),
        partial_images=asked.partial_images or 0,
        style=getattr(asked, "style", None) or "",
        safety_identifier=asked.safety_identifier or asked.user or "",
        seed=asked.seed,
        options={name: value for name in named if (value := getattr(asked, name, None)) is not None},
        sketch=sketch,
        uploads=tuple(uploads),
    )


def _sketch(asked: SketchBody | None) -> tuple[SketchRegion, ...]:
    regions = () if asked is None else asked.regions
    for region in regions:
        _check_text("sketch", region.label)
    return tuple(
        SketchRegion(label=region.label, box=region.box, stroke=region.stroke, width=region.width) for region in regions
    )


def _check_abilities(action: Permission, asked: _Body, uploads: Sequence[Upload], model: Model) -> None:
    """Refuse here what the model has said that it can't do, before anything is charged or sent."""
    task = TASKS[action]
    if model.tasks and task not in model.tasks:
        raise _unsupported("model", f"this model can't {task}; it can {', '.join(model.tasks)}")
    pictures = sum(upload.field != "mask" for upload in uploads)
    if model.max_input_images and pictures > model.max_input_images:
        raise _unsupported("image", f"this model takes at most {model.max_input_images}, and {pictures} came")
    own = OWN_FIELDS if action is not Permission.IMAGE_VARY else (*OWN_FIELDS, *NOT_FOR_VARIATIONS)
    for name in own:
        if getattr(asked, name, None) is not None and name not in model.knows:
            raise _unsupported(name, "this model does not know it here; leave it out")


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
        raise _unsupported(
            "size", f"width and height must be multiples of 16, at most 3:1, and at most {MAX_PIXELS:,} pixels"
        )
    if model is not None and model.sizes and size not in model.sizes:
        raise _unsupported("size", f"this model makes {', '.join(s for s in model.sizes if s != 'auto')} (or auto)")


def _unsupported(name: str, what: str) -> InvalidRequest:
    """The API knows the value, this model can't do it."""
    return InvalidRequest(f"{name}: {what}.", param=name, code="unsupported_value")


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
