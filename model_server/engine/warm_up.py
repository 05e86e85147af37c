"""The first steps of a model: what they cost at each batch size, and what they take of memory and of the card's power.

Measured on the machine, for blind batching makes a compute-bound model worse: everybody waits for everybody and nobody
is done sooner. Each piece of work is small, so that a model can warm up between the steps of another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import nullcontext
from typing import Any, Final

import torch
from PIL.Image import Image

from model_server.engine.device import Device
from model_server.engine.pace import Pace
from model_server.engine.work import AnyModel
from model_server.observe import log
from model_server.pipelines.port import CallModel, Job, StepModel

_MEASURED_STEPS: Final = 3
_STILL_GROWS: Final = 1.02
"""A larger batch that does not bring 2 % more throughput ends the measuring: the next would not either."""

logger = logging.getLogger(__name__)


def job_for(model: AnyModel, size: tuple[int, int] | None = None) -> Job:
    """A job of as many steps as are measured, where the model can do that; of its default canvas, or of `size`."""
    width, height = size or model.capabilities.rendered or model.capabilities.sizes[0]
    limits = model.capabilities.steps
    steps = int(min(max(limits.minimum, 1 + _MEASURED_STEPS), limits.maximum))
    return Job("warm up", "", 1, width, height, steps, model.capabilities.guidance.default, seed=0)


def warm_up(model: AnyModel, device: Device, clock: Callable[[], float]) -> Iterator[None]:
    """Measure c(b) of each size the model offers, the default one first; yields between steps.

    `device.limits.profile_seconds` bounds the measuring; a size that was not reached takes one picture a step.
    """
    if not isinstance(model, StepModel):
        yield from _warm_up_call(model, device.paces.of((model, None)), clock)
        return
    limits, paces, memory = device.limits, device.paces, device.memory
    end = clock() + limits.profile_seconds
    is_fixed = limits.batching == "fixed"
    rendered = model.capabilities.rendered
    sizes = model.capabilities.sizes if rendered is None else (rendered,)
    for width, height in sizes:
        job = job_for(model, (width, height))
        group = (model, model.shape(job))
        pace = paces.of(group)
        if pace.step_seconds(1) is not None:
            continue  # another size of the same shape
        if clock() >= end and (width, height) != sizes[0]:
            log(logger, logging.INFO, "engine.not_measured", size=f"{width}x{height}")
            continue
        best = 0.0
        for batch in [1] if is_fixed else [2**power for power in range(limits.max_batch.bit_length())]:
            if clock() >= end and best:
                log(logger, logging.INFO, "engine.measured_in_part", size=f"{width}x{height}", batch=batch)
                break
            if memory.allowed(group, batch) < batch:
                break
            try:
                yield from _measure(model, job, group, batch, device, clock)
            except torch.OutOfMemoryError:
                memory.ran_out(group, batch)
                break
            rate = batch / (pace.step_seconds(batch) or 1.0)
            if rate < _STILL_GROWS * best:
                break
            best = rate


def _measure(
    model: StepModel[Any], job: Job, group: Hashable, batch: int, device: Device, clock: Callable[[], float]
) -> Iterator[None]:
    rows = device.limits.max_batch if device.limits.batching == "fixed" else 0
    slots = [model.begin(job)[0] for _ in range(batch)]
    took: list[float] = []
    device.memory.before()
    for number in range(min(1 + _MEASURED_STEPS, slots[0].steps)):
        began = clock()
        with device.power.counting(group) if batch == 1 and number == 0 else nullcontext():
            model.step(slots, rows)
        device.memory.wait()
        if number or slots[0].steps == 1:  # the first one chooses kernels and fills caches
            took.append(clock() - began)
        yield
    device.memory.after(group, batch)
    if batch == 1:
        model.preview(slots[0])  # the decoder has a first time too
    # The fastest: another program's turn on the processor makes a step slower, nothing makes it faster.
    device.paces.of(group).learn(batch, min(took))


def _warm_up_call(model: CallModel, pace: Pace, clock: Callable[[], float]) -> Iterator[None]:
    last = clock()

    def after_step(_done: int, _preview: Callable[[], list[Image]]) -> None:
        nonlocal last
        now = clock()
        pace.learn(1, now - last)
        last = now

    model.call(job_for(model), after_step)
    yield
