"""What is learnt of a model before its first request, and how another one takes its place while requests go on."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from model_server.engine.device import Device
from model_server.engine.warm_up import warm_up
from model_server.limits import EngineLimits
from model_server.observe import Metrics
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job
from tests.unit.model_server.engine.engines import Caller, all_together, engine_of, job, kinds, running, steps_in_pairs
from tests.unit.model_server.support import PacedModel, until


def device(**limits: object) -> Device:
    return Device.of("cpu", EngineLimits(**limits), Metrics())  # type: ignore[arg-type]


def group(model: PacedModel, width: int = 32) -> tuple[object, ...]:
    return (model, model.capabilities.rendered or (width, width))


def measured(model: PacedModel, books: Device) -> Device:
    for _piece in warm_up(model, books, model.clock):
        pass
    return books


def test_the_cost_of_a_step_is_measured_at_each_batch_size_until_more_brings_nothing() -> None:
    model = PacedModel(cost=steps_in_pairs)
    books = measured(model, device())
    pace = books.paces.of(group(model))
    assert [pace.step_seconds(batch) for batch in (1, 2, 4)] == pytest.approx([0.01, 0.01, 0.04])
    assert books.paces.capacity(group(model)) == 2
    assert max(len(batch) for batch in model.batches) == 4  # at 4 it was slower: 8 was not tried


def test_each_size_is_measured_for_a_model_that_makes_the_size_asked_for() -> None:
    model = PacedModel(cost=all_together)
    capabilities = model.capabilities
    model.capabilities = type(capabilities)(
        **{**{f: getattr(capabilities, f) for f in capabilities.__slots__}, "rendered": None}
    )
    books = measured(model, device(max_batch=4))
    assert books.paces.capacity(group(model, 32)) == books.paces.capacity(group(model, 64)) == 4


def test_a_size_that_the_time_did_not_reach_takes_one_picture_a_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = PacedModel(cost=lambda _: 1.0)
    capabilities = model.capabilities
    model.capabilities = type(capabilities)(
        **{**{f: getattr(capabilities, f) for f in capabilities.__slots__}, "rendered": None}
    )
    books = measured(model, device(profile_seconds=10))
    assert books.paces.capacity(group(model, 32)) == 4
    assert books.paces.capacity(group(model, 64)) == 1
    assert "engine.not_measured" in caplog.text


def test_memory_that_runs_out_while_measuring_ends_the_measuring() -> None:
    model = PacedModel(cost=all_together)
    model.out_of_memory_above = 3
    books = measured(model, device())
    assert books.paces.capacity(group(model)) == 2


def test_operations_are_counted_and_set_beside_what_the_device_does_at_best(tiny_model: EmbeddedStepModel) -> None:
    metrics = Metrics()
    with running(tiny_model, metrics=metrics, max_batch=2) as engine:
        caller = Caller(engine)
        caller.ask("request-1", Job("red apple", "", 1, 32, 32, 3, 2.0, 1))
        until(lambda: caller.ended("request-1"))
        share = metrics.registry.get_sample_value("imprimatur_model_share_of_peak")
        assert share is not None
        assert 0 < share < 1
        assert 1e6 < engine._device.power._peak < 1e16
        assert set(engine._device.power._flops.values()) != {0}


def test_models_are_swapped_without_dropping_a_request() -> None:
    old = PacedModel()

    def on_the_old_ones_clock(_pictures: int) -> float:
        old.now += 0.01
        return 0.0

    new = PacedModel(cost=on_the_old_ones_clock)
    new.capabilities = replace(old.capabilities, name="new")
    with running(old) as engine:
        caller = Caller(engine)
        first = caller.ask("request-1", job(steps=30, seed=1))
        old.allow(2)
        until(lambda: len(old.batches) == 2)
        done = engine.swap({"new": new})
        assert engine.model(None) is old  # until the other one is warm
        old.allow(10)
        until(lambda: len(old.batches) >= 5)  # the new one warms up between the old one's steps
        old.release()
        done.result(20)
        assert list(engine.models) == ["new"]
        second = caller.ask("request-2", job(steps=2, seed=100))
        until(lambda: caller.ended("request-1") and caller.ended("request-2"))
        assert kinds(first) == kinds(second) == ["Finished"]
        assert sum(1 in batch for batch in old.batches) == 30
        assert any(100 in batch for batch in new.batches)
        assert engine.batch_size(new) == 16


def test_a_model_that_cannot_warm_up_leaves_the_old_ones_in_force(paced: PacedModel) -> None:
    broken = PacedModel()
    broken.fails_at_step = 1
    with running(paced) as engine:
        with pytest.raises(RuntimeError):
            engine.swap({"broken": broken}).result(20)
        assert list(engine.models) == ["paced"]
        caller = Caller(engine)
        caller.ask("request-1", job(steps=1))
        paced.allow(1)
        until(lambda: caller.ended("request-1"))


def test_an_engine_that_ends_tells_who_waits_for_a_swap(paced: PacedModel) -> None:
    engine = engine_of(paced)
    engine.start()
    until(lambda: engine.is_ready)
    engine.close(5.0)
    with pytest.raises(Exception, match="shutting down"):
        engine.swap({"paced": paced}).result(5)
