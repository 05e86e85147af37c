"""A stand-in image server: raw ASGI, one fixed answer, nothing parsed, so that its own cost is as small as can be.

python -m uvicorn bench.support.upstream:app
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from bench.support.picture import SIDE_PIXELS, png

SIZE = f"{SIDE_PIXELS}x{SIDE_PIXELS}"
MODEL = "imprimatur-embedded"

_PICTURE = png()
_ANSWER = {
    "id": "stand-in",
    "created": 1_700_000_000,
    "data": [{"b64_json": base64.b64encode(_PICTURE).decode()}],
    "background": "opaque",
    "output_format": "png",
    "quality": "auto",
    "size": SIZE,
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 20},
        "output_tokens": 256,
        "total_tokens": 276,
    },
    "provenance": {
        "model": MODEL,
        "model_digest": "sha256:" + hashlib.sha256(b"stand-in").hexdigest(),
        "seed": 1,
        "steps": 20,
        "guidance": 4.0,
        "scheduler": "stand-in",
        "batch_mode": "request",
        "rendered_size": SIZE,
    },
}
_MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "x", "sizes": [SIZE]}]}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


PICTURES, MODELS, READY = _json(_ANSWER), _json(_MODELS), _json({"status": "ready"})


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    path = scope["path"]
    body = PICTURES if path.endswith("/generations") else MODELS if path.endswith("/models") else READY
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
