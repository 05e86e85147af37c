"""Errors as clients read them: OpenAI's envelope for programs, a page for people, the same facts in both.

`x-should-retry: false` on every refusal keeps the OpenAI SDK from sending one refused click three times; step-up is a
401 with RFC 9470's challenge, never a 409 (which that SDK retries).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ContentBlocked, ImprimaturError, InvalidRequest, NotFound, StepUpRequired, Unauthenticated
from gateway.exchange import Reason

log = logging.getLogger(__name__)

CRASHED: Final = "Something went wrong on our side. Your operators can find it by the request id."

SCIM_PATH: Final = "/scim/"
"""Where companies' directories ask."""

Page = Callable[[Request, int, Mapping[str, Any]], Response]
"""Draws the page of a problem: (request, status, context). The web room's; handed in so that it stays above us."""

KeepForm = Callable[[Request, Response, str], None]
"""Lets an answer keep the form that was sent, for the page to come back to: (request, answer, page)."""

TITLES: Final[Mapping[int, str]] = {
    400: "That request can't be made",
    401: "Please sign in",
    402: "Not enough credits",
    403: "Not allowed",
    404: "Nothing here",
    405: "Nothing here",
    413: "Too large",
    415: "Not a format we read",
    429: "A little slower, please",
    502: "The image server failed",
    503: "Something of ours is down",
}


def envelope(error: ImprimaturError, request_id: str) -> dict[str, Any]:
    """OpenAI's error object, with our reasons beside it."""
    body: dict[str, Any] = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
        "decision_id": request_id,
    }
    if error.reasons:
        body["reasons"] = [_reason(reason) for reason in error.reasons]
    if isinstance(error, ContentBlocked):
        body["moderation_details"] = {"moderation_stage": error.stage, "categories": list(error.categories)}
    return {"error": body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What answers need from elsewhere."""

    page: Page
    keep_form: KeepForm
    metadata_url: str
    """RFC 9728, 5.1. From the settings: the Host that a request names is whatever its sender likes."""
    acr_values: str = ""
    """What to ask an authorization server for when policy names no `acr` of its own (RFC 9470, section 3)."""


def scim_answer(error: ImprimaturError) -> JSONResponse:
    """The same for a directory, whose answers have one form whatever goes wrong (RFC 7644, section 3.12)."""
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": str(error.status),
        "detail": error.message,
    }
    return JSONResponse(body, error.status, media_type="application/scim+json")


def headers(error: ImprimaturError, metadata_url: str, acr_values: str = "") -> dict[str, str]:
    """What a client must know before it reads the body."""
    found = {"x-should-retry": "true" if error.retry else "false"}
    if error.retry_after_seconds is not None:
        found["retry-after"] = str(max(1, round(error.retry_after_seconds)))
    if isinstance(error, StepUpRequired):
        # RFC 9470, section 3; RFC 9728, section 5.1 for the metadata's address.
        challenge = (
            'Bearer error="insufficient_user_authentication", '
            'error_description="A more recent second factor is required", '
            f'max_age="{error.step_up.max_age_seconds}", resource_metadata="{metadata_url}"'
        )
        acr = error.step_up.acr or acr_values
        found["www-authenticate"] = challenge + (f', acr_values="{acr}"' if acr else "")
    elif isinstance(error, Unauthenticated):
        found["www-authenticate"] = f'Bearer resource_metadata="{metadata_url}"'
    return found


def install(app: FastAPI, around: Surroundings) -> None:
    """Every way a request can go wrong ends here."""

    @app.exception_handler(ImprimaturError)
    async def _ours(request: Request, error: ImprimaturError) -> Response:
        return _answer(request, around, error)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0] if error.errors() else {"type": "", "loc": (), "msg": "malformed"}
        where = _where(first["loc"], is_unknown=first["type"] == "extra_forbidden")
        return _answer(request, around, InvalidRequest(f"{where or 'request'}: {first['msg']}.", param=where or None))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code in (404, 405):
            answer = _answer(request, around, NotFound("There is nothing at this address."))
            answer.headers.update(error.headers or {})
            return answer
        return _answer(request, around, InvalidRequest(str(error.detail)))

    app.add_middleware(_CrashGuard, around=around)


class _CrashGuard:
    """The last net, inside the edge: Starlette's own stands outside of it, where answers get no id and no headers."""

    def __init__(self, app: ASGIApp, around: Surroundings) -> None:
        self._app = app
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.exception("request.crashed")
            if started:
                raise  # too late for words: breaking off is the only honest end
            problem = error if isinstance(error, ImprimaturError) else ImprimaturError(CRASHED)
            await _answer(Request(scope), self._around, problem)(scope, receive, send)


def _answer(request: Request, around: Surroundings, error: ImprimaturError) -> Response:
    if request.url.path.startswith(SCIM_PATH):
        return scim_answer(error)
    request_id = request.scope.get("state", {}).get("request_id", "")
    extra = headers(error, around.metadata_url, around.acr_values)
    if not _wants_page(request):
        return JSONResponse(envelope(error, request_id), error.status, headers=extra)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = here if request.method == "GET" else _page_of_form(request)
    if isinstance(error, StepUpRequired):
        query = urlencode({"max_age": error.step_up.max_age_seconds, "return_to": back})
        away = RedirectResponse(f"/auth/step-up?{query}", 303, headers={"cache-control": "no-store"})
        if request.method != "GET":
            around.keep_form(request, away, back)
        return away
    if isinstance(error, Unauthenticated) and not request.url.path.startswith("/auth/"):
        return RedirectResponse("/welcome?" + urlencode({"return_to": back}), 303)
    context = {
        "status": error.status,
        "code": error.code,
        "title": TITLES.get(error.status, "Something went wrong"),
        "message": error.message,
        "reasons": [_reason(reason) for reason in error.reasons],
        "request_id": request_id,
    }
    answer = around.page(request, error.status, context)
    answer.headers.update(extra)
    return answer


def _where(loc: Sequence[str | int], *, is_unknown: bool) -> str:
    """The field that a complaint is about: the one that we named, and which entry of its list. What stands deeper can
    be a key of the sender's own making, and so can a field that we don't know: shown only when it could be a field's
    name and nothing else."""
    places = [part for part in loc if part not in ("body", "query", "path")]
    if not places:
        return ""
    first = str(places[0])
    if is_unknown and len(places) == 1 and re.fullmatch("[a-z_]{1,40}", first) is None:
        first = "a field"
    return ".".join((first, *(str(part) for part in places[1:] if isinstance(part, int))))


def _page_of_form(request: Request) -> str:
    """Where a form that was sent stands: the page to come back to, since a form itself can't be sent again. Only as a
    path of ours; `gateway/identity/return_to.py` looks at it once more."""
    sent_from = urlsplit(request.headers.get("referer", ""))
    if sent_from.netloc != request.headers.get("host") or not sent_from.path.startswith("/"):
        return "/"
    return sent_from.path + (f"?{sent_from.query}" if sent_from.query else "")


def _wants_page(request: Request) -> bool:
    if request.url.path.startswith(("/v1/", "/healthz", "/readyz", "/metrics", "/.well-known/")):
        return False
    accept = request.headers.get("accept", "")
    return "text/html" in accept and "application/json" not in accept.split("text/html")[0]


def _reason(reason: Reason) -> dict[str, Any]:
    found: dict[str, Any] = {"code": reason.code, "message": reason.message, "severity": reason.severity}
    if reason.help:
        found["help"] = reason.help
    if reason.span is not None:
        found["span"] = list(reason.span)
    return found
