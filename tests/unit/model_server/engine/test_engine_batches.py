"""How requests share the device: together as far as it pays, fair between tenants, short ones first, and apart when one
of them fails."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from model_server.engine.events import Failed, Finished
from model_server.errors import DeadlineExceeded, QueueFull
from model_server.observe import Metrics
from tests.unit.model_server.engine.engines import Caller, all_together, job, kinds, running, steps_in_pairs
from tests.unit.model_server.support import PacedModel, until


def drawn(model: PacedModel, seed: int) -> list[int]:
    """The numbers of the steps that a picture took part in."""
    return [number for number, batch in enumerate(model.batches) if seed in batch]


def test_requests_join_and_leave_between_steps_each_with_its_own_number_of_steps() -> None:
    model = PacedModel(cost=all_together)
    with running(model) as engine:
        caller = Caller(engine)
        caller.ask("long-1234", job(steps=6, seed=1))
        model.allow(2)
        until(lambda: len(model.batches) == 2)
        caller.ask("short-123", job(steps=2, seed=100))
        model.allow(4)
        until(lambda: caller.ended("long-1234") and caller.ended("short-123"))
        assert drawn(model, 1) == [0, 1, 2, 3, 4, 5]
        joined = drawn(model, 100)
        assert len(joined) == 2
        assert joined[0] in (2, 3)  # the step that may have begun before it came is the latest it can miss


@pytest.mark.parametrize(("cost", "expected"), [(all_together, 8), (steps_in_pairs, 2), (lambda n: 0.01 * n, 1)])
def test_as_many_pictures_share_a_step_as_the_measured_cost_says_pays(cost, expected) -> None:  # type: ignore[no-untyped-def]
    model = PacedModel(cost=cost)
    with running(model, max_batch=8) as engine:
        assert engine.batch_size(model) == expected
        caller = Caller(engine)
        for number in range(10):
            caller.ask(f"request-{number}", job(steps=2, seed=number), tenant=str(number))
        model.release()
        until(lambda: all(caller.ended(f"request-{number}") for number in range(10)))
        assert max(len(batch) for batch in model.batches) == expected


def test_pictures_of_another_size_wait_for_a_step_of_their_own() -> None:
    model = PacedModel(cost=all_together)
    model.capabilities = replace(model.capabilities, rendered=None)
    with running(model) as engine:
        caller = Caller(engine)
        caller.ask("small-123", job(steps=2, seed=1))
        caller.ask("large-123", replace(job(steps=2, seed=2), width=64, height=64))
        model.release()
        until(lambda: caller.ended("small-123") and caller.ended("large-123"))
        assert all(len(batch) == 1 for batch in model.batches)


def test_a_short_request_overtakes_a_long_one_between_two_steps(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        caller.ask("long-1234", job(steps=30, seed=1))
        paced.allow(3)
        until(lambda: len(paced.batches) == 3)
        caller.ask("short-123", job(steps=2, seed=100))
        paced.release()
        until(lambda: caller.ended("long-1234"))
        assert drawn(paced, 100)[0] in (3, 4)
        assert drawn(paced, 100)[1] == drawn(paced, 100)[0] + 1
        assert len(drawn(paced, 1)) == 30  # set aside, not begun again


@pytest.mark.parametrize("cost", [all_together, lambda n: 0.01 * n], ids=["in batches", "one at a time"])
def test_a_flood_of_one_tenant_delays_anothers_single_request_by_one_step_at_most(cost) -> None:  # type: ignore[no-untyped-def]
    model = PacedModel(cost=cost)
    with running(model) as engine:
        caller = Caller(engine)
        for number in range(1000):
            caller.ask(f"flood-{number:04}", job(steps=20, seed=number), tenant="flood")
        model.allow(5)
        until(lambda: len(model.batches) == 5)
        caller.ask("single-12", job(steps=24, seed=5000), tenant="other")
        # Five steps are over and one may be on its way; then come its own 24, without a gap.
        model.allow(1 + 24)
        until(lambda: caller.ended("single-12"))
        first = drawn(model, 5000)[0]
        assert first in (5, 6)
        assert drawn(model, 5000) == list(range(first, first + 24))
        for name in caller.heard:
            engine.cancel(name)
        model.release()


def test_a_tenant_who_fills_the_waiting_room_leaves_places_for_others(paced: PacedModel) -> None:
    with running(paced, queue_limit=16) as engine:
        caller = Caller(engine)
        caller.ask("running-1", tenant="flood")
        caller.until_state("running-1", "running")
        for number in range(13):
            caller.ask(f"flood-{number:03}", tenant="flood")
        with pytest.raises(QueueFull):
            caller.ask("flood-one-more", tenant="flood")
        caller.ask("single-12", tenant="other")


def test_nobody_waits_for_batch_work_and_it_still_gets_done(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        for number in range(16):
            caller.ask(f"batch-{number:03}", job(steps=8, seed=number), tenant="a", work_class="batch")
            caller.ask(f"inter-{number:03}", job(steps=8, seed=100 + number), tenant="a")
        paced.release()
        until(lambda: all(caller.ended(name) for name in caller.heard))
        turns = ["batch" if batch[0] < 100 else "interactive" for batch in paced.batches]
        last = max(number for number, turn in enumerate(turns) if turn == "interactive")
        assert 16 <= turns[:last].count("batch") <= 48  # a fifth of the steps, about: slow, and not starved
        assert set(turns[last + 1 :]) == {"batch"}


def test_when_a_shared_step_fails_only_the_guilty_request_does(caplog: pytest.LogCaptureFixture) -> None:
    model = PacedModel(cost=all_together)
    caplog.set_level(logging.INFO)
    with running(model) as engine:
        model.fails_with_seed = 66
        caller = Caller(engine)
        for seed in (1, 66, 3):
            caller.ask(f"request-{seed:02}", job(steps=3, seed=seed))
        model.release()
        until(lambda: all(caller.ended(name) for name in caller.heard))
        assert kinds(caller.heard["request-01"]) == kinds(caller.heard["request-03"]) == ["Finished"]
        failed = caller.heard["request-66"][-1]
        assert isinstance(failed, Failed)
        assert "SECRET" not in failed.error.envelope.model_dump_json()
    assert "SECRET" not in "".join(f"{record.getMessage()}{vars(record).get('fields')}" for record in caplog.records)


def test_out_of_memory_halves_the_step_and_nobody_loses_what_was_done() -> None:
    model = PacedModel(cost=all_together)
    metrics = Metrics()
    with running(model, metrics=metrics) as engine:
        caller = Caller(engine)
        for number in range(8):
            caller.ask(f"request-{number}", job(steps=4, seed=number), tenant=str(number))
        model.allow(1)
        until(lambda: len(model.batches) == 1)
        model.out_of_memory_above = 3
        model.release()
        until(lambda: all(caller.ended(name) for name in caller.heard))
        assert all(kinds(events) == ["Finished"] for events in caller.heard.values())
        assert all(len(drawn(model, number)) == 4 for number in range(8))
        assert metrics.registry.get_sample_value("imprimatur_model_out_of_memory_total") >= 1
        assert engine.batch_size(model) <= 3


def test_a_picture_that_never_fits_is_told_so_and_the_engine_lives(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        paced.out_of_memory_above = 0
        events = caller.ask("request-1")
        paced.allow(1)
        until(lambda: caller.ended("request-1"))
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert (failed.error.status, failed.error.retry_after_seconds) == (503, 10)
        paced.out_of_memory_above = None
        caller.ask("request-2")
        paced.allow(4)
        until(lambda: kinds(caller.heard["request-2"]) == ["Finished"])


def test_a_request_whose_time_is_up_is_ended_and_one_that_could_never_be_in_time_is_refused(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        with pytest.raises(DeadlineExceeded):
            caller.ask("request-0", job(steps=400), deadline_seconds=3.9)
        caller.ask("request-1", job(steps=400), deadline_seconds=4.1)
        caller.until_state("request-1", "running")
        paced.now += 5
        paced.allow(2)
        until(lambda: caller.ended("request-1"))
        failed = caller.heard["request-1"][-1]
        assert isinstance(failed, Failed)
        assert (failed.error.status, failed.error.code) == (504, "deadline_exceeded")
        assert failed.error.headers == {"x-should-retry": "false"}


def test_fixed_batching_pads_each_step_to_the_same_number_of_pictures() -> None:
    rows: list[int] = []

    class Padded(PacedModel):
        def step(self, slots, rows_=0):  # type: ignore[no-untyped-def]
            rows.append(rows_)
            super().step(slots, rows_)

    model = Padded(cost=all_together)
    with running(model, batching="fixed", max_batch=4) as engine:
        caller = Caller(engine)
        for number in range(6):
            caller.ask(f"request-{number}", job(steps=2, seed=number), tenant=str(number))
        model.release()
        until(lambda: all(caller.ended(name) for name in caller.heard))
        finished = caller.heard["request-0"][-1]
        assert isinstance(finished, Finished)
        assert finished.batch_mode == "fixed:4"
    assert set(rows) == {4}
    assert max(len(batch) for batch in model.batches) == 4


def test_the_device_tells_how_full_its_steps_are_and_who_waits() -> None:
    model = PacedModel(cost=all_together)
    metrics = Metrics()
    sample = metrics.registry.get_sample_value
    with running(model, metrics=metrics) as engine:
        caller = Caller(engine)
        caller.ask("request-1", job(count=3))
        caller.until_state("request-1", "running")
        caller.ask("request-2", job(count=2), work_class="batch")
        until(lambda: sample("imprimatur_model_slots_busy") == 3)
        assert sample("imprimatur_model_queue_depth", {"class": "batch"}) == 1
        model.release()
        until(lambda: caller.ended("request-2"))
        until(lambda: sample("imprimatur_model_slots_busy") == 0)
        assert sample("imprimatur_model_queue_depth", {"class": "batch"}) == 0
        assert sample("imprimatur_model_batch_pictures_count") == len(model.batches)
        assert sample("imprimatur_model_queue_wait_seconds_count", {"class": "interactive"}) == 1
        assert sample("imprimatur_model_pictures_total") == 5
