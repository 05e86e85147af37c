"""The outermost room: request id, limits, security headers, one log line and the request metrics. Plain ASGI, so that
streams pass through untouched."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ImprimaturError, InvalidRequest, PayloadTooLarge, RateLimited
from gateway.observe.metrics import Metrics
from gateway.observe.timing import Timings
from gateway.problems import SCIM_PATH, envelope, scim_answer

log = logging.getLogger(__name__)

SECURITY_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",  # for browsers that don't know frame-ancestors
}
IDENTITY_HEADERS: Final = (
    "x-forwarded-user",
    "x-forwarded-email",
    "x-remote-user",
    "remote-user",
    "x-auth-request-user",
)
"""Names that proxies use to say who somebody is. From outside they are lies, and nothing here reads them."""


UPLOAD_PATHS: Final = frozenset({"/v1/images/edits", "/v1/images/variations", "/v1/content_provenance_checks"})
"""Their bodies hold pictures. How large those may be is judged where they are read: once we know who sends them, and
with a record."""


class Edge:
    """Wraps the app. `csp` is the one Content-Security-Policy of every answer."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, csp: str, max_body_bytes: int, max_in_flight: int, hsts: bool
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._max_in_flight = max_in_flight
        self._in_flight = 0  # the event loop's thread only
        self._headers = SECURITY_HEADERS | {"content-security-policy": csp}
        if hsts:
            self._headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Provisional: a request that gets a record answers under the record's id.
        state = scope.setdefault("state", {})
        state["request_id"] = str(uuid.uuid4())
        state["timings"] = timings = Timings()
        own: dict[str, str] = {}
        state["headers"] = own
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = state["request_id"]
                headers["openai-processing-ms"] = str(int((time.perf_counter() - started) * 1e3))
                if timings.stages:
                    headers["server-timing"] = timings.header()
                headers.update(own)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        problem = self._refuse_early(scope)
        if problem is not None:
            if scope["path"].startswith(SCIM_PATH):
                answer = scim_answer(problem)
            else:
                answer = JSONResponse(envelope(problem, state["request_id"]), problem.status)
            answer.headers["x-should-retry"] = "false"
            if isinstance(problem, RateLimited):
                answer.headers.update({"x-should-retry": "true", "retry-after": "1"})
            await answer(scope, receive, send_with_headers)
            self._note(scope, status, started)
            return
        scope["headers"] = [h for h in scope["headers"] if h[0].decode("latin-1") not in IDENTITY_HEADERS]
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            bounded = receive if scope["path"] in UPLOAD_PATHS else self._bounded(receive)
            await self._app(scope, bounded, send_with_headers)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self._note(scope, status, started)

    def _refuse_early(self, scope: Scope) -> ImprimaturError | None:
        headers = Headers(scope=scope)
        if not headers.get("host"):
            return InvalidRequest("The Host header is missing.", param="host")
        length = headers.get("content-length", "0")
        if not length.isdigit() or (int(length) > self._max_body_bytes and scope["path"] not in UPLOAD_PATHS):
            return too_large(self._max_body_bytes)
        if self._in_flight >= self._max_in_flight:
            return RateLimited("Very many requests are being worked on. Try again in a second.")
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Counts what really comes: a chunked body has no length to check beforehand."""
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max_body_bytes:
                    raise too_large(self._max_body_bytes)
            return message

        return bounded

    def _note(self, scope: Scope, status: int, started: float) -> None:
        """One line: the route's template, never the path or the query, which can hold what a person typed."""
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD") else "other"
        self._metrics.requests.labels(route=route, method=method, status=str(status)).inc()
        self._metrics.request_seconds.labels(route=route).observe(seconds)
        fields = {
            "request_id": scope["state"]["request_id"],
            "route": route,
            "method": method,
            "status": status,
            "ms": round(seconds * 1e3, 1),
        }
        log.info("http.request", extra={"fields": fields})


def too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request is larger than {limit:,} bytes. Send less.")
