"""`POST /v1/images/{generations,edits,variations}`: JSON or a form in, JSON or server-sent events out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, cast

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway.api import answers, bodies
from gateway.api.access import credentials_of, name_request, origin_of, request_id_of
from gateway.api.connection import while_connected
from gateway.api.forms import read_upload
from gateway.errors import ImprimaturError
from gateway.exchange import Accepted, ImageRequest, Partial, Progress, Result, Upload
from gateway.problems import envelope
from gateway.recording import Call
from gateway.room import Lease
from gateway.services import Services, services_of
from gateway.upstream.catalogue import Model
from gateway.vocabulary import Permission

router = APIRouter()

CLIENT_CLOSED_REQUEST: Final = 499
"""nginx's word for it; nobody is there to read it, but the log line and the metrics are."""

Steps = AsyncGenerator[Accepted | Progress | Partial | Result, None]
Check = Callable[[Mapping[str, Any], Sequence[Upload], Mapping[str, Model], str], ImageRequest]


@router.post("/v1/images/generations")
async def generate(request: Request) -> Response:
    """Make pictures from a prompt. Refusals are answered before a stream begins, so they carry a real status."""
    services = services_of(request)
    await request.body()  # whole and bounded, before anybody watches the connection

    async def read() -> ImageRequest:
        models = await services.catalogue.models()
        return bodies.generation(await bodies.read_json(request), models, services.settings.upstream.default_model)

    return await _run(request, Permission.IMAGE_GENERATE, read)


@router.post("/v1/images/edits")
async def edit(request: Request) -> Response:
    """Change pictures: where the mask is transparent, or as a whole."""
    return await _run_with_pictures(request, Permission.IMAGE_EDIT, bodies.edit)


@router.post("/v1/images/variations")
async def vary(request: Request) -> Response:
    """More pictures like this one."""
    return await _run_with_pictures(request, Permission.IMAGE_VARY, bodies.variation)


async def _run_with_pictures(request: Request, action: Permission, check: Check) -> Response:
    """The body is read inside the pipeline, after step 1: a hundred megabytes are taken from somebody we know."""
    services = services_of(request)
    lease = services.room.lease()
    arrived = anyio.Event()

    async def read() -> ImageRequest:
        try:
            fields, uploads = await read_upload(request, action, services.settings.server, lease)
        finally:
            arrived.set()
        models = await services.catalogue.models()
        return check(fields, uploads, models, services.settings.upstream.default_model)

    try:
        answer = await _run(request, action, read, arrived, lease)
    except BaseException:
        lease.release()
        raise
    if not isinstance(answer, _Answer):
        lease.release()
    return answer


async def _run(
    request: Request,
    action: Permission,
    read: Callable[[], Awaitable[ImageRequest]],
    arrived: anyio.Event | None = None,
    lease: Lease | None = None,
) -> Response:
    services = services_of(request)
    seen: list[ImageRequest] = []

    async def read_and_see() -> ImageRequest:
        seen.append(await read())
        return seen[0]

    call = Call(
        action=action,
        credentials=credentials_of(request),
        origin=origin_of(request),
        read=read_and_see,
        name=lambda request_id: name_request(request, request_id),
        timings=request.scope["state"]["timings"],
        headers=request.scope["state"]["headers"],
        hold=lambda size_bytes: None if lease is None else lease.hold(size_bytes),
    )
    # The page asks with its cookie and draws progress; SDKs come with a bearer and know the API's own events only.
    shows_progress = call.credentials.authorization is None
    steps = services.pipeline.run(call)
    accepted = await _first(request, steps, arrived)
    if accepted is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return _Answer(request, services, seen[0], accepted, steps, shows_progress, lease)


class _Answer(Response):
    """Sends what the pipeline yields. It owns the iterator, so that however sending ends, the pipeline is closed and
    its record concluded before this returns."""

    def __init__(
        self,
        request: Request,
        services: Services,
        asked: ImageRequest,
        accepted: Accepted,
        steps: Steps,
        shows_progress: bool,
        lease: Lease | None,
    ) -> None:
        super().__init__()
        self._request = request
        self._services = services
        self._asked = asked
        self._accepted = accepted
        self._steps = steps
        self._shows_progress = shows_progress
        self._lease = lease

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with while_connected(self._request), aclosing(self._steps) as steps:
                if self._asked.stream:
                    await self._stream(steps, send)
                else:
                    await self._once(steps, scope, receive, send)
        finally:
            if self._lease is not None:
                self._lease.release()

    async def _once(self, steps: Steps, scope: Scope, receive: Receive, send: Send) -> None:
        async for step in steps:
            if isinstance(step, Result):
                body = answers.image_response(step, self._asked, await self._addresses(step))
                headers = self._own_headers(step.credits_remaining)
                await JSONResponse(body, headers=headers)(scope, receive, send)

    async def _addresses(self, result: Result) -> list[str]:
        """Where the pictures can be fetched, when that was asked for."""
        if self._asked.response_format != "url":
            return []
        base = self._services.settings.server.public_url.rstrip("/")
        shelf = self._services.shelf
        return [f"{base}/v1/pictures/{await shelf.put(picture, result.owner)}" for picture in result.pictures]

    async def _stream(self, steps: Steps, send: Send) -> None:
        headers = self._own_headers(self._accepted.credits_remaining)
        headers |= {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        async for event in self._events(steps):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, steps: Steps) -> AsyncIterator[bytes]:
        created_at = int(self._services.clock().timestamp())
        if self._shows_progress:
            yield answers.accepted_event(self._accepted, self._asked)
        try:
            async for step in steps:
                if isinstance(step, Progress):
                    if self._shows_progress:
                        yield answers.progress_event(step, self._asked)
                elif isinstance(step, Partial):
                    yield answers.partial_event(step, self._asked, created_at)
                elif isinstance(step, Result):
                    for event in answers.completed_events(step, self._asked):
                        yield event
        except ImprimaturError as error:
            yield answers.error_event(envelope(error, request_id_of(self._request)))

    def _own_headers(self, credits_remaining: int) -> dict[str, str]:
        return {
            "x-credits-remaining": str(credits_remaining),
            "x-should-retry": "false",
        }


async def _first(request: Request, steps: Steps, arrived: anyio.Event | None) -> Accepted | None:
    """The first thing the pipeline says; None when the client went away before it."""
    first: list[Accepted] = []
    with suppress(ClientDisconnect):  # in the middle of the body: nobody asked anything yet
        async with while_connected(request, arrived):
            first.append(cast(Accepted, await anext(steps)))
    return first[0] if first else None
