"""What a request comes to on a model: each value held against what the model can do, the rest filled in.

A refusal lists what would do.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model_server.engine.work import AnyModel
from model_server.errors import InvalidRequest
from model_server.http.framing import MAX_AREA_TIMES, Frame, Framed, Size, frame_pictures, nearest_size
from model_server.http.uploads import read_mask, read_picture
from model_server.pipelines.port import Capabilities, Job, Limits, Region
from model_server.wire import (
    EditRequest,
    GenerationRequest,
    OutputFormat,
    PictureRequest,
    Sketch,
    Task,
    VariationRequest,
)

OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("png", "webp", "jpeg")
TASK_PATHS: dict[Task, str] = {"generate": "generations", "edit": "edits", "vary": "variations"}

_QUALITY_NAMES = {"auto": "medium", "standard": "medium", "hd": "high"}
_QUALITY_STEPS = {"low": 0.5, "medium": 1.0, "high": 2.0}
_RANDOM_SEEDS = 2**32
"""Seeds of our choosing stay far below 2**53, which every JSON reader holds exactly."""
_HIGH_FIDELITY = 0.6
"""`input_fidelity: high` lays on so much of the model's usual noise."""

Files = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Order:
    """A request that the model can meet: the job for the engine, and how to answer."""

    model: AnyModel
    job: Job
    frame: Frame
    quality: str
    output_format: OutputFormat
    output_compression: int
    partial_images: int
    stream: bool

    @property
    def size(self) -> str:
        """Of the answer's pictures."""
        return f"{self.frame.size[0]}x{self.frame.size[1]}"

    @property
    def rendered_size(self) -> str:
        """The pixels that the model itself makes."""
        return f"{self.job.width}x{self.job.height}"


def order_generation(request: GenerationRequest, model: AnyModel) -> Order:
    """Raises InvalidRequest, listing what would do."""
    able = model.capabilities
    _check_common(request, "generate", able)
    if request.sketch is not None and not able.has_sketch:
        raise InvalidRequest("'sketch': this model can't read one.", param="sketch", code="unsupported_value")
    size = _asked_size(request, able) or able.sizes[0]
    width, height = able.rendered or size
    job = Job(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        count=request.n,
        width=width,
        height=height,
        steps=_steps(request, able),
        guidance=_guidance(request, able),
        seed=_seed(request),
        regions=_regions(request.sketch),
    )
    return _order(request, model, job, Frame(size))


def check_pictures(request: EditRequest | VariationRequest, files: Files, able: Capabilities) -> None:
    """Whatever can be told before a picture is unpacked. Raises InvalidRequest, listing what would do."""
    _check_common(request, "edit" if isinstance(request, EditRequest) else "vary", able)
    if "markup" in files:
        raise InvalidRequest(
            "'markup': this server can't read drawn-over pictures; send a `mask` and say it in the prompt.",
            param="markup",
            code="unsupported_value",
        )
    if "image" in files and "image[]" in files:
        raise InvalidRequest("'image': send `image` or `image[]`, not both.", param="image")
    pictures = _pictures(files)
    if not pictures:
        raise InvalidRequest("'image': is required.", param="image", code="missing_required_parameter")
    most = able.max_input_images if isinstance(request, EditRequest) else 1
    if len(pictures) > most:
        raise InvalidRequest(f"'image': this model takes {most} at most.", param="image", code="unsupported_value")
    _steps(request, able)
    _guidance(request, able)
    _asked_size(request, able)
    if request.strength is not None:
        _in_limits("strength", request.strength, able.strength)


def order_with_pictures(
    request: EditRequest | VariationRequest, files: Files, model: AnyModel, max_pixels: int
) -> Order:
    """The order for a request that passed `check_pictures`. Unpacks pictures, so it belongs in a thread of its own.

    Raises InvalidRequest that names the field.
    """
    able = model.capabilities
    framed = _framed(request, files, able, max_pixels)
    width, height = framed.images[0].size
    job = Job(
        prompt=request.prompt if isinstance(request, EditRequest) else "",
        negative_prompt=request.negative_prompt,
        count=request.n,
        width=width,
        height=height,
        steps=_steps(request, able),
        guidance=_guidance(request, able),
        seed=_seed(request),
        task="edit" if isinstance(request, EditRequest) else "vary",
        images=framed.images,
        mask=framed.mask,
        strength=_strength(request, able, has_mask=framed.mask is not None),
    )
    return _order(request, model, job, framed.frame)


