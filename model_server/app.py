"""The HTTP face: routes, the gate before them, and one shape for every error."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from model_server.answers import Answer, Listener, rendered_size
from model_server.auth import TokenCheck
from model_server.engine import Engine
from model_server.errors import (
    Internal,
    InvalidRequest,
    NotAllowed,
    NotFound,
    RequestCancelled,
    ServiceError,
    TooLarge,
    Unavailable,
    WrongMedia,
)
from model_server.events import Snapshot
from model_server.intake import OUTPUT_FORMATS, parse_request, resolve
from model_server.observe import Metrics, log
from model_server.wire import (
    MAX_PICTURES,
    REQUEST_ID_HEADER,
    ModelInfo,
    ModelList,
    QueueStatus,
    Range,
    WholeRange,
    WireModel,
)

_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Addresses that need no token: probes and scrapers have none, and there is nothing of anyone's in the answers."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

logger = logging.getLogger(__name__)


class Gate:
    """Stands before all routes: no token, no answer, not even 404. A new route is closed until someone opens it."""

    def __init__(self, app: ASGIApp, check: TokenCheck, metrics: Metrics) -> None:
        self._app = app
        self._check = check
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in _OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        try:
            values = [value for name, value in scope["headers"] if name == b"authorization"]
            # Two headers: a proxy before us may have checked the other one.
            self._check.require(values[0].decode("latin-1") if len(values) == 1 else None)
        except ServiceError as error:
            await _error_response(error, self._metrics)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def create_app(
    engine: Engine,
    *,
    check: TokenCheck,
    metrics: Metrics,
    clock: Callable[[], datetime],
    max_body_bytes: int,
    drain_seconds: float,
) -> FastAPI:
    """The application over a loaded model. The engine starts and ends with it. `clock` gives aware UTC."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.close, drain_seconds)

    app = FastAPI(title="model server", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Gate, check=check, metrics=metrics)

    @app.post("/v1/images/generations")
    async def generate(request: Request) -> Response:
        order = resolve(parse_request(await _read_json(request, max_body_bytes)), engine.model.capabilities)
        work_id = _request_id(request)
        listener = Listener()
        engine.submit(work_id, order.job, order.partial_images, listener.publish)
        answer = Answer(engine, work_id, order, clock, listener)
        headers = {REQUEST_ID_HEADER: work_id}
        if order.stream:
            return _EventStream(answer, {**headers, **_STREAM_HEADERS})
        return _json(await _unless_gone(request, answer), headers)

    @app.post("/v1/images/{work_id}/cancel")
    async def cancel(work_id: str) -> Response:
        return _json(_queue_status(engine.cancel(work_id)))

    @app.get("/v1/queue/{work_id}")
    async def queue(work_id: str) -> Response:
        return _json(_queue_status(engine.status(work_id)))

    @app.get("/v1/models")
    async def models() -> Response:
        return _json(ModelList(data=(model_info(engine),)))

    @app.get("/healthz")
    async def healthz() -> Response:
        if not engine.is_alive:  # the device's thread is gone: only a restart helps
            raise Unavailable("The engine has stopped.")
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def readyz() -> Response:
        if not engine.is_ready:
            raise Unavailable("The model is not ready.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(ServiceError)
    async def on_service_error(_request: Request, error: ServiceError) -> Response:
        return _error_response(error, metrics)

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, error: HTTPException) -> Response:
        known = {404: NotFound("There is nothing at this address."), 405: NotAllowed("Not with this method.")}
        return _error_response(known.get(error.status_code, InvalidRequest("The request is malformed.")), metrics)

    @app.exception_handler(Exception)
    async def on_unknown(_request: Request, _error: Exception) -> Response:
        log(logger, logging.ERROR, "http.unexpected", trace=True)
        return _error_response(Internal(), metrics)

    return app


class _EventStream(StreamingResponse):
    """A stream that stops its work however it ends: even when the caller left before the first byte."""

    def __init__(self, answer: Answer, headers: dict[str, str]) -> None:
        super().__init__(answer.stream(), media_type="text/event-stream", headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.abandon()


def model_info(engine: Engine) -> ModelInfo:
    """The model's entry in the list, as it was loaded."""
    model = engine.model.capabilities
    sizes = tuple(f"{width}x{height}" for width, height in model.sizes)
    return ModelInfo(
        id=model.name,
        owned_by=model.owner,
        description=model.description,
        digest=model.digest,
        scheduler=model.scheduler,
        sizes=sizes,
        default_size=sizes[0],
        rendered_size=rendered_size(model, "as asked"),
        output_formats=OUTPUT_FORMATS,
        steps=WholeRange(
            default=int(model.steps.default), minimum=int(model.steps.minimum), maximum=int(model.steps.maximum)
        ),
        guidance=Range(default=model.guidance.default, minimum=model.guidance.minimum, maximum=model.guidance.maximum),
        max_pictures=MAX_PICTURES,
    )


async def _read_json(request: Request, limit: int) -> bytes:
    """The body, never more than `limit` bytes of it in memory."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMedia("The body must be application/json.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The body is longer than {limit} bytes.")
    return bytes(body)


async def _unless_gone(request: Request, answer: Answer) -> WireModel:
    """The whole answer; when the caller hangs up before it is there, its work is stopped."""
    making = asyncio.create_task(answer.whole())
    leaving = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise RequestCancelled
        return making.result()
    finally:
        answer.abandon()
        for task in (making, leaving):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(making, leaving, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _request_id(request: Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is None:
        return uuid.uuid4().hex
    if _REQUEST_ID.fullmatch(given) is None:
        raise InvalidRequest(f"'{REQUEST_ID_HEADER}' must be 8 to 64 of A-Z a-z 0-9 _ -.", param=REQUEST_ID_HEADER)
    return given


def _queue_status(snapshot: Snapshot | None) -> QueueStatus:
    if snapshot is None:
        raise NotFound("No request of this id is known.", param="id")
    return QueueStatus(
        id=snapshot.id,
        state=snapshot.state,
        step=snapshot.step,
        steps=snapshot.steps,
        queue_position=snapshot.queue_position,
        eta_seconds=snapshot.eta_seconds,
    )


def _json(body: WireModel, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def _error_response(error: ServiceError, metrics: Metrics) -> Response:
    metrics.refusals.labels(error.code).inc()
    return JSONResponse(error.envelope.model_dump(), error.status, headers=error.headers)
