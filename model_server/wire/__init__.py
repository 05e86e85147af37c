"""The types of the wire: what a caller sends and what comes back. Imports neither torch nor the rest of the server.

The shape is the OpenAI Images API: `POST /v1/images/generations` (JSON), `/v1/images/edits` and `/v1/images/variations`
(multipart), plain or as server-sent events. Ours on top: `seed`, `steps`, `guidance`, `negative_prompt`, `strength`,
`sketch`; the events `*.progress`; and `provenance` in every answer: enough to make the same picture again, byte for
byte, on the same model.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

JWT_ISSUER = "imprimatur-gateway"
JWT_AUDIENCE = "imprimatur-model-server"
JWT_ALGORITHM = "HS256"
JWT_LIFETIME_SECONDS = 60
"""A caller's token may end at most this long after now; each call carries a fresh one."""

REQUEST_ID_HEADER = "x-request-id"
"""A caller may name its request here (8 to 64 of `A-Za-z0-9_-`), to look it up and to cancel it; else we name it."""
TENANT_HEADER = "x-imprimatur-tenant"
"""Whose turn a request takes (1 to 64 of `A-Za-z0-9_-`): tenants share the device fairly. Opaque: an HMAC, no name."""
CLASS_HEADER = "x-imprimatur-class"
"""`interactive` (someone waits; the default), `preview` (a quick draft) or `batch` (nobody waits)."""
DEADLINE_HEADER = "x-imprimatur-deadline-seconds"
"""After so many seconds (0.1 to 86,400) nobody wants the pictures any more: the request is ended, or refused at once
when it could not be met."""

MAX_PROMPT_CHARACTERS = 32_000
MAX_PICTURES = 10
MAX_PARTIAL_IMAGES = 3
MAX_SEED = 2**63 - 1
MAX_STEPS = 1_000
MAX_GUIDANCE = 50.0
MAX_INPUT_IMAGES = 16
MAX_IMAGE_BYTES = 50_000_000
"""Of each picture sent for an edit; a mask and a picture to vary may have `MAX_MASK_BYTES` (the Images reference)."""
MAX_MASK_BYTES = 4_000_000
MAX_REGIONS = 16
MAX_STROKE_POINTS = 500

OutputFormat = Literal["png", "webp", "jpeg"]
Quality = Literal["auto", "low", "medium", "high", "standard", "hd", "xhigh", "max"]
JobState = Literal["queued", "running", "completed", "cancelled", "failed"]
Task = Literal["generate", "edit", "vary"]
Class = Literal["interactive", "preview", "batch"]
RequestIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class WireModel(BaseModel):
    """Strict both ways: `"1"` is not 1, and an unknown field is an error rather than silently without effect."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _PictureRequest(WireModel):
    """What all three calls take. Defaults are the model's own, so that a bare call gives its best."""

    model: str | None = Field(None, max_length=128, description="Id from /v1/models; absent: the first that is loaded.")
    n: int = Field(1, ge=1, le=MAX_PICTURES, description="Pictures; picture i is made from noise of seed + i.")
    size: str = Field("auto", pattern=r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$", description="auto or WIDTHxHEIGHT.")
    quality: Quality = Field("auto", description="How many steps, when `steps` is absent: low half, high twice.")
    background: Literal["auto", "opaque", "transparent"] = "auto"
    output_format: OutputFormat = "png"
    output_compression: int = Field(100, ge=0, le=100, description="Quality of webp and jpeg; png has no loss.")
    response_format: Literal["b64_json", "url"] = "b64_json"
    stream: bool = False
    partial_images: int = Field(0, ge=0, le=MAX_PARTIAL_IMAGES, description="Unfinished pictures sent on the stream.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Absent: chosen at random and told.")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="Denoising steps; limits by model.")
    guidance: float | None = Field(
        None, ge=0, le=MAX_GUIDANCE, allow_inf_nan=False, description="How strictly to follow the prompt; 1 = not."
    )
    negative_prompt: str = Field("", max_length=MAX_PROMPT_CHARACTERS, description="What to steer away from.")
    user: str | None = Field(None, max_length=512, description="Accepted and not read: people are unknown here.")
    safety_identifier: str | None = Field(None, max_length=512, description="Accepted and not read, as `user`.")

    @field_validator("prompt", "negative_prompt", check_fields=False)
    @classmethod
    def _is_text(cls, value: str) -> str:
        return _text(value)

    @field_validator("prompt", check_fields=False)
    @classmethod
    def _is_not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is blank")
        return value


