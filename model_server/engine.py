"""The engine: one thread owns the device and works through the waiting room; the HTTP side never waits for it.

A request's n pictures are denoised as one batch. Between two steps the engine looks up: a cancelled request ends there
and frees its slots; progress and previews go out. Everything a caller hears of its request goes through `publish`,
which the engine calls from its own thread (and `submit` once, before it returns) and which must not block.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from model_server.errors import Conflict, Internal, QueueFull, Unavailable
from model_server.events import Cancelled, Event, Failed, Finished, Previewed, Publish, Snapshot
from model_server.observe import Metrics, log
from model_server.pace import Pace
from model_server.pipelines.port import CallModel, Job, StepModel
from model_server.queue import RoomClosed, RoomFull, WaitingRoom
from model_server.wire import JobState

_REMEMBERED = 1000
"""Ended requests whose last state can still be asked for. States only: the prompt goes when the request ends."""
_WARM_UP_COUNTS = (1, 2, 4, 10)
_WARM_UP_STEPS = 3
_PROGRESS_EVENTS = 10
_UNKNOWN_WAIT_SECONDS = 5

logger = logging.getLogger(__name__)


AnyModel = StepModel[Any] | CallModel  # Any: a model knows its own slots, the engine only hands them back


class _Stopped(Exception):
    """Thrown out of a model's loop between steps when its request was cancelled."""


