"""Results in the Images API's shapes: one JSON answer, or server-sent events."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.exchange import Accepted, ImageRequest, Partial, Progress, Result, TokenUsage
from gateway.vocabulary import Permission

STEMS: Final = {
    Permission.IMAGE_GENERATE: "image_generation",
    Permission.IMAGE_EDIT: "image_edit",
    Permission.IMAGE_VARY: "image_variation",
}
"""How the events of each call begin. The first two are OpenAI's words; its variations have no stream."""


def image_response(result: Result, request: ImageRequest, addresses: Sequence[str] = ()) -> dict[str, Any]:
    """`ImagesResponse`, with addresses instead of bytes where they are given.

    `revised_prompt` stands there exactly when the model saw something else than was sent.
    """
    data = []
    for place, picture in enumerate(result.pictures):
        item: dict[str, Any] = (
            {"url": addresses[place]} if addresses else {"b64_json": base64.b64encode(picture.data).decode()}
        )
        if (revised := result.revised_prompt(place)) is not None:
            item["revised_prompt"] = revised
        data.append(item)
    body: dict[str, Any] = {
        "created": int(result.created.timestamp()),
        "data": data,
        "background": "opaque",
        "output_format": request.output_format,
        "quality": request.quality,
        "size": result.size,
        "usage": _usage(result.usage),
    }
    if request.safety_identifier:
        body["safety_identifier"] = request.safety_identifier
    return body


def progress_event(progress: Progress, request: ImageRequest) -> bytes:
    """Our own event, sent to pages: the Images API has none."""
    return sse(
        f"{STEMS[request.action]}.progress",
        {
            "step": progress.step,
            "steps": progress.steps,
            "queue_position": progress.queue_position,
            "eta_seconds": progress.eta_seconds,
        },
    )


def accepted_event(accepted: Accepted, request: ImageRequest) -> bytes:
    """Our own event: everything said yes, work begins."""
    return sse(
        f"{STEMS[request.action]}.accepted",
        {
            "request_id": accepted.request_id,
            "credits": accepted.credits,
            "credits_remaining": accepted.credits_remaining,
            # One line for the page while it waits; each finished picture brings its own.
            "revised_prompt": accepted.revised_prompts[0] if accepted.revised_prompts else None,
        },
    )


def partial_event(partial: Partial, request: ImageRequest, created_at: int) -> bytes:
    return sse(
        f"{STEMS[request.action]}.partial_image",
        {
            "b64_json": base64.b64encode(partial.data).decode(),
            "partial_image_index": partial.partial_index,
            "index": partial.index,
            "created_at": created_at,
            **_facts(request, request.size),
        },
    )


def completed_events(result: Result, request: ImageRequest) -> list[bytes]:
    """One event a picture."""
    events = []
    for place, picture in enumerate(result.pictures):
        data: dict[str, Any] = {
            "b64_json": base64.b64encode(picture.data).decode(),
            "index": picture.index,
            "created_at": int(result.created.timestamp()),
            "usage": _usage(result.usage),
            "request_id": result.request_id,
            "credits": result.credits,
            "credits_remaining": result.credits_remaining,
            "seed": result.making.seed,
            "model": result.making.model,
            **_facts(request, result.size),
        }
        if (revised := result.revised_prompt(place)) is not None:
            data["revised_prompt"] = revised
        events.append(sse(f"{STEMS[request.action]}.completed", data))
    return events


def error_event(body: Mapping[str, Any]) -> bytes:
    return sse("error", body)


def sse(event: str, data: Mapping[str, Any]) -> bytes:
    """One event. JSON holds no raw newline, so one data line is enough."""
    text = json.dumps({"type": event, **data}, separators=(",", ":"))
    return f"event: {event}\ndata: {text}\n\n".encode()


def _facts(request: ImageRequest, size: str) -> dict[str, Any]:
    return {
        "background": "opaque",
        "output_format": request.output_format,
        "quality": request.quality,
        "size": size,
    }


def _usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"image_tokens": usage.image_tokens, "text_tokens": usage.text_tokens},
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
