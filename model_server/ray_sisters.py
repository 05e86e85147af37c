"""One address for many replicas: what only the others know is asked of them.

Ray Serve sends each call to some replica. A request's id lives on the one that works on it, and so do its counters:
the replica that was asked finds out from its sisters. Knows nothing of Ray: `ask` calls a method on every replica.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_server.engine.engine import Engine
from model_server.engine.events import Snapshot
from model_server.errors import Internal, ServiceError, Unavailable
from model_server.observe import log
from model_server.wire import QueueStatus

_BY_ID: Final = re.compile(r"/v1/(?:images/(?P<cancel>[^/]+)/cancel|queue/(?P<status>[^/]+))")
_METRICS: Final = "/metrics"
_LOOK_SECONDS: Final = 0.05
_FRESH_SECONDS: Final = 1.0
"""So long one gathering of all counters answers every scraper: they need no token, and each gathering asks everyone."""

logger = logging.getLogger(__name__)

Ask = Callable[..., Awaitable[Sequence[Any]]]
"""`await ask(method, *arguments)`: what that method gives on each replica, an exception where it did not answer."""


class Sisters:
    """Wraps a replica's application. Its own answer comes first, and with it the check of the caller's token."""

    def __init__(self, app: ASGIApp, engine: Engine, ask: Ask) -> None:
        self._app = app
        self._engine = engine
        self._ask = ask
        self._gathering = asyncio.Lock()
        self._gathered: tuple[float, bytes] = (-_FRESH_SECONDS, b"")  # guarded by _gathering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._when_ready(send))
            return
        if scope["type"] != "http":
            return
        if scope["path"] == _METRICS:
            await Response(await self._all_metrics(), media_type=CONTENT_TYPE_LATEST)(scope, receive, send)
            return
        by_id = _BY_ID.fullmatch(scope["path"])
        sending = _Unless404(send) if by_id is not None else _Passing(send)
        try:
            await self._app(scope, receive, sending.send)
        except Exception:
            # Already answered and logged in our words. Ray would write its message, and perhaps a prompt in it, to its
            # own log.
            if not sending.has_started:
                log(logger, logging.ERROR, "http.unexpected", trace=True)
                await _error(Internal())(scope, receive, send)
            return
        if isinstance(sending, _Unless404) and by_id is not None and sending.held:
            answer = await self._find(by_id["cancel"] or by_id["status"], by_id["cancel"] is not None)
            if answer is None:
                await sending.let_go()
            else:
                await answer(scope, receive, send)

    def _when_ready(self, send: Send) -> Send:
        """Ray takes a replica for ready when its application has started: that is when the model is warm."""

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                while not self._engine.is_ready:
                    if not self._engine.is_alive:
                        await send({"type": "lifespan.startup.failed", "message": "the engine did not start"})
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
                for name, model in self._engine.models.items():  # the size is what `target_ongoing` is best set to
                    log(logger, logging.INFO, "replica.ready", model=name, batch_size=self._engine.batch_size(model))
            await send(message)

        return sending

    async def _find(self, work_id: str, cancels: bool) -> Response | None:
        """What the sister that has the id says of it; None when none has."""
        answers = await self._ask("find", work_id, cancels)
        for answer in answers:
            if isinstance(answer, Snapshot):
                status = QueueStatus(
                    id=answer.id,
                    state=answer.state,
                    step=answer.step,
                    steps=answer.steps,
                    queue_position=answer.queue_position,
                    eta_seconds=answer.eta_seconds,
                )
                return Response(status.model_dump_json(), media_type="application/json")
        if any(isinstance(answer, BaseException) for answer in answers):
            # "Unknown" would be a guess: it may live on the one that did not answer.
            return _error(Unavailable("Not every replica could be asked. Ask again.", retry_after_seconds=1))
        return None

    async def _all_metrics(self) -> bytes:
        async with self._gathering:
            taken_at, text = self._gathered
            if time.monotonic() - taken_at >= _FRESH_SECONDS:
                answers = await self._ask("families")
                text = exposition([answer for answer in answers if not isinstance(answer, BaseException)])
                self._gathered = (time.monotonic(), text)
            return text


def labelled(registry: CollectorRegistry, replica: str) -> list[Metric]:
    """A replica's counters, each with its name on it."""
    families = list(registry.collect())
    for family in families:
        family.samples = [sample._replace(labels={**sample.labels, "replica": replica}) for sample in family.samples]
    return families


def exposition(replicas: Sequence[Sequence[Metric]]) -> bytes:
    """All replicas' counters as one text: each family once, as the format asks."""
    merged: dict[str, Metric] = {}
    for families in replicas:
        for family in families:
            known = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type, family.unit))
            known.samples.extend(family.samples)
    registry = CollectorRegistry()
    registry.register(_Given(list(merged.values())))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


class _Passing:
    """Passes an answer on and remembers that it began."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_started = False

    async def send(self, message: Message) -> None:
        self.has_started = True
        await self._send(message)


class _Unless404(_Passing):
    """Holds an answer back when it is 404."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self.held: list[Message] = []

    async def send(self, message: Message) -> None:
        if self.held or (message["type"] == "http.response.start" and message["status"] == 404):
            self.held.append(message)
            return
        await super().send(message)

    async def let_go(self) -> None:
        """Send it after all."""
        for message in self.held:
            await self._send(message)


def _error(error: ServiceError) -> Response:
    return JSONResponse(error.envelope.model_dump(), error.status, headers=error.headers)
