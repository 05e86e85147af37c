"""`POST /v1/content_provenance_checks`: was this picture made here? For everybody who is signed in.

Shape: OpenAI's reference and the types of `openai` 3.54 (a form with one `file`); `watermark` and `fingerprint` stand
where theirs have `synthid`, and `verdict`, `message` and `file` are ours.

The file is a stranger's. It is taken from somebody we know, bounded in bytes, time and number, kept in memory only,
and taken apart in a process of its own (`gateway/provenance/check.py`). What can't be recorded is not told.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from gateway.api.access import credentials_of, origin_of, request_id_of, require
from gateway.api.forms import drain
from gateway.api.provenance_words import answer, records_of
from gateway.errors import (
    Denied,
    ImprimaturError,
    InvalidRequest,
    PayloadTooLarge,
    PolicyUnavailable,
    ProvenanceUnavailable,
    RateLimited,
    Refusal,
    StepUpRequired,
    StorageUnavailable,
    UnsupportedMedia,
)
from gateway.exchange import Actor
from gateway.provenance.check import MAX_BYTES, PROBLEMS, Checked, Verdict
from gateway.provenance.credentials import State
from gateway.room import Lease
from gateway.services import services_of
from gateway.settings import ServerSettings
from gateway.vocabulary import Code, Conclusion, Effect, Event, Permission
from model_server.wire.multipart import FileLimit, FormError, FormLimits, read_form

router = APIRouter()

FIELD: Final = "file"
MAX_BODY_BYTES: Final = MAX_BYTES + (64 << 10)
"""The largest file and what a form writes around it."""
MAX_PARTS: Final = 4
RETRY_SECONDS: Final = 5.0
CLIENT_CLOSED_REQUEST: Final = 499
NO_MANIFEST: Final = ("unreadable",)
"""What a manifest is said to suffer from when the file is so broken that nothing in it could be read as one."""
CUT: Final = "the picture is broken or cut off. Get it once more from where it came, as a file and no screenshot"


@router.post("/v1/content_provenance_checks")
async def check(request: Request) -> Response:
    """What the file's three marks say. 400 for what is no picture, 503 where we could not look: neither is a no."""
    services = services_of(request)
    actor = await services.identity.authenticate(credentials_of(request), origin_of(request))
    request.state.actor = actor
    request.scope["state"]["headers"].update(services.check_rate.take(actor.id))
    lease = services.room.lease()
    try:
        checked = await services.checker.check(await _file(request, services.settings.server, lease))
        _complain(checked)
    except ImprimaturError as error:
        await _record_refusal(request, actor, error)
        raise
    except ClientDisconnect:  # in the middle of the file: nobody asked anything yet
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        lease.release()
    found = records_of(checked)
    is_auditor = bool(found) and await _may_search(request)
    content = {
        "request_id": request_id_of(request),
        "sha256": checked.sha256,
        "bytes": checked.size_bytes,
        "verdict": checked.verdict.value,
        "problem": checked.problem,
        "manifest": State.ABSENT.value if checked.manifest is None else checked.manifest.state.value,
        "has_watermark": checked.watermark is not None,
        "records": list(found),
        "told_records": is_auditor,
    }
    await services.record(Event.PICTURE_CHECK, actor, origin_of(request), content=content)
    return JSONResponse(answer(checked, services.clock(), is_auditor=is_auditor))


async def _file(request: Request, settings: ServerSettings, lease: Lease) -> bytes:
    """The one file of the form. Raises InvalidRequest and its kinds with the field in `param`, RateLimited when there
    is no room, starlette's ClientDisconnect."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data" or "boundary=" not in content_type:
        raise UnsupportedMedia("Send the picture as multipart/form-data, field `file`.", param="content-type")
    most = min(settings.max_upload_bytes, MAX_BODY_BYTES)
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else most
    limits = FormLimits(
        texts={},
        files={FIELD: FileLimit(min(MAX_BYTES, most))},
        max_body_bytes=most,
        max_parts=MAX_PARTS,
    )
    body = request.stream()
    try:
        async with asyncio.timeout(settings.upload_seconds):
            if size > most:
                raise FormError("too_large")
            lease.hold(size)
            form = await read_form(content_type, body, limits)
    except FormError as error:
        await drain(body, MAX_BODY_BYTES)
        raise _complaint(error, min(MAX_BYTES, most)) from None
    except TimeoutError:
        raise InvalidRequest(
            f"file: took longer than {settings.upload_seconds:g} s to arrive. Send a smaller one.",
            param=FIELD,
            code="upload_timeout",
        ) from None
    if FIELD not in form.files:
        raise InvalidRequest(
            "file: missing. Send the picture as `file`.", param=FIELD, code="missing_required_parameter"
        )
    return form.files[FIELD][0]


def _complaint(error: FormError, most: int) -> InvalidRequest:
    match error.kind:
        case "too_large":
            return PayloadTooLarge(f"file: larger than {most:,} bytes.", param=FIELD)
        case "too_many":
            return InvalidRequest("file: one picture is checked at a time. Send one.", param=FIELD)
        case "wrong_kind":
            return InvalidRequest("file: expected a file, not a text.", param=FIELD)
        case "unknown":
            return InvalidRequest(
                "The form has a field that this call does not know. Send the picture as `file`, and nothing else.",
                param=error.field,
                code="unknown_parameter",
            )
        case _:
            return InvalidRequest(
                "The form can't be read: it must be multipart/form-data as RFC 7578 has it.", code="invalid_form"
            )


def _complain(checked: Checked) -> None:
    """Raises where an answer would be taken for a no that it isn't."""
    found = records_of(checked)
    if checked.problem == "lookup" and not found:
        raise StorageUnavailable(_sentence("lookup"), retry_after_seconds=RETRY_SECONDS)
    if checked.verdict is not Verdict.UNREADABLE:
        return
    if checked.problem in ("unavailable", "decoder"):
        raise ProvenanceUnavailable(_sentence(checked.problem), retry_after_seconds=RETRY_SECONDS)
    if checked.manifest is None or checked.manifest.state is State.ABSENT or checked.manifest.problems == NO_MANIFEST:
        sentence = CUT if checked.problem == "decode" else PROBLEMS[checked.problem]
        raise InvalidRequest(f"file: {sentence}.", param=FIELD, code="invalid_image")


def _sentence(problem: str) -> str:
    return f"{PROBLEMS[problem][:1].upper()}{PROBLEMS[problem][1:]}."


async def _may_search(request: Request) -> bool:
    """Whether policy lets this caller see records anyway. Anything but a yes is a no."""
    try:
        await require(request, Permission.AUDIT_SEARCH)
    except (Denied, StepUpRequired, PolicyUnavailable):
        return False
    return True


async def _record_refusal(request: Request, actor: Actor, error: ImprimaturError) -> None:
    effect: str = Effect.DENY if isinstance(error, Refusal) else Conclusion.FAILED
    reason = {RateLimited: Code.REQUEST_NO_ROOM, StorageUnavailable: Code.STORAGE_UNAVAILABLE}.get(
        type(error), Code.REQUEST_INVALID if isinstance(error, Refusal) else Code.INTERNAL
    )
    content: dict[str, Any] = {"request_id": request_id_of(request)}
    await services_of(request).record(
        Event.PICTURE_CHECK, actor, origin_of(request), effect=effect, reasons=(reason,), content=content
    )
