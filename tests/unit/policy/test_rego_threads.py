"""An engine is dropped by the thread that made it, whoever lets go of it last."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.policy.rego import Rego

RULES = {"a.rego": "package a\n\np := 1\n"}


def in_a_circle(rego: Rego) -> None:
    """Only the collector finds it."""
    circle: list[object] = [rego]
    circle.append(circle)


def test_what_the_collector_of_another_thread_lets_go_of_goes_in_its_own(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", said.append)
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as other:
            other.submit(lambda: in_a_circle(Rego(RULES))).result()
            gc.collect()  # here, not there
            assert other.submit(lambda: Rego(RULES).ask("a.p", "{}")).result() == 1
            gc.collect()
    finally:
        gc.enable()
    assert said == []


def test_one_that_outlives_its_thread_is_never_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", said.append)
    made: list[Rego] = []
    thread = threading.Thread(target=lambda: made.append(Rego(RULES)))
    thread.start()
    thread.join()
    made.clear()
    gc.collect()
    assert said == []


def test_its_own_thread_lets_go_at_once() -> None:
    rego = Rego(RULES)
    own, number = rego._own(), rego._number
    assert own is not None
    assert number in own.engines
    del rego
    assert number not in own.engines
