"""An engine over a model whose steps the test allows one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from model_server.engine.engine import Engine
from model_server.engine.events import Event, Snapshot
from model_server.engine.work import AnyModel
from model_server.limits import EngineLimits
from model_server.observe import Metrics
from model_server.pipelines.port import Job
from tests.unit.model_server.support import PacedModel, until

LARGE_ROOM = 5000


def job(steps: int = 4, count: int = 1, seed: int = 0, **changes: Any) -> Job:
    """A job of the paced model's default size."""
    return Job("a fox", "", count, 32, 32, steps, 1.0, seed, **changes)


def engine_of(model: AnyModel, *, metrics: Metrics | None = None, **limits: Any) -> Engine:
    """An engine of one model, not started; on the paced model's own clock."""
    clock = {"clock": model.clock} if isinstance(model, PacedModel) else {}
    bounds = EngineLimits(**{"queue_limit": LARGE_ROOM, **limits})
    return Engine({model.capabilities.name: model}, limits=bounds, metrics=metrics or Metrics(), **clock)


@contextmanager
def running(model: AnyModel, *, metrics: Metrics | None = None, **limits: Any) -> Iterator[Engine]:
    """A warm engine; a paced model waits for the test from here on."""
    engine = engine_of(model, metrics=metrics, **limits)
    engine.start()
    until(lambda: engine.is_ready)
    if isinstance(model, PacedModel):
        model.hold()
    try:
        yield engine
    finally:
        if isinstance(model, PacedModel):
            model.release()
        engine.close(5.0)
        assert not engine.is_alive


class Caller:
    """Submits requests to an engine and keeps what it hears of each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.heard: dict[str, list[Event]] = {}

    def ask(self, name: str, wanted: Job | None = None, **options: Any) -> list[Event]:
        """Submit; returns the list that its events will be in."""
        events = self.heard[name] = []
        self._engine.submit(name, self._engine.model(None), wanted or job(), events.append, **options)
        return events

    def ended(self, name: str) -> bool:
        return bool(kinds(self.heard[name])) and kinds(self.heard[name])[-1] != "Previewed"

    def until_state(self, name: str, state: str) -> None:
        until(lambda: (found := self._engine.status(name)) is not None and found.state == state)


def kinds(events: list[Event]) -> list[str]:
    """What happened, without the reports of progress."""
    return [type(event).__name__ for event in events if not isinstance(event, Snapshot)]


def all_together(pictures: int) -> float:
    """A cost of a step that does not depend on how many share it: then all should."""
    return 0.01


def steps_in_pairs(pictures: int) -> float:
    """A cost that is best at two."""
    return 0.01 if pictures <= 2 else 0.01 * pictures
