"""Requests that arrive by chance, and three ways of serving them on one model: the ground of the model benches.

Time is virtual: it advances by what each forward pass really took (by the wall), and jumps over what nobody waits for.
So a run takes only the time of its computing, all policies meet the same arrivals, and what is told is what a machine
that did nothing else would show.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from model_server.engine.engine import Engine
from model_server.engine.events import Event, Finished
from model_server.limits import EngineLimits
from model_server.observe import Metrics
from model_server.pipelines.port import Job, StepModel

HOLD_SECONDS = 0.05
"""How long request-level batching waits for company."""


class Timed:
    """A step model whose forward passes move a clock."""

    def __init__(self, model: StepModel[Any]) -> None:
        self._model = model
        self.capabilities = model.capabilities
        self.now = 0.0
        self.in_steps = 0.0
        """Seconds in forward passes since the clock was last set back."""
        self.in_model = 0.0
        """The same, decoding counted too."""

    def clock(self) -> float:
        return self.now

    def set_back(self) -> None:
        """Begin a new run at time 0."""
        self.now = self.in_steps = self.in_model = 0.0

    def count_tokens(self, prompt: str) -> int:
        return self._model.count_tokens(prompt)

    def shape(self, job: Job) -> Hashable:
        return self._model.shape(job)

    def begin(self, job: Job) -> list[Any]:
        return self._model.begin(job)

    def step(self, slots: Sequence[Any], rows: int = 0) -> None:
        began = time.perf_counter()
        self._model.step(slots, rows)
        self.in_steps += self._passed(began)

    def preview(self, slot: Any) -> Image:
        return self._model.preview(slot)

    def finish(self, slot: Any) -> Image:
        began = time.perf_counter()
        picture = self._model.finish(slot)
        self._passed(began)
        return picture

    def _passed(self, began: float) -> float:
        took = time.perf_counter() - began
        self.now += took
        self.in_model += took
        return took


@dataclass(slots=True)
class Arrival:
    """One request: when it comes, what it asks, and when it was done."""

    at: float
    job: Job
    done_at: float = 0.0
    picture: Image | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of the arrivals. Seconds; pictures a second."""

    throughput: float
    mean: float
    p95: float
    pictures: tuple[Image, ...] = field(repr=False, default=())


def poisson(jobs: Sequence[Job], rate: float, seed: int) -> list[Arrival]:
    """The jobs, arriving by a Poisson process of `rate` a second."""
    chance = random.Random(seed)
    arrivals, now = [], 0.0
    for job in jobs:
        now += chance.expovariate(rate)
        arrivals.append(Arrival(now, job))
    return arrivals


def first_come(model: Timed, arrivals: Sequence[Arrival]) -> Outcome:
    """What a pipeline call a request does: one at a time, in order."""
    model.set_back()
    for arrival in arrivals:
        model.now = max(model.now, arrival.at)
        (slot,) = model.begin(arrival.job)
        while slot.done < slot.steps:
            model.step([slot])
        arrival.picture = model.finish(slot)
        arrival.done_at = model.now
    return _outcome(arrivals)


def by_request(model: Timed, arrivals: Sequence[Arrival], largest: int = 8) -> Outcome:
    """Request-level dynamic batching: requests of equal steps that come within 50 ms go together, to the end."""
    model.set_back()
    waiting = list(arrivals)
    while waiting:
        first = waiting[0]
        model.now = max(model.now, first.at)
        until = max(model.now, first.at + HOLD_SECONDS)
        chosen = [a for a in waiting if a.job.steps == first.job.steps and a.at <= until][:largest]
        model.now = until if len(chosen) < largest else max(model.now, chosen[-1].at)
        slots = [model.begin(arrival.job)[0] for arrival in chosen]
        while slots[0].done < slots[0].steps:
            model.step(slots)
        for arrival, slot in zip(chosen, slots, strict=True):
            arrival.picture = model.finish(slot)
            arrival.done_at = model.now
            waiting.remove(arrival)
    return _outcome(arrivals)


def by_engine(model: Timed, arrivals: Sequence[Arrival], **limits: Any) -> Outcome:
    """The engine, as it is, driven without a thread of its own. All that it does beside the steps counts too."""
    engine = Engine(
        {model.capabilities.name: model}, limits=EngineLimits(**limits), metrics=Metrics(), clock=model.clock
    )
    engine.warm_up()
    model.set_back()
    open_ = 0
    coming = list(arrivals)
    while coming or open_:
        if not open_:
            model.now = max(model.now, coming[0].at)
        began, in_model = time.perf_counter(), model.in_model
        while coming and coming[0].at <= model.now:
            arrival = coming.pop(0)
            engine.submit(f"request-{len(coming)}", model, arrival.job, _keeper(model, arrival))
            open_ += 1
        engine.tick()
        model.now += time.perf_counter() - began - (model.in_model - in_model)
        open_ = sum(1 for a in arrivals if not a.done_at) - len(coming)
    return _outcome(arrivals)


def fluid_throughput(arrivals: Sequence[Arrival], steps_a_second: float) -> float:
    """The most that a device of that speed could do for these arrivals: pictures a second, no request's own length
    counted."""
    end = 0.0
    for arrival in arrivals:
        end = max(end, arrival.at) + arrival.job.steps / steps_a_second
    return len(arrivals) / (end - arrivals[0].at)


def median_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half the distance from the least to the most."""
    return statistics.median(values), (max(values) - min(values)) / 2


def _keeper(model: Timed, arrival: Arrival) -> Callable[[Event], None]:
    def keep(event: Event) -> None:
        if isinstance(event, Finished):
            arrival.done_at, arrival.picture = model.now, event.pictures[0]

    return keep


def _outcome(arrivals: Sequence[Arrival]) -> Outcome:
    waits = sorted(arrival.done_at - arrival.at for arrival in arrivals)
    made = max(arrival.done_at for arrival in arrivals) - arrivals[0].at
    return Outcome(
        throughput=len(arrivals) / made,
        mean=statistics.fmean(waits),
        p95=waits[int(0.95 * (len(waits) - 1))],
        pictures=tuple(arrival.picture for arrival in arrivals if arrival.picture is not None),
    )