@dataclass(slots=True, eq=False)
class _Work:
    """One accepted request. `state` and `step` are written by the engine's thread, or under its lock while waiting."""

    id: str
    job: Job
    preview_steps: tuple[int, ...]
    publish: Publish
    accepted_at: float
    state: JobState = "queued"
    step: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Owns a model and its thread. Methods are safe from any thread and return at once (`close` excepted)."""

    def __init__(
        self, model: AnyModel, *, queue_limit: int, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` measures durations, in seconds."""
        self.model = model
        self._metrics = metrics
        self._clock = clock
        self._room: WaitingRoom[_Work] = WaitingRoom(queue_limit)
        self._pace = Pace()
        self._lock = threading.Lock()
        self._live: dict[str, _Work] = {}  # guarded by _lock: accepted and not ended
        self._ended: OrderedDict[str, Snapshot] = OrderedDict()  # guarded by _lock
        self._running: _Work | None = None  # written by the engine's thread
        self._warm = threading.Event()
        self._draining = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin: warm up, then work."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread that owns the device still runs."""
        return self._thread.is_alive()

    @property
    def is_ready(self) -> bool:
        """Whether a request would be worked on without delay for warm-up."""
        return self._warm.is_set() and self.is_alive and not self._draining.is_set()

    def drain(self) -> None:
        """Take no more requests; those accepted go on."""
        self._draining.set()

    def submit(self, work_id: str, job: Job, partials: int, publish: Publish) -> None:
        """Accept a request. Its first event, a Snapshot, is published before this returns.

        Raises QueueFull with an honest Retry-After, Conflict when a request of that id is live, Unavailable.
        """
        if self._draining.is_set():
            raise Unavailable("The model server is shutting down.", retry_after_seconds=_UNKNOWN_WAIT_SECONDS)
        if not self._warm.is_set():
            raise Unavailable("The model is still warming up.", retry_after_seconds=_UNKNOWN_WAIT_SECONDS)
        work = _Work(work_id, job, _preview_steps(job.steps, partials), publish, self._clock())
        with self._lock:
            if work_id in self._live:
                raise Conflict("A request of this id is still in work.")
            self._live[work_id] = work
        try:
            self._room.enter(work, lambda position: publish(self._snapshot(work, position)))
        except (RoomFull, RoomClosed) as error:
            with self._lock:
                del self._live[work_id]
            if isinstance(error, RoomFull):
                raise QueueFull("Too many requests are waiting.", retry_after_seconds=self._place_free_in()) from None
            raise Unavailable("The model server is shutting down.", retry_after_seconds=_UNKNOWN_WAIT_SECONDS) from None
        self._metrics.queue_depth.set(len(self._room))

    def cancel(self, work_id: str) -> Snapshot | None:
        """Stop a request: at once while it waits, within one step when it runs. None when the id is unknown."""
        with self._lock:
            work = self._live.get(work_id)
        if work is not None:
            work.stop.set()
            if self._room.leave(work):
                self._end(work, "cancelled", Cancelled())
        return self.status(work_id)

    def status(self, work_id: str) -> Snapshot | None:
        """Where a request is, or how it ended; None when unknown or long ago."""
        with self._lock:
            work = self._live.get(work_id)
            if work is None:
                return self._ended.get(work_id)
        line = self._room.line()
        return self._snapshot(work, line.index(work) if work in line else 0)

    def close(self, drain_seconds: float) -> None:
        """End: send those waiting away, give the running request `drain_seconds`, then stop it between steps."""
        self.drain()
        for work in self._room.close():
            self._end(work, "failed", Failed(Unavailable("The model server is shutting down.", retry_after_seconds=1)))
        self._thread.join(drain_seconds)
        running = self._running
        if running is not None:
            running.stop.set()
        self._thread.join(drain_seconds)

    # --- the engine's thread ---

    def _run(self) -> None:
        try:
            self._warm_up()
        except Exception:
            log(logger, logging.ERROR, "engine.warm_up_failed", trace=True)
            return
        self._warm.set()
        log(logger, logging.INFO, "engine.ready", model=self.model.capabilities.name)
        while True:
            try:
                work = self._room.take()
            except RoomClosed:
                return
            self._running = work
            try:
                self._work_on(work)
            finally:
                self._running = None
                self._metrics.running.set(0)

    def _work_on(self, work: _Work) -> None:
        self._metrics.queue_depth.set(len(self._room))
        self._metrics.wait.observe(self._clock() - work.accepted_at)
        self._metrics.running.set(work.job.count)
        work.state = "running"
        try:
            if work.stop.is_set():
                raise _Stopped
            work.publish(self._snapshot(work, 0))
            self._tell_places()
            pictures = self._make(work)
        except _Stopped:
            self._end(work, "cancelled", Cancelled())
        except Exception:
            # Whatever a model throws, the next request finds a working engine. The message may quote the prompt:
            # it goes nowhere.
            log(logger, logging.ERROR, "request.failed", trace=True, id=work.id)
            self._end(work, "failed", Failed(Internal()))
        else:
            self._metrics.pictures.inc(len(pictures))
            self._end(work, "completed", Finished(pictures))

    def _make(self, work: _Work) -> list[Image]:
        job = work.job
        every = max(1, job.steps // _PROGRESS_EVENTS)
        last = self._clock()

        def after_step(done: int, preview: Callable[[], list[Image]]) -> None:
            nonlocal last
            now = self._clock()
            self._pace.learn(job.count, now - last)
            self._metrics.step.observe(now - last)
            work.step = done
            if work.stop.is_set():
                raise _Stopped
            if done % every == 0 or done == job.steps:
                work.publish(self._snapshot(work, 0))
            if done in work.preview_steps:
                work.publish(Previewed(work.preview_steps.index(done), preview()))
            last = self._clock()

        return _drive(self.model, job, after_step)

    def _warm_up(self) -> None:
        capabilities = self.model.capabilities
        width, height = capabilities.sizes[0]
        steps = int(min(max(_WARM_UP_STEPS, capabilities.steps.minimum), capabilities.steps.maximum))
        counts = _WARM_UP_COUNTS if isinstance(self.model, StepModel) else _WARM_UP_COUNTS[:1]
        for count in counts:
            last = self._clock()

            def after_step(_done: int, _preview: Callable[[], list[Image]], count: int = count) -> None:
                nonlocal last
                now = self._clock()
                self._pace.learn(count, now - last)
                last = now
                if self._draining.is_set():
                    raise _Stopped

            guidance = capabilities.guidance.default
            job = Job("warm up", "", count, width, height, steps, guidance, seed=0)
            try:
                _drive(self.model, job, after_step)
            except _Stopped:
                return

    # --- bookkeeping ---

    def _end(self, work: _Work, state: JobState, event: Event) -> None:
        """Forget the request but for its state, then tell its caller. The slot is free when the caller hears of it."""
        work.state = state
        with self._lock:
            self._live.pop(work.id, None)
            self._ended[work.id] = Snapshot(work.id, state, work.step, work.job.steps, 0, 0.0)
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        self._metrics.queue_depth.set(len(self._room))
        self._metrics.requests.labels(state).inc()
        seconds = round(self._clock() - work.accepted_at, 3)
        log(logger, logging.INFO, "request.ended", id=work.id, outcome=state, pictures=work.job.count, seconds=seconds)
        work.publish(event)

    def _tell_places(self) -> None:
        for position, waiting in enumerate(self._room.line()):
            waiting.publish(self._snapshot(waiting, position))

    def _snapshot(self, work: _Work, position: int) -> Snapshot:
        ahead = 0 if work.state != "queued" else position + (self._running is not None)
        return Snapshot(work.id, work.state, work.step, work.job.steps, ahead, self._eta(work, position))

    def _eta(self, work: _Work, position: int) -> float | None:
        own = self._seconds_left(work)
        if work.state != "queued":
            return own
        before = self._room_line_seconds(position)
        return None if own is None or before is None else round(own + before, 3)

    def _room_line_seconds(self, position: int) -> float | None:
        running = self._running
        ahead = ([running] if running is not None else []) + self._room.line()[:position]
        parts = [self._seconds_left(work) for work in ahead]
        return None if None in parts else sum(part for part in parts if part is not None)

    def _seconds_left(self, work: _Work) -> float | None:
        seconds = self._pace.step_seconds(work.job.count)
        return None if seconds is None else round(seconds * (work.job.steps - work.step), 3)

    def _place_free_in(self) -> int:
        """Whole seconds until the running request should end, which lets the first one waiting leave its place."""
        running = self._running
        left = None if running is None else self._seconds_left(running)
        return _UNKNOWN_WAIT_SECONDS if left is None else max(1, math.ceil(left))


def _preview_steps(steps: int, partials: int) -> tuple[int, ...]:
    """The steps, evenly spaced and before the last, after which an unfinished picture goes out."""
    return tuple(sorted({round(steps * (k + 1) / (partials + 1)) for k in range(partials)} & set(range(1, steps))))


def _drive(model: AnyModel, job: Job, after_step: Callable[[int, Callable[[], list[Image]]], None]) -> list[Image]:
    """Run a job to its pictures on either kind of model. What `after_step` raises ends it."""
    if not isinstance(model, StepModel):
        return model.call(job, after_step)
    slots = model.begin(job)
    while any(slot.done < slot.steps for slot in slots):
        model.step(slots)
        after_step(slots[0].done, lambda: [model.preview(slot) for slot in slots])
    return [model.finish(slot) for slot in slots]
