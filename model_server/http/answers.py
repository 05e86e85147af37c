"""What goes back for one accepted request: a plain JSON answer, or server-sent events as the picture grows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from PIL.Image import Image

from model_server.engine.engine import Engine
from model_server.engine.events import Cancelled, Event, Failed, Finished, Previewed, Snapshot
from model_server.errors import Internal, RequestCancelled, ServiceError
from model_server.http.orders import Order
from model_server.http.pictures import encode
from model_server.wire import (
    EVENT_NAMES,
    CompletedEvent,
    ImageDatum,
    ImagesResponse,
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
_MOST_WAITING = 32
"""Events that wait for a slow reader before news of the same kind replace each other."""


class Listener:
    """Carries a request's events from the engine's thread to the event loop, in order.

    A reader who falls behind misses steps and unfinished pictures, never the end: what waits for it is bounded.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()

    def publish(self, event: Event) -> None:
        """Called by the engine from any thread. Never blocks and never raises."""
        try:
            self._loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:
            return  # the loop is gone, and with it everyone who could listen

    async def next(self) -> Event:
        """The next event."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def _put(self, event: Event) -> None:
        if len(self._events) >= _MOST_WAITING and isinstance(self._events[-1], type(event)):
            self._events.pop()
        self._events.append(event)
        self._arrived.set()


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
        self._names = EVENT_NAMES[order.job.task]

    async def whole(self) -> ImagesResponse:
        """All pictures at once. Raises ServiceError when there are none."""
        while True:
            event = await self._listener.next()
            if isinstance(event, Finished):
                pictures = [await self._encode(picture) for picture in event.pictures]
                return self._response(pictures, event.batch_mode)
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
                    yield _sse(self._progress(event))
                elif isinstance(event, Previewed):
                    for index, picture in enumerate(event.pictures):
                        yield _sse(await self._partial(event, index, picture))
                elif isinstance(event, Finished):
                    for index, picture in enumerate(event.pictures):
                        yield _sse(await self._completed(index, picture, event.batch_mode))
                    return
                else:
                    error: ServiceError = event.error if isinstance(event, Failed) else RequestCancelled()
                    yield _error(error)
                    return
        except Exception:  # the stream has begun: its status can't change any more, only its last event
            yield _error(Internal())
            raise

    def abandon(self) -> None:
        """Nobody waits any more: stop the work, unless it has ended."""
        self._engine.cancel(self._id)

    async def _encode(self, picture: Image) -> str:
        return await asyncio.to_thread(self._encode_now, picture)

    def _encode_now(self, picture: Image) -> str:
        order = self._order
        return encode(order.frame.restore(picture), order.output_format, order.output_compression)

    def _response(self, pictures: list[str], batch_mode: str) -> ImagesResponse:
        return ImagesResponse(
            id=self._id,
            created=self._now(),
            data=tuple(ImageDatum(b64_json=picture) for picture in pictures),
            output_format=self._order.output_format,
            quality=self._order.quality,
            size=self._order.size,
            usage=self._usage(pictures=len(pictures), counts_input=True),
            provenance=self._provenance(batch_mode),
        )

    def _progress(self, snapshot: Snapshot) -> ProgressEvent:
        return ProgressEvent(
            type=self._names.progress,
            id=snapshot.id,
            state=snapshot.state,
            step=snapshot.step,
            steps=snapshot.steps,
            queue_position=snapshot.queue_position,
            eta_seconds=snapshot.eta_seconds,
        )

    async def _partial(self, event: Previewed, index: int, picture: Image) -> PartialImageEvent:
        return PartialImageEvent(
            type=self._names.partial_image,
            b64_json=await self._encode(picture),
            created_at=self._now(),
            index=index,
            output_format=self._order.output_format,
            partial_image_index=event.index,
            quality=self._order.quality,
            size=self._order.size,
        )

    async def _completed(self, index: int, picture: Image, batch_mode: str) -> CompletedEvent:
        return CompletedEvent(
            type=self._names.completed,
            id=self._id,
            b64_json=await self._encode(picture),
            created_at=self._now(),
            index=index,
            output_format=self._order.output_format,
            quality=self._order.quality,
            size=self._order.size,
            usage=self._usage(pictures=1, counts_input=index == 0),
            provenance=self._provenance(batch_mode),
        )

    def _usage(self, *, pictures: int, counts_input: bool) -> TokenUsage:
        model, job = self._order.model, self._order.job
        each = model.capabilities.output_tokens
        texts = sum(model.count_tokens(text) for text in (job.prompt, job.negative_prompt)) if counts_input else 0
        images = (len(job.images) + (job.mask is not None)) * each if counts_input else 0
        made = pictures * each
        details = InputTokenDetails(image_tokens=images, text_tokens=texts)
        read = images + texts
        return TokenUsage(input_tokens=read, input_tokens_details=details, output_tokens=made, total_tokens=read + made)

    def _provenance(self, batch_mode: str) -> Provenance:
        model, job = self._order.model.capabilities, self._order.job
        return Provenance(
            model=model.name,
            model_digest=model.digest,
            seed=job.seed,
            steps=job.steps,
            guidance=job.guidance,
            scheduler=model.scheduler,
            strength=job.strength,
            batch_mode=batch_mode,
            rendered_size=self._order.rendered_size,
        )

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _sse(data: ProgressEvent | PartialImageEvent | CompletedEvent) -> bytes:
    return _event(data.type, data)


def _error(error: ServiceError) -> bytes:
    return _event("error", error.envelope)


def _event(name: str, data: WireModel) -> bytes:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode()
