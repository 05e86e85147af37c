"""What an image server answered, checked and put into our own values. Nothing of it is believed before that."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import ImprimaturError, InvalidRequest, ModelBroken, ModelOverloaded, ModelUnavailable
from gateway.exchange import ImageRequest, Making, Partial, Picture, Progress, TokenUsage
from gateway.settings import UpstreamSettings

ECHOED_PARAMS: Final = frozenset(
    {
        *("size", "n", "model", "quality", "background", "output_format", "output_compression", "steps", "seed"),
        *("guidance", "strength", "input_fidelity", "image", "image[]", "mask"),
    }
)
"""Fields whose complaint we pass on in the server's own words. Never the prompt's or the sketch's: its words
could hold theirs."""

OVERLOADED: Final = frozenset({"model_overloaded", "rate_limit_exceeded", "queue_full", "model_unavailable"})
"""Codes of servers that will take the request later; on a stream there is no status to say so."""

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """All pictures of one request, and how they came to be."""

    pictures: tuple[Picture, ...]
    making: Making
    usage: TokenUsage
    size: str


class Assembly:
    """Puts the events of a stream together."""

    def __init__(self, request: ImageRequest, settings: UpstreamSettings) -> None:
        self._request = request
        self._settings = settings
        self._pictures: dict[int, Picture] = {}
        self._usage: tuple[TokenUsage, ...] = ()  # each picture's own; together the request's
        self._last: Mapping[str, Any] = {}

    def take(self, event: str, data: dict[str, Any]) -> Progress | Partial | None:
        if event == "error":
            raise complaint(500, data, None)
        if event.endswith(".progress"):
            return Progress(
                step=int(data["step"]),
                steps=int(data["steps"]),
                queue_position=int(data.get("queue_position") or 0),
                eta_seconds=data.get("eta_seconds"),
            )
        if event.endswith(".partial_image"):
            width, height = _pixels(data, self._request)
            return Partial(
                width=width,
                height=height,
                index=int(data.get("index") or 0),
                partial_index=int(data["partial_image_index"]),
                data=_decode(data["b64_json"], self._settings),
                media_type=_media_type(data, self._request),
            )
        if event.endswith(".completed"):
            index = int(data.get("index") or len(self._pictures))
            self._pictures[index] = _picture(index, data["b64_json"], data, self._request, self._settings)
            self._usage += (_usage(data),)
            self._last = data
        return None

    def finish(self) -> Made:
        if len(self._pictures) != self._request.n:
            raise ModelBroken(
                f"The image server sent {len(self._pictures)} of {self._request.n} pictures. Nothing was charged."
            )
        pictures = tuple(self._pictures[i] for i in sorted(self._pictures))
        return Made(
            pictures=pictures,
            making=_making(self._last, self._request),
            usage=TokenUsage(
                input_tokens=sum(u.input_tokens for u in self._usage),
                text_tokens=sum(u.text_tokens for u in self._usage),
                image_tokens=sum(u.image_tokens for u in self._usage),
                output_tokens=sum(u.output_tokens for u in self._usage),
            ),
            size=str(self._last.get("size", self._request.size)),
        )


def as_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ModelBroken("The image server's answer is not JSON. Nothing was charged.") from error
    if not isinstance(value, dict):
        raise ModelBroken("The image server's answer is not an object. Nothing was charged.")
    return value


def made(data: dict[str, Any], request: ImageRequest, settings: UpstreamSettings) -> Made:
    listed = data.get("data")
    if not isinstance(listed, list) or len(listed) != request.n:
        raise ModelBroken("The image server sent another number of pictures than asked for. Nothing was charged.")
    try:
        pictures = tuple(_picture(i, item["b64_json"], data, request, settings) for i, item in enumerate(listed))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelBroken("The image server sent something that is not a picture. Nothing was charged.") from error
    return Made(
        pictures=pictures,
        making=_making(data, request),
        usage=_usage(data),
        size=str(data.get("size", request.size)),
    )


def _picture(
    index: int, b64: str, data: Mapping[str, Any], request: ImageRequest, settings: UpstreamSettings
) -> Picture:
    raw = _decode(b64, settings)
    width, height = _pixels(data, request)
    return Picture(
        index=index,
        data=raw,
        media_type=_media_type(data, request),
        width=width,
        height=height,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _pixels(data: Mapping[str, Any], request: ImageRequest) -> tuple[int, int]:
    """Width and height as the server says, else as they were asked for; 0 when neither says."""
    width, _, height = str(data.get("size", request.size)).partition("x")
    return (int(width), int(height)) if width.isdigit() and height.isdigit() else (0, 0)


def _decode(b64: str, settings: UpstreamSettings) -> bytes:
    if len(b64) > settings.max_picture_bytes * 4 // 3 + 4:
        raise ModelBroken("The image server sent a picture that is larger than it may be. Nothing was charged.")
    raw = base64.b64decode(b64, validate=True)
    if not raw:
        raise ModelBroken("The image server sent an empty picture. Nothing was charged.")
    return raw


def _media_type(data: Mapping[str, Any], request: ImageRequest) -> str:
    return MEDIA_TYPES.get(str(data.get("output_format", request.output_format)), "image/png")


def _making(data: Mapping[str, Any], request: ImageRequest) -> Making:
    told = data.get("provenance")
    if not isinstance(told, dict):
        return Making(model=request.model)
    return Making(
        model=_name(told.get("model", request.model)),
        model_digest=_name(told.get("model_digest", "")),
        seed=told.get("seed"),
        steps=told.get("steps"),
        guidance=told.get("guidance"),
        scheduler=str(told.get("scheduler", "")),
        batch_mode=str(told.get("batch_mode", "")),
    )


def _name(text: object) -> str:
    """A model's name or digest, with nothing in it that a plain envelope of the log may not hold."""
    return re.sub(r"[^A-Za-z0-9._:/@+-]", "-", str(text))[:160]


def _usage(data: Mapping[str, Any]) -> TokenUsage:
    told = data.get("usage")
    if not isinstance(told, dict):
        return TokenUsage()
    details = told.get("input_tokens_details") or {}
    return TokenUsage(
        input_tokens=int(told.get("input_tokens") or 0),
        text_tokens=int(details.get("text_tokens") or 0),
        image_tokens=int(details.get("image_tokens") or 0),
        output_tokens=int(told.get("output_tokens") or 0),
    )


def too_long() -> ModelUnavailable:
    """The time that a request may take is over, by our clock or by the server's."""
    return ModelUnavailable("The image server took too long. Try again; nothing was charged.")


def complaint(status: int, data: Mapping[str, Any], retry_after: str | None) -> ImprimaturError:
    error = data.get("error")
    error = error if isinstance(error, dict) else {}
    param = error.get("param")
    if status == 400 and param in ECHOED_PARAMS:
        return InvalidRequest(
            str(error.get("message", ""))[:300], code=str(error.get("code") or "invalid_value"), param=param
        )
    if status == 504 or error.get("code") == "deadline_exceeded":
        return too_long()
    if status in (429, 503) or error.get("code") in OVERLOADED:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else 5.0
        return ModelOverloaded(
            "Many pictures are being made right now. Try again in a moment; nothing was charged.",
            retry_after_seconds=seconds,
        )
    if status in (401, 403, 404):
        # Ours to mend, not the caller's: a wrong secret or address. The log says so, the person hears "down".
        return ModelUnavailable(
            "The image server doesn't take our requests. Your operators have been told; nothing was charged."
        )
    return ModelBroken("The image server failed. Try again; nothing was charged.")
