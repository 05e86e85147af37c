"""Ten thousand requests begun and cancelled leave nothing behind."""

from __future__ import annotations

import gc
import threading
import weakref

from model_server.engine.events import Event, Snapshot
from tests.unit.model_server.engine.engines import Caller, all_together, job, kinds, running
from tests.unit.model_server.support import PATIENCE_SECONDS, PacedModel, PacedSlot, until

CYCLES = 10_000


def test_ten_thousand_starts_and_cancels_leave_no_slot_no_request_and_no_thread() -> None:
    model = PacedModel(cost=all_together)
    slots: list[weakref.ref[_Watched]] = []

    def begin(wanted):  # type: ignore[no-untyped-def]
        made = [_Watched(wanted.seed + index, wanted.steps) for index in range(wanted.count)]
        slots.extend(map(weakref.ref, made))
        return made

    model.begin = begin  # type: ignore[method-assign]
    endings: set[str] = set()
    with running(model) as engine:
        model.release()
        model.allow(100 * CYCLES)
        threads = threading.active_count()
        for number in range(CYCLES):
            heard = _Heard()
            engine.submit(f"request-{number}", model, job(steps=10**9, count=1 + number % 3), heard)
            if number % 7 == 0:  # most are cancelled while they wait, these after they have begun
                assert heard.running.wait(PATIENCE_SECONDS)
            engine.cancel(f"request-{number}")
            assert heard.ended.wait(PATIENCE_SECONDS)
            endings.add(heard.last)
        until(lambda: len(engine._lobby) == 0)
        assert threading.active_count() == threads
        last = Caller(engine)
        last.ask("the-last-1", job(steps=2))
        until(lambda: last.ended("the-last-1"))
        assert kinds(last.heard["the-last-1"]) == ["Finished"]
        gc.collect()
        assert len(slots) > CYCLES // 7
        assert [slot for slot in slots if slot() is not None] == []
        assert len(engine._lobby._schedule) == 0
    assert endings == {"Cancelled"}


class _Heard:
    """What a caller hears, to be waited for."""

    def __init__(self) -> None:
        self.running, self.ended = threading.Event(), threading.Event()
        self.last = ""

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Snapshot):
            self.last = type(event).__name__
            self.ended.set()
        elif event.state == "running":
            self.running.set()


class _Watched(PacedSlot):
    """A slot that can be watched for being let go."""

    __slots__ = ("__weakref__",)
