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
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_server.engine.engine import Engine
from model_server.engine.events import Snapshot
from model_server.errors import Internal, InvalidRequest, NotFound, RequestCancelled, ServiceError
from model_server.http.answers import Answer, Listener
from model_server.http.auth import TokenCheck
from model_server.http.bodies import Bodies
from model_server.http.intake import Turn, parse_form, parse_json, parse_turn
from model_server.http.orders import OUTPUT_FORMATS, Order, check_pictures, order_generation, order_with_pictures
from model_server.http.probes import PROBE_PATHS, add_errors, add_probes, bare_app, error_response
from model_server.limits import BodyLimits
from model_server.observe import Metrics, log
from model_server.pipelines.port import Capabilities, Limits
from model_server.wire import (
    MAX_PICTURES,
    REQUEST_ID_HEADER,
    EditRequest,
    ModelInfo,
    ModelList,
    QueueStatus,
    Range,
    VariationRequest,
    WholeRange,
    WireModel,
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_DECODERS = 2
"""Requests whose pictures are unpacked at once: one can take as much memory as `max_input_pixels` says."""
_CLIENT_GONE = 499
"""nginx's word for it; nobody is there to read it."""

logger = logging.getLogger(__name__)


class Gate:
    """Stands before all routes: no token, no answer, not even 404. A new route is closed until someone opens it."""

    def __init__(self, app: ASGIApp, check: TokenCheck, metrics: Metrics) -> None:
        self._app = app
        self._check = check
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in PROBE_PATHS):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        try:
            values = [value for name, value in scope["headers"] if name == b"authorization"]
            # Two headers: a proxy before us may have checked the other one.
            self._check.require(values[0].decode("latin-1") if len(values) == 1 else None)
        except ServiceError as error:
            await error_response(error, self._metrics)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def create_app(
    engine: Engine,
    *,
    check: TokenCheck,
    metrics: Metrics,
    clock: Callable[[], datetime],
    bodies: BodyLimits,
    drain_seconds: float,
    send_seconds: float = 60.0,
    deadline_seconds: float | None = None,
) -> FastAPI:
    """The application over loaded models. The engine starts and ends with it. `clock` gives aware UTC.

    `send_seconds`: a reader of a stream who takes nothing for so long is cut off. `deadline_seconds`: of a request that
    names none.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.close, drain_seconds)

    app = bare_app()
    app.router.lifespan_context = lifespan
    app.add_middleware(Gate, check=check, metrics=metrics)
    reader = Bodies(bodies)
    decoding = asyncio.Semaphore(_DECODERS)

    @app.post("/v1/images/generations")
    async def generate(request: Request) -> Response:
        work_id, turn = _request_id(request), parse_turn(request.headers, deadline_seconds)
        with reader.held() as held:
            asked = parse_json(await reader.read_json(request, held))
        return await respond(request, work_id, turn, order_generation(asked, engine.model(asked.model)))

    @app.post("/v1/images/edits")
    async def edit(request: Request) -> Response:
        return await with_pictures(request, EditRequest)

    @app.post("/v1/images/variations")
    async def vary(request: Request) -> Response:
        return await with_pictures(request, VariationRequest)

    async def with_pictures(request: Request, kind: type[EditRequest] | type[VariationRequest]) -> Response:
        work_id, turn = _request_id(request), parse_turn(request.headers, deadline_seconds)
        with reader.held() as held:
            form = await reader.read_form(request, kind, held)
            asked = parse_form(kind, form.texts)
            model = engine.model(asked.model)
            check_pictures(asked, form.files, model.capabilities)
            async with decoding:
                order = await asyncio.to_thread(order_with_pictures, asked, form.files, model, bodies.max_pixels)
            del form  # before the queue: what waits there needs the pictures for the model only
        return await respond(request, work_id, turn, order)

    async def respond(request: Request, work_id: str, turn: Turn, order: Order) -> Response:
        listener = Listener()
        engine.submit(
            work_id,
            order.model,
            order.job,
            listener.publish,
            partials=order.partial_images,
            tenant=turn.tenant,
            work_class=turn.work_class,
            deadline_seconds=turn.deadline_seconds,
        )
        answer = Answer(engine, work_id, order, clock, listener)
        headers = {REQUEST_ID_HEADER: work_id}
        if order.stream:
            return _EventStream(answer, {**headers, **_STREAM_HEADERS}, send_seconds)
        return await _unless_gone(request, answer, headers)

    @app.post("/v1/images/{work_id}/cancel")
    async def cancel(work_id: str) -> Response:
        return _json(_queue_status(engine.cancel(work_id)))

    @app.get("/v1/queue/{work_id}")
    async def queue(work_id: str) -> Response:
        return _json(_queue_status(engine.status(work_id)))

    @app.get("/v1/models")
    async def models() -> Response:
        return _json(ModelList(data=tuple(model_info(model.capabilities) for model in engine.models.values())))

    @app.exception_handler(ClientDisconnect)
    async def on_gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def on_unknown(_request: Request, _error: Exception) -> Response:
        log(logger, logging.ERROR, "http.unexpected", trace=True)
        return error_response(Internal(), metrics)

    add_probes(app, engine, metrics)
    add_errors(app, metrics)
    return app


class _EventStream(StreamingResponse):
    """A stream that stops its work however it ends: even when the caller left before the first byte, or stays and
    takes nothing."""

    def __init__(self, answer: Answer, headers: dict[str, str], send_seconds: float) -> None:
        super().__init__(answer.stream(), media_type="text/event-stream", headers=headers)
        self._answer = answer
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except (ClientDisconnect, TimeoutError):
            log(logger, logging.INFO, "stream.left")
        finally:
            self._answer.abandon()


def model_info(model: Capabilities) -> ModelInfo:
    """The model's entry in the list, as it was loaded."""
    sizes = tuple(f"{width}x{height}" for width, height in model.sizes)
    takes_pictures = "edit" in model.tasks or "vary" in model.tasks
    return ModelInfo(
        id=model.name,
        owned_by=model.owner,
        description=model.description,
        digest=model.digest,
        scheduler=model.scheduler,
        sizes=sizes,
        default_size=sizes[0],
        rendered_size="as asked" if model.rendered is None else f"{model.rendered[0]}x{model.rendered[1]}",
        output_formats=OUTPUT_FORMATS,
        steps=WholeRange(
            default=int(model.steps.default), minimum=int(model.steps.minimum), maximum=int(model.steps.maximum)
        ),
        guidance=_range(model.guidance),
        max_pictures=MAX_PICTURES,
        tasks=model.tasks,
        sketch=model.has_sketch,
        max_input_images=model.max_input_images,
        strength=_range(model.strength) if takes_pictures else None,
        licence=model.licence,
    )


def _range(limits: Limits) -> Range:
    return Range(default=limits.default, minimum=limits.minimum, maximum=limits.maximum)


async def _unless_gone(request: Request, answer: Answer, headers: dict[str, str]) -> Response:
    """The whole answer; when the caller hangs up before it is there, its work is stopped."""
    making = asyncio.create_task(_whole(answer, headers))
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


async def _whole(answer: Answer, headers: dict[str, str]) -> Response:
    whole = await answer.whole()
    return await asyncio.to_thread(_json, whole, headers)  # ten large pictures take a while to write out


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _request_id(request: Request) -> str:
    given = request.headers.getlist(REQUEST_ID_HEADER)
    if not given:
        return uuid.uuid4().hex
    if len(given) > 1 or _REQUEST_ID.fullmatch(given[0]) is None:
        raise InvalidRequest(
            f"'{REQUEST_ID_HEADER}' must be one, of 8 to 64 of A-Z a-z 0-9 _ -.", param=REQUEST_ID_HEADER
        )
    return given[0]


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
