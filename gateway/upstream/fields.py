"""What is sent to an image server, field by field: OpenAI's to every one, our own only where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from gateway.exchange import CleanUpload, ImageRequest
from gateway.vocabulary import Permission

PATHS: Final = {
    Permission.IMAGE_GENERATE: "/v1/images/generations",
    Permission.IMAGE_EDIT: "/v1/images/edits",
    Permission.IMAGE_VARY: "/v1/images/variations",
}
OWN_OPTIONS: Final = frozenset({"steps", "guidance", "strength"})
NOT_FOR_VARIATIONS: Final = {
    "quality": "auto",
    "background": "auto",
    "output_format": "png",
    "output_compression": 100,
    "stream": False,
    "partial_images": 0,
}
"""Fields that OpenAI's variations don't have and our own model server's do, with the values that need no saying."""


def speaks_ours(entry: Mapping[str, Any]) -> bool:
    """Whether this entry of `/v1/models` is of a server with our fields: it says which tasks its model does."""
    return isinstance(entry.get("tasks"), list)


def known_fields(entry: Mapping[str, Any]) -> frozenset[str]:
    """Which of our own fields this entry announces."""
    if not speaks_ours(entry):
        return frozenset()
    announced = {name for name in ("steps", "guidance", "strength") if isinstance(entry.get(name), dict)}
    sketch = ("sketch",) if entry.get("sketch") is True else ()
    return frozenset({"seed", "negative_prompt", *announced, *sketch, *NOT_FOR_VARIATIONS})


def own_fields(request: ImageRequest) -> frozenset[str]:
    """Which of our own fields this request needs."""
    used = {name for name in request.options if name in OWN_OPTIONS}
    if request.seed is not None:
        used.add("seed")
    if request.negative_prompt:
        used.add("negative_prompt")
    if request.sketch:
        used.add("sketch")
    if request.action is Permission.IMAGE_VARY:
        used |= {name for name, usual in NOT_FOR_VARIATIONS.items() if getattr(request, name) != usual}
    return frozenset(used)


def body(request: ImageRequest, texts: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `request`, with `texts` in place of its own, which may not be forwarded.

    `texts` holds "prompt", "negative_prompt", and "sketch.0", "sketch.1"… for the labels.
    """
    fields: dict[str, Any] = {
        **{name: texts[name] for name in ("prompt", "negative_prompt") if texts.get(name)},
        "model": request.model,
        "n": request.n,
        "size": request.size,
        "quality": request.quality,
        "background": request.background,
        "output_format": request.output_format,
        "output_compression": request.output_compression,
        "response_format": "b64_json",
        **request.options,
    }
    if request.action is Permission.IMAGE_VARY:
        for name, usual in NOT_FOR_VARIATIONS.items():
            if fields.get(name) == usual:
                del fields[name]
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.style:
        fields["style"] = request.style
    if request.sketch:
        regions = [
            {name: value for name, value in asdict(region).items() if value is not None}
            | {"label": texts.get(f"sketch.{place}", "")}
            for place, region in enumerate(request.sketch)
        ]
        fields["sketch"] = {"regions": regions}
    if request.stream:
        fields |= {"stream": True, "partial_images": request.partial_images}
    return fields


def form(fields: Mapping[str, Any], uploads: Sequence[CleanUpload]) -> tuple[dict[str, str], list[tuple[str, Any]]]:
    """The same for a multipart form: scalars as text, and the clean pictures under names of ours."""
    texts = {name: _text(value) for name, value in fields.items()}
    several = sum(upload.field != "mask" for upload in uploads) > 1
    files = []
    for place, upload in enumerate(uploads):
        name = "mask" if upload.field == "mask" else "image[]" if several else "image"
        files.append((name, (f"{upload.field.partition('[')[0]}-{place}.png", upload.data, "image/png")))
    return texts, files


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
