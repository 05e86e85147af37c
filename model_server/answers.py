"""What goes back for one accepted request: a plain JSON answer, or server-sent events as the picture grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from PIL.Image import Image

from model_server.engine import Engine
from model_server.errors import Internal, RequestCancelled, ServiceError
from model_server.events import Cancelled, Event, Failed, Finished, Previewed, Snapshot
from model_server.intake import Order
from model_server.pictures import encode
from model_server.pipelines.port import Capabilities
from model_server.wire import (
    CompletedEvent,
    ImagesResponse,
    ImageDatum,
    InputTokenDetails,
    PartialImageEvent,
    ProgressEvent,
    Provenance,
    TokenUsage,
    WireModel,
)

_KEEP_ALIVE_SECONDS = 15.0
"""Longest silence on a stream: proxies close quiet connections, commonly after 60 s."""
_KEEP_ALIVE = b": still here\n\n"
_BATCH_MODE = "request"


class Listener:
    """Carries a request's events from the engine's thread to the event loop, in order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def publish(self, event: Event) -> None:
        """Called by the engine from any thread. Never blocks and never raises."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:
            return  # the loop is gone, and with it everyone who could listen

    async def next(self) -> Event:
        """The next event."""
        return await self._events.get()


class Answer:
    """One request's way from the engine to the caller. Whoever holds it calls `abandon` in the end, however it ends."""

    def __init__(
        self, engine: Engine, work_id: str, order: Order, clock: Callable[[], datetime], listener: Listener
    ) -> None:
        self._engine = engine
        self._id = work_id
        self._order = order
        self._clock = clock
        self._listener = listener

    async def whole(self) -> ImagesResponse:
        """All pictures at once. Raises ServiceError when there are none."""
        while True:
            event = await self._listener.next()
            if isinstance(event, Finished):
                pictures = [await self._encode(picture) for picture in event.pictures]
                return self._response(pictures)
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Cancelled):
                raise RequestCancelled

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: progress, partial pictures, then one `completed` a picture, or one `error`."""
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._listener.next(), _KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield _KEEP_ALIVE
                    continue
                if isinstance(event, Snapshot):
                    yield _sse("image_generation.progress", self._progress(event))
                elif isinstance(event, Previewed):
                    for index, picture in enumerate(event.pictures):
                        yield _sse("image_generation.partial_image", await self._partial(event, index, picture))
                elif isinstance(event, Finished):
                    for index, picture in enumerate(event.pictures):
                        yield _sse("image_generation.completed", await self._completed(index, picture))
                    return
                else:
                    error: ServiceError = event.error if isinstance(event, Failed) else RequestCancelled()
                    yield _sse("error", error.envelope)
                    return
        except Exception:  # the stream has begun: its status can't change any more, only its last event
            yield _sse("error", Internal().envelope)
            raise

    def abandon(self) -> None:
        """Nobody waits any more: stop the work, unless it has ended."""
        self._engine.cancel(self._id)

    async def _encode(self, picture: Image) -> str:
        order, job = self._order, self._order.job
        return await asyncio.to_thread(
            encode, picture, job.width, job.height, order.output_format, order.output_compression
        )

    def _response(self, pictures: list[str]) -> ImagesResponse:
        return ImagesResponse(
            id=self._id,
            created=self._now(),
            data=tuple(ImageDatum(b64_json=picture) for picture in pictures),
            output_format=self._order.output_format,
            quality=self._order.quality,
            size=self._order.size,
            usage=self._usage(pictures=len(pictures), counts_prompt=True),
            provenance=self._provenance(),
        )

    def _progress(self, snapshot: Snapshot) -> ProgressEvent:
        return ProgressEvent(
            id=snapshot.id,
            state=snapshot.state,
            step=snapshot.step,
            steps=snapshot.steps,
            queue_position=snapshot.queue_position,
            eta_seconds=snapshot.eta_seconds,
        )

    async def _partial(self, event: Previewed, index: int, picture: Image) -> PartialImageEvent:
        return PartialImageEvent(
            b64_json=await self._encode(picture),
            created_at=self._now(),
            index=index,
            output_format=self._order.output_format,
            partial_image_index=event.index,
            quality=self._order.quality,
            size=self._order.size,
        )

    async def _completed(self, index: int, picture: Image) -> CompletedEvent:
        return CompletedEvent(
            id=self._id,
            b64_json=await self._encode(picture),
            created_at=self._now(),
            index=index,
            output_format=self._order.output_format,
            quality=self._order.quality,
            size=self._order.size,
            usage=self._usage(pictures=1, counts_prompt=index == 0),
            provenance=self._provenance(),
        )

    def _usage(self, *, pictures: int, counts_prompt: bool) -> TokenUsage:
        model = self._engine.model
        job = self._order.job
        read = sum(model.count_tokens(text) for text in (job.prompt, job.negative_prompt)) if counts_prompt else 0
        made = pictures * model.capabilities.output_tokens
        details = InputTokenDetails(text_tokens=read)
        return TokenUsage(input_tokens=read, input_tokens_details=details, output_tokens=made, total_tokens=read + made)

    def _provenance(self) -> Provenance:
        model, job = self._engine.model.capabilities, self._order.job
        return Provenance(
            model=model.name,
            model_digest=model.digest,
            seed=job.seed,
            steps=job.steps,
            guidance=job.guidance,
            scheduler=model.scheduler,
            batch_mode=_BATCH_MODE,
            rendered_size=rendered_size(model, self._order.size),
        )

    def _now(self) -> int:
        return int(self._clock().timestamp())


def rendered_size(model: Capabilities, asked: str) -> str:
    """The pixels the model itself makes when asked for a size."""
    return asked if model.rendered is None else f"{model.rendered[0]}x{model.rendered[1]}"


def _sse(event: str, data: WireModel) -> bytes:
    return f"event: {event}\ndata: {data.model_dump_json()}\n\n".encode()
