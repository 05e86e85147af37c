"""Reading a form with pictures (`multipart/form-data`): bounded in bytes, parts and time, and nothing on a disk.

The reader itself is the wire's (`model_server.wire.multipart`), so that both ends take the same form for the same one.
Here stands what the gateway's callers may send, and what they are told when they send something else.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fastapi import Request

from gateway.api.bodies import MAX_PROMPT_CHARS, EditBody, VariationBody
from gateway.errors import InvalidRequest, PayloadTooLarge, UnsupportedMedia
from gateway.exchange import FileFacts, Upload
from gateway.room import Lease
from gateway.settings import ServerSettings
from gateway.vocabulary import Permission
from model_server.wire import MAX_IMAGE_BYTES, MAX_INPUT_IMAGES, MAX_MASK_BYTES
from model_server.wire.multipart import FileLimit, Form, FormError, FormLimits, read_form

MAX_TEXT_BYTES: Final = 4 * MAX_PROMPT_CHARS
"""UTF-8 of the longest prompt; its characters are counted later."""
MAX_WORD_BYTES: Final = 1024
DRAIN_SECONDS: Final = 5.0

_IMAGES: Final = FileLimit(MAX_IMAGE_BYTES, MAX_INPUT_IMAGES)
FILES: Final[Mapping[Permission, Mapping[str, FileLimit]]] = {
    Permission.IMAGE_EDIT: {"image": _IMAGES, "image[]": _IMAGES, "mask": FileLimit(MAX_MASK_BYTES)},
    Permission.IMAGE_VARY: {"image": FileLimit(MAX_MASK_BYTES)},
}
TEXTS: Final[Mapping[Permission, frozenset[str]]] = {
    Permission.IMAGE_EDIT: frozenset(EditBody.model_fields),
    Permission.IMAGE_VARY: frozenset(VariationBody.model_fields),
}
WHOLE: Final = frozenset({"n", "output_compression", "partial_images", "seed", "steps"})
NUMBERS: Final = frozenset({"guidance", "strength"})
TRUTHS: Final[Mapping[str, bool]] = {"true": True, "false": False}


async def read_upload(
    request: Request, action: Permission, settings: ServerSettings, lease: Lease
) -> tuple[dict[str, Any], tuple[Upload, ...]]:
    """The texts of a form, scalars as what they are, and its pictures in order, the mask last.

    Raises InvalidRequest, PayloadTooLarge, UnsupportedMedia, with the field in `param`; RateLimited when there is no
    room; starlette's ClientDisconnect.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        raise UnsupportedMedia("Send this request as multipart/form-data.", param="content-type")
    if "boundary=" not in content_type:
        raise UnsupportedMedia("content-type: the form's boundary is missing.", param="content-type")
    most = settings.max_upload_bytes
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else most
    body = request.stream()
    try:
        async with asyncio.timeout(settings.upload_seconds):
            if size > most:
                raise FormError("too_large")
            lease.hold(size)
            form = await read_form(content_type, body, _limits(action, most))
            return _texts(form), _uploads(form)
    except FormError as error:
        await drain(body, most)
        raise _complaint(error, action, most) from None
    except TimeoutError:
        raise InvalidRequest(
            f"The pictures took longer than {settings.upload_seconds:g} s to arrive. Send smaller ones.",
            code="upload_timeout",
        ) from None


def _limits(action: Permission, max_body_bytes: int) -> FormLimits:
    texts = TEXTS[action]
    return FormLimits(
        texts={name: MAX_TEXT_BYTES if name.endswith("prompt") else MAX_WORD_BYTES for name in texts},
        files=FILES[action],
        max_body_bytes=max_body_bytes,
        max_parts=len(texts) + MAX_INPUT_IMAGES + 1,
    )


def _texts(form: Form) -> dict[str, Any]:
    """Text that spells a number or a truth becomes one. What spells something else stays text, and is refused with its
    field's own sentence later."""
    return {name: _value(name, text) for name, text in form.texts.items()}


def _value(name: str, text: str) -> Any:
    if name in WHOLE and re.fullmatch(r"-?[0-9]{1,19}", text):
        return int(text)
    if name in NUMBERS and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    return TRUTHS.get(text, text) if name == "stream" else text


def _uploads(form: Form) -> tuple[Upload, ...]:
    images = (*form.files.get("image", ()), *form.files.get("image[]", ()))
    if not images:
        raise InvalidRequest(
            "image: missing. Send at least one picture.", param="image", code="missing_required_parameter"
        )
    if len(images) > MAX_INPUT_IMAGES:  # `image` and `image[]` are counted apart until here
        raise FormError("too_many", "image")
    pictures = [("image" if len(images) == 1 else f"image[{place}]", data) for place, data in enumerate(images)]
    masks = [("mask", data) for data in form.files.get("mask", ())]
    return tuple(_upload(name, data) for name, data in (*pictures, *masks))


def _upload(name: str, data: bytes) -> Upload:
    facts = FileFacts(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type="")
    return Upload(field=name, data=data, facts=facts)


def _complaint(error: FormError, action: Permission, max_body_bytes: int) -> InvalidRequest:
    name = error.field
    param = None if name is None else name.removesuffix("[]")
    match error.kind:
        case "too_large" if param is None:
            return PayloadTooLarge(f"image: all files together are more than {max_body_bytes:,} bytes.", param="image")
        case "too_large":
            file = FILES[action].get(str(name))
            most = file.max_bytes if file else MAX_TEXT_BYTES
            return PayloadTooLarge(f"{param}: larger than {most:,} bytes. Send less.", param=param)
        case "too_many" if param is None:
            return InvalidRequest("The form has too many parts.", code="invalid_form")
        case "too_many":
            return InvalidRequest(f"{param}: more files than may come. Send fewer.", param=param)
        case "duplicate":
            return InvalidRequest(f"{param}: came twice. Send it once.", param=param, code="invalid_form")
        case "wrong_kind":
            wanted = "a file" if name in FILES[action] else "a text, not a file"
            return InvalidRequest(f"{param}: expected {wanted}.", param=param)
        case "unknown" if param == "markup":
            return InvalidRequest(
                "markup: pictures drawn over the image are not read here. Say it in the prompt, or send a mask.",
                param="markup",
                code="unsupported_value",
            )
        case "unknown":
            # A name that its sender made up may be anything, and an answer is logged by whoever gets it.
            told = param if param is not None and re.fullmatch("[a-z_]{1,40}", param) else None
            return InvalidRequest(
                "There is a field in the form that this call does not have.", param=told, code="unknown_parameter"
            )
        case "malformed":
            return InvalidRequest(
                "The form can't be read: it must be multipart/form-data as RFC 7578 has it, in UTF-8.",
                param=param,
                code="invalid_form",
            )


async def drain(body: AsyncIterator[bytes], most: int) -> None:
    """Let the rest of a refused body pass, up to a bound: a client that is still sending when we hang up sees a broken
    connection and never our answer."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in body:
                most -= len(chunk)
                if most < 0:
                    return
    except TimeoutError:
        return
