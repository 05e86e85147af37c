"""The engine: one thread owns the device and denoises whatever is in work, step by step; the HTTP side never waits.

A tick is one denoising step of the pictures that the schedule chose, of one request or of many. Requests join and leave
between ticks; a cancelled one leaves at the next. Everything a caller hears of its request goes through `publish`,
which is called from the engine's thread (and once by `submit`, before it returns) and must not block.

    lobby.py     who has come in         schedule.py  whose turn it is     forecast.py  places and times
    stepper.py   one turn of the device  warm_up.py   measures a model     work.py      one request
    device.py    what the steps taught: pace.py (c(b), a step's cost), memory.py, power.py; limits.py
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from model_server.engine.device import Device, of_one_device
from model_server.engine.events import Cancelled, Failed, Publish, Snapshot
from model_server.engine.forecast import alone_seconds
from model_server.engine.lobby import Lobby, going_down
from model_server.engine.stepper import Ending, Stepper
from model_server.engine.warm_up import job_for, warm_up
from model_server.engine.work import AnyModel, Work
from model_server.errors import DeadlineExceeded, NotFound, Unavailable
from model_server.limits import EngineLimits
from model_server.observe import Metrics, log
from model_server.pipelines.port import Job, StepModel
from model_server.wire import Class

_PLACES_SECONDS: Final = 1.0
"""How often those who wait are told that their place has changed."""
_WARM_UP_SECONDS: Final = 5

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Swap:
    """Models that are to replace those in force, once they are warm."""

    models: Mapping[str, AnyModel]
    pieces: Iterator[None]
    done: Future[None]


class Engine:
    """Owns the models of one device and its thread. Methods are safe from any thread and return at once (`close`
    excepted)."""

    def __init__(
        self,
        models: Mapping[str, AnyModel],
        *,
        limits: EngineLimits,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`models` by name; the first one is the default. `clock` measures durations, in seconds."""
        self._models = of_one_device(models)
        self._metrics = metrics
        self._clock = clock
        self._device = Device.of(self.model(None).capabilities.device, limits, metrics)
        self._changed = threading.Condition()
        self._lobby = Lobby(limits.queue_limit, self._device.paces, metrics, clock)  # guarded by _changed
        self._swaps: deque[_Swap] = deque()  # guarded by _changed
        self._stepper = Stepper(self._device, metrics, self._tell, clock)
        self._places_told_at = clock()
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

    @property
    def models(self) -> Mapping[str, AnyModel]:
        """The models in force, by name; the first one is the default."""
        return self._models

    def model(self, name: str | None) -> AnyModel:
        """The model of that name; None: the default. Raises NotFound, naming those there are."""
        models = self._models
        if name is None:
            return next(iter(models.values()))
        if name not in models:
            offered = ", ".join(models)
            raise NotFound(
                f"There is no such model here. You can use: {offered}; or leave `model` out.",
                param="model",
                code="model_not_found",
            )
        return models[name]

    def batch_size(self, model: AnyModel) -> int:
        """Pictures of the model's default size that share a step when many wait."""
        shape = model.shape(job_for(model)) if isinstance(model, StepModel) else None
        return self._device.paces.capacity((model, shape))

    def drain(self) -> None:
        """Take no more requests; those accepted go on."""
        self._draining.set()

    def submit(
        self,
        work_id: str,
        model: AnyModel,
        job: Job,
        publish: Publish,
        *,
        partials: int = 0,
        tenant: str = "",
        work_class: Class = "interactive",
        deadline_seconds: float | None = None,
    ) -> None:
        """Accept a request. Its first event, a Snapshot, is published before this returns.

        Raises QueueFull with an honest Retry-After, DeadlineExceeded when it could not be done in time even at once,
        Conflict when a request of that id is live, Unavailable.
        """
        if self._draining.is_set():
            raise going_down()
        if not self._warm.is_set():
            raise Unavailable("The model is still warming up.", retry_after_seconds=_WARM_UP_SECONDS)
        now = self._clock()
        deadline_at = None if deadline_seconds is None else now + deadline_seconds
        shape = model.shape(job) if isinstance(model, StepModel) else None
        work = Work(work_id, model, job, publish, partials, tenant, work_class, now, deadline_at, shape=shape)
        needs = alone_seconds(work, *self._device.paces.of_work(work))
        if deadline_seconds is not None and needs is not None and needs > deadline_seconds:
            raise DeadlineExceeded
        with self._changed:
            # Published under the lock, before the engine can take it up: what this tells must come first.
            publish(self._lobby.enter(work))
            self._changed.notify()

    def cancel(self, work_id: str) -> Snapshot | None:
        """Stop a request: at once while it is not in a step, else with the end of that step. None when unknown."""
        with self._changed:
            work = self._lobby.get(work_id)
            if work is None:
                return self._lobby.status(work_id)
            work.stopped = True
            is_free = not self._lobby.is_on_device(work)
            if is_free:
                self._lobby.leave(work, "cancelled")
        if is_free:
            self._announce(Ending(work, "cancelled", Cancelled()))
        return self.status(work_id)

    def status(self, work_id: str) -> Snapshot | None:
        """Where a request is, or how it ended; None when unknown or long ago."""
        with self._changed:
            return self._lobby.status(work_id)

    def swap(self, models: Mapping[str, AnyModel]) -> Future[None]:
        """Replace the models. New ones warm up between the steps of what is in work; then new requests go to them, and
        live ones end on the model they began with. The future is done when they are in force; it fails, and nothing
        changes, when one can't warm up."""
        fresh = [model for model in models.values() if model not in self._models.values()]
        pieces = (piece for model in fresh for piece in warm_up(model, self._device, self._clock))
        swap = _Swap(of_one_device(models), pieces, Future())
        with self._changed:
            if self._lobby.is_closed:
                swap.done.set_exception(going_down())
                return swap.done
            self._swaps.append(swap)
            self._changed.notify()
        return swap.done

    def close(self, drain_seconds: float) -> None:
        """End: send those who have not begun away, give the others `drain_seconds`, then stop them between steps."""
        self.drain()
        with self._changed:
            self._lobby.is_closed = True
            waiting = [w for w in self._lobby.works() if w.state == "queued" and not self._lobby.is_on_device(w)]
            for work in waiting:
                self._lobby.leave(work, "failed")
            self._changed.notify()
        for work in waiting:
            self._announce(Ending(work, "failed", Failed(going_down(1))))
        self._thread.join(drain_seconds)
        with self._changed:
            for work in self._lobby.works():
                work.stopped = True
        self._thread.join(drain_seconds)

    # --- the engine's thread ---

    def _run(self) -> None:
        try:
            self.warm_up()
        except Exception:
            log(logger, logging.ERROR, "engine.warm_up_failed", trace=True)
            return
        while self.tick():
            pass

    def warm_up(self) -> None:
        """Measure the models. `start` does it in the engine's own thread; who brings a thread of their own calls this
        once, then `tick` until it is False."""
        for model in self._models.values():
            for _piece in warm_up(model, self._device, self._clock):
                if self._draining.is_set():
                    return
        self._warm.set()
        log(logger, logging.INFO, "engine.ready", model=", ".join(self._models))

    def tick(self) -> bool:
        """One step of what was chosen, and a piece of warm-up where one is due. Waits while there is nothing to do;
        False when the engine has ended."""
        with self._changed:
            while not self._lobby and not self._swaps and not self._lobby.is_closed:
                self._changed.wait()
            if self._lobby.is_closed and not self._lobby:
                for swap in self._swaps:
                    swap.done.set_exception(going_down())
                return False
            late = self._lobby.overdue()
            for work in late:
                self._lobby.leave(work, "failed")
            places = self._lobby.next_step()
        for work in late:
            self._announce(Ending(work, "failed", Failed(DeadlineExceeded())))
        endings = self._stepper.take(places) if places else []
        with self._changed:
            self._lobby.step_done()
            for ending in endings:
                self._lobby.leave(ending.work, ending.state)
        for ending in endings:
            self._announce(ending)
        if self._swaps:
            self._go_on_with(self._swaps[0])
        self._tell_places()
        return True

    def _go_on_with(self, swap: _Swap) -> None:
        try:
            next(swap.pieces)
        except StopIteration:
            self._models = swap.models
            with self._changed:
                in_use = [work.model for work in self._lobby.works()]
            self._device.paces.keep_only([*self._models.values(), *in_use])
            self._swaps.popleft()
            log(logger, logging.INFO, "engine.swapped", model=", ".join(self._models))
            swap.done.set_result(None)
        except Exception as error:
            log(logger, logging.ERROR, "engine.swap_failed", trace=True)
            self._swaps.popleft()
            swap.done.set_exception(error)

    def _announce(self, ending: Ending) -> None:
        """Tell the caller. Its places are free by now."""
        work = ending.work
        self._metrics.requests.labels(ending.state).inc()
        seconds = round(self._clock() - work.accepted_at, 3)
        pictures, outcome = work.job.count, ending.state
        log(logger, logging.INFO, "request.ended", id=work.id, outcome=outcome, pictures=pictures, seconds=seconds)
        work.publish(ending.event)

    def _tell(self, work: Work) -> None:
        with self._changed:
            snapshot = self._lobby.snapshot(work)
        work.publish(snapshot)

    def _tell_places(self) -> None:
        """Now and then, tell those who wait where they stand."""
        now = self._clock()
        if now - self._places_told_at < _PLACES_SECONDS:
            return
        self._places_told_at = now
        with self._changed:
            told = self._lobby.moved()
        for work, snapshot in told:
            work.publish(snapshot)