class SketchRegion(WireModel):
    """One thing painted where it should stand: a box, or a brush stroke. Places are shares of the picture, 0..1."""

    label: str = Field("", max_length=100, description="What stands there; empty: as the prompt says.")
    box: tuple[Share, Share, Share, Share] | None = Field(None, description="Left, top, right, bottom.")
    stroke: tuple[tuple[Share, Share], ...] | None = Field(
        None, min_length=1, max_length=MAX_STROKE_POINTS, description="The points that the brush went through."
    )
    width: float = Field(0.1, gt=0, le=1, allow_inf_nan=False, description="The brush's width.")

    @field_validator("label")
    @classmethod
    def _is_text(cls, value: str) -> str:
        return _text(value)

    @model_validator(mode="after")
    def _is_one_shape(self) -> SketchRegion:
        if (self.box is None) == (self.stroke is None):
            raise ValueError("needs a box or a stroke, and not both")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("the box must be left, top, right, bottom, with left < right and top < bottom")
        return self


class Sketch(WireModel):
    """What stands where, after Make-A-Scene (Gafni et al. 2022, arXiv:2203.13131). Later regions cover earlier ones."""

    regions: tuple[SketchRegion, ...] = Field(min_length=1, max_length=MAX_REGIONS)


class GenerationRequest(_PictureRequest):
    """The body of `POST /v1/images/generations`."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    sketch: Sketch | None = Field(None, description="Where things stand, for models that can (`sketch` in the list).")
    moderation: Literal["auto", "low"] = Field("auto", description="Accepted and not read: screening is elsewhere.")
    style: Literal["vivid", "natural"] | None = Field(None, description="Accepted and not read: say it in the prompt.")


class EditRequest(_PictureRequest):
    """The fields of `POST /v1/images/edits` beside its files `image` (or `image[]`), `mask` and `markup`."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    strength: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False, description="How far from the picture: near 0 hardly, 1 all new."
    )
    input_fidelity: Literal["high", "low"] | None = Field(None, description="A word for `strength`, when it is absent.")


class VariationRequest(_PictureRequest):
    """The fields of `POST /v1/images/variations` beside its file `image`."""

    strength: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False, description="How far from the picture: near 0 hardly, 1 all new."
    )


PictureRequest = GenerationRequest | EditRequest | VariationRequest


def _text(value: str) -> str:
    # JSON can spell half of a surrogate pair; tokenizers and UTF-8 writers crash on it far from here.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds a lone surrogate, which is not text")
    return value


class InputTokenDetails(WireModel):
    """Of which kind the input tokens were."""

    image_tokens: int = 0
    text_tokens: int


class TokenUsage(WireModel):
    """OpenAI's usage block. On a stream the usages of the `completed` events add up to the request's."""

    input_tokens: int
    input_tokens_details: InputTokenDetails
    output_tokens: int
    total_tokens: int


class Provenance(WireModel):
    """Enough to make the picture again."""

    model: str
    model_digest: str = Field(description="`sha256:` over the list of the digests of all the model's files.")
    seed: int = Field(description="The request's seed; picture i used seed + i.")
    steps: int
    guidance: float
    scheduler: str
    strength: float = Field(1.0, description="Share of the noise that was laid on the picture sent; 1 = all.")
    batch_mode: str = Field(
        description="`mixed`: denoised beside whatever else was in work, equal up to rounding; `fixed:N`: in a batch "
        "padded to N rows, the same to the bit whatever else was in work; `alone`: the request had the device."
    )
    rendered_size: str = Field(description="Pixels the model itself made; the size asked for is scaled from it.")


class ImageDatum(WireModel):
    """One finished picture of a plain answer."""

    b64_json: str


