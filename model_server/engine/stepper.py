"""One turn of the device: begin, denoise, decode, for the pictures that were chosen. Run by the engine's thread alone.

What fails ends the request that failed and no other. When several shared the step, each is taken alone next time, so
that the guilty one fails by itself. Out of memory: the step did not happen, and the next one is half as large.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from PIL.Image import Image

from model_server.engine.device import Device
from model_server.engine.events import Cancelled, Event, Failed, Finished
from model_server.engine.schedule import Place
from model_server.engine.work import Work
from model_server.errors import Internal, Unavailable
from model_server.observe import Metrics, log
from model_server.pipelines.port import StepModel
from model_server.wire import JobState

_RETRY_OUT_OF_MEMORY_SECONDS: Final = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended in this turn."""

    work: Work
    state: JobState
    event: Event


class _Stopped(Exception):
    """Thrown out of a model's own loop when its request was cancelled."""


class Stepper:
    """Takes steps and keeps what they teach: pace and memory."""

    def __init__(
        self,
        device: Device,
        metrics: Metrics,
        tell: Callable[[Work], None],
        clock: Callable[[], float],
    ) -> None:
        """`tell(work)` sends the caller a progress event."""
        self._device = device
        self._metrics = metrics
        self._tell = tell
        self._clock = clock

    def batch_mode(self, work: Work) -> str:
        """The provenance's word for how a request's pictures shared their steps."""
        if not isinstance(work.model, StepModel):
            return "alone"
        return f"fixed:{self._device.limits.max_batch}" if self._device.limits.batching == "fixed" else "mixed"

    def take(self, places: list[Place]) -> list[Ending]:
        """One step of each picture. Returns the requests that ended with it."""
        ended: list[Ending] = []
        for work in {place.work.id: place.work for place in places}.values():
            if (ending := self._prepare(work)) is not None:
                ended.append(ending)
        gone = {ending.work.id for ending in ended}
        places = [place for place in places if place.work.id not in gone and place.work.state == "running"]
        if not places:
            return ended
        model = places[0].work.model
        if not isinstance(model, StepModel):
            return [*ended, self._call(places[0].work)]
        ended += self._step(model, places)
        self._metrics.running.set(0)
        return ended

    def _prepare(self, work: Work) -> Ending | None:
        """Begin it, unless it has begun or was cancelled."""
        if work.stopped:
            return Ending(work, "cancelled", Cancelled())
        if work.state == "running":
            return None
        try:
            if isinstance(work.model, StepModel):
                work.slots = list(work.model.begin(work.job))
        except Exception as error:
            return _failure(work, error)
        work.state = "running"
        self._metrics.wait.labels(work.work_class).observe(self._clock() - work.accepted_at)
        self._tell(work)
        return None

    def _step(self, model: StepModel[Any], places: list[Place]) -> list[Ending]:
        works = list({place.work.id: place.work for place in places}.values())
        group = (model, works[0].shape)
        size = len(places)
        limits = self._device.limits
        is_fixed = limits.batching == "fixed"
        self._metrics.running.set(size)
        self._metrics.batch.observe(size)
        self._device.memory.before()
        began = self._clock()
        try:
            model.step([work.slots[picture] for work, picture in places], limits.max_batch if is_fixed else 0)
            self._device.memory.wait()
        except torch.OutOfMemoryError as error:
            self._metrics.out_of_memory.inc()
            log(logger, logging.WARNING, "engine.out_of_memory", batch=size)
            self._device.memory.ran_out(group, size)
            if size > 1 and not is_fixed:
                return []  # nothing has moved: the same pictures come again, fewer at a time
            return [_failure(work, error) for work in works]
        except Exception as error:
            if len(works) == 1:
                return [_failure(works[0], error)]
            for work in works:
                work.take_alone()
            return []
        seconds = self._clock() - began
        self._device.memory.after(group, size)
        self._device.paces.of(group).learn(size, seconds)
        self._device.power.after(group, size, seconds)
        self._metrics.step.observe(seconds)
        return [ending for work in works if (ending := self._after_step(model, work)) is not None]

    def _after_step(self, model: StepModel[Any], work: Work) -> Ending | None:
        if work.stopped:
            return Ending(work, "cancelled", Cancelled())
        try:
            for index, slot in enumerate(work.slots):
                if slot.done >= slot.steps and index not in work.finished:
                    work.finished[index] = model.finish(slot)
            preview = work.owes_preview()
            if preview is not None:
                pictures = [work.finished.get(i) or model.preview(slot) for i, slot in enumerate(work.slots)]
                preview.pictures.extend(pictures)
        except Exception as error:
            return _failure(work, error)
        if work.owes_progress():
            self._tell(work)
        if preview is not None:
            work.publish(preview)
        if len(work.finished) < len(work.slots):
            return None
        return self._success(work, [work.finished[index] for index in range(len(work.slots))])

    def _call(self, work: Work) -> Ending:
        """The whole of a request, by a model whose loop is its own."""
        model = work.model
        if isinstance(model, StepModel):
            raise AssertionError("unreachable: step models are stepped")
        pace = self._device.paces.of((model, work.shape))
        last = self._clock()

        def after_step(done: int, preview: Callable[[], list[Image]]) -> None:
            nonlocal last
            seconds = self._clock() - last
            pace.learn(work.job.count, seconds)
            self._metrics.step.observe(seconds)
            work.call_step = min(done, work.job.steps)
            if work.stopped:
                raise _Stopped
            if work.owes_progress():
                self._tell(work)
            if (event := work.owes_preview()) is not None:
                event.pictures.extend(preview())
                work.publish(event)
            last = self._clock()

        self._metrics.running.set(work.job.count)
        try:
            pictures = model.call(work.job, after_step)
        except _Stopped:
            return Ending(work, "cancelled", Cancelled())
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError):
                self._metrics.out_of_memory.inc()
                self._device.memory.ran_out((model, work.shape), work.job.count)
            return _failure(work, error)
        finally:
            self._metrics.running.set(0)
        return self._success(work, pictures)

    def _success(self, work: Work, pictures: list[Image]) -> Ending:
        self._metrics.pictures.inc(len(pictures))
        return Ending(work, "completed", Finished(pictures, self.batch_mode(work)))


def _failure(work: Work, error: Exception) -> Ending:
    """Whatever a model throws, the next request finds a working engine. The message may quote the prompt: it goes
    nowhere."""
    log(logger, logging.ERROR, "request.failed", trace=True, id=work.id)
    if isinstance(error, torch.OutOfMemoryError):
        problem = Unavailable(
            "The device has too little memory for this right now. Try again, or ask for a smaller or fewer pictures.",
            retry_after_seconds=_RETRY_OUT_OF_MEMORY_SECONDS,
        )
        return Ending(work, "failed", Failed(problem))
    return Ending(work, "failed", Failed(Internal()))