def _framed(request: EditRequest | VariationRequest, files: Files, able: Capabilities, max_pixels: int) -> Framed:
    pictures = _pictures(files)
    first = read_picture(pictures[0], "image", max_pixels)
    if isinstance(request, VariationRequest) and first.width != first.height:
        raise InvalidRequest(
            f"'image' must be square to be varied: got {first.width}x{first.height}.",
            param="image",
            code="invalid_image",
        )
    size = _asked_size(request, able)
    most = MAX_AREA_TIMES * max(width * height for width, height in able.sizes)
    if size is None and first.width * first.height > most:
        offered = ", ".join(_names(able))
        raise InvalidRequest(
            f"'size': with auto a picture may have {most} pixels at most. Ask for one of {offered}, or send fewer.",
            param="size",
            code="unsupported_value",
        )
    mask = None
    if sent := files.get("mask"):
        mask = read_mask(sent[0], "mask", first.size, max_pixels)
    canvas = able.rendered or size or nearest_size(first.size, able.sizes)
    others: Iterator[bytes] = iter(pictures[1:])
    return frame_pictures(first, (read_picture(data, "image", max_pixels) for data in others), mask, canvas, size)


def _pictures(files: Files) -> Sequence[bytes]:
    return files.get("image") or files.get("image[]") or ()


def _order(request: PictureRequest, model: AnyModel, job: Job, frame: Frame) -> Order:
    return Order(
        model=model,
        job=job,
        frame=frame,
        quality=_quality(request),
        output_format=request.output_format,
        output_compression=request.output_compression,
        partial_images=request.partial_images,
        stream=request.stream,
    )


def _check_common(request: PictureRequest, task: Task, able: Capabilities) -> None:
    if task not in able.tasks:
        can = ", ".join(TASK_PATHS[known] for known in able.tasks)
        raise InvalidRequest(
            f"'model': {able.name} can't do {TASK_PATHS[task]}; it can do {can}.",
            param="model",
            code="unsupported_value",
        )
    _supported("response_format", request.response_format, ("b64_json",))
    _supported("background", request.background, ("auto", "opaque"))
    _supported("quality", request.quality, ("auto", *_QUALITY_STEPS, "standard", "hd"))
    if request.partial_images and not request.stream:
        raise InvalidRequest("'partial_images' needs `stream: true`.", param="partial_images")


def _asked_size(request: PictureRequest, able: Capabilities) -> Size | None:
    """None for auto."""
    _supported("size", request.size, ("auto", *_names(able)))
    return None if request.size == "auto" else able.sizes[_names(able).index(request.size)]


def _names(able: Capabilities) -> list[str]:
    return [f"{width}x{height}" for width, height in able.sizes]


def _quality(request: PictureRequest) -> str:
    return _QUALITY_NAMES.get(request.quality, request.quality)


def _steps(request: PictureRequest, able: Capabilities) -> int:
    usual = round(able.steps.default * _QUALITY_STEPS[_quality(request)])
    wanted = request.steps or int(min(max(usual, able.steps.minimum), able.steps.maximum))
    _in_limits("steps", wanted, able.steps)
    return wanted


def _guidance(request: PictureRequest, able: Capabilities) -> float:
    wanted = able.guidance.default if request.guidance is None else request.guidance
    _in_limits("guidance", wanted, able.guidance)
    return float(wanted)


def _strength(request: EditRequest | VariationRequest, able: Capabilities, *, has_mask: bool) -> float:
    if request.strength is not None:
        return request.strength
    if isinstance(request, VariationRequest):
        return able.vary_strength
    if has_mask:  # what is painted is all new, what is not is kept anyway
        return able.strength.maximum
    share = _HIGH_FIDELITY if request.input_fidelity == "high" else 1.0
    return max(able.strength.minimum, share * able.strength.default)


def _seed(request: PictureRequest) -> int:
    return secrets.randbelow(_RANDOM_SEEDS) if request.seed is None else request.seed


def _regions(sketch: Sketch | None) -> tuple[Region, ...]:
    if sketch is None:
        return ()
    return tuple(Region(r.label, r.box, r.stroke or (), 0.0 if r.stroke is None else r.width) for r in sketch.regions)


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