class ImagesResponse(WireModel):
    """The answer when `stream` is false."""

    id: str
    created: int = Field(description="Unix time, seconds.")
    data: tuple[ImageDatum, ...]
    background: Literal["opaque", "transparent"] = "opaque"
    output_format: OutputFormat
    quality: str
    size: str
    usage: TokenUsage
    provenance: Provenance


ProgressName = Literal["image_generation.progress", "image_edit.progress", "image_variation.progress"]
PartialImageName = Literal[
    "image_generation.partial_image", "image_edit.partial_image", "image_variation.partial_image"
]
CompletedName = Literal["image_generation.completed", "image_edit.completed", "image_variation.completed"]


class EventNames(NamedTuple):
    """What the events of one call's stream are called."""

    progress: ProgressName
    partial_image: PartialImageName
    completed: CompletedName


EVENT_NAMES: dict[Task, EventNames] = {
    "generate": EventNames("image_generation.progress", "image_generation.partial_image", "image_generation.completed"),
    "edit": EventNames("image_edit.progress", "image_edit.partial_image", "image_edit.completed"),
    "vary": EventNames("image_variation.progress", "image_variation.partial_image", "image_variation.completed"),
}
"""OpenAI's words for the first two calls, its manner for the third."""


class ProgressEvent(WireModel):
    """Ours: where the request is. The first event of every stream, then at each few steps."""

    type: ProgressName
    id: str
    state: JobState
    step: int = Field(description="Denoising steps done.")
    steps: int
    queue_position: int = Field(description="Requests that go first; 0 once running.")
    eta_seconds: float | None = Field(description="Until the last step is done, from measured step times.")


class PartialImageEvent(WireModel):
    """An unfinished picture: what the model would answer if it had to stop now."""

    type: PartialImageName
    b64_json: str
    background: Literal["opaque", "transparent"] = "opaque"
    created_at: int
    index: int = Field(description="Which of the n pictures.")
    output_format: OutputFormat
    partial_image_index: int
    quality: str
    size: str


class CompletedEvent(WireModel):
    """One finished picture; there are n of these on a stream."""

    type: CompletedName
    id: str
    b64_json: str
    background: Literal["opaque", "transparent"] = "opaque"
    created_at: int
    index: int
    output_format: OutputFormat
    quality: str
    size: str
    usage: TokenUsage
    provenance: Provenance


StreamEvent = ProgressEvent | PartialImageEvent | CompletedEvent


class ErrorBody(WireModel):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None = None
    code: str


class ErrorEnvelope(WireModel):
    """Every failure, as a body or as the data of `event: error` on a stream that had begun."""

    error: ErrorBody


class QueueStatus(WireModel):
    """The answer of `GET /v1/queue/{id}` and of `POST /v1/images/{id}/cancel`."""

    object: Literal["image_generation.job"] = "image_generation.job"
    id: str
    state: JobState
    step: int
    steps: int
    queue_position: int
    eta_seconds: float | None


class Range(WireModel):
    """An inclusive range with the value used when nothing is asked."""

    default: float
    minimum: float
    maximum: float


class WholeRange(WireModel):
    """The same, of whole numbers."""

    default: int
    minimum: int
    maximum: int


class ModelInfo(WireModel):
    """One entry of `GET /v1/models`: OpenAI's four fields and what the model can do."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    description: str
    digest: str
    scheduler: str
    sizes: tuple[str, ...]
    default_size: str
    rendered_size: str = Field(description="What the model makes itself, or `as asked`; other sizes are scaled up.")
    output_formats: tuple[OutputFormat, ...]
    steps: WholeRange
    guidance: Range
    max_pictures: int
    tasks: tuple[Task, ...] = Field(description="Which of the three calls it answers.")
    sketch: bool = Field(False, description="Whether `sketch` does something.")
    max_input_images: int = Field(0, description="Pictures that an edit may bring.")
    strength: Range | None = Field(None, description="Of edits and variations; the default is that of edits.")
    licence: str = Field("", description="What the operator noted about the terms of the weights.")


class ModelList(WireModel):
    """The answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: tuple[ModelInfo, ...]
