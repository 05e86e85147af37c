"""The life of a request in the engine: in, through its steps, out; and the engine's own beginning and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from model_server.engine.engine import Engine
from model_server.engine.events import Event, Failed, Finished, Previewed, Snapshot
from model_server.errors import Conflict, ModelRefused, NotFound, QueueFull, Unavailable
from model_server.limits import EngineLimits
from model_server.observe import Metrics
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job
from tests.unit.model_server.engine.engines import Caller, all_together, engine_of, job, kinds, running
from tests.unit.model_server.support import PacedModel, until


@pytest.fixture
def batching() -> PacedModel:
    return PacedModel(cost=all_together)


def test_a_request_goes_from_the_queue_through_its_steps_to_its_pictures(batching: PacedModel) -> None:
    with running(batching) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1", job(count=3, seed=7))
        batching.allow(4)
        until(lambda: kinds(events) == ["Finished"])
        states = [event.state for event in events if isinstance(event, Snapshot)]
        steps = [event.step for event in events if isinstance(event, Snapshot)]
        assert states[:2] == ["queued", "running"]
        assert steps == [0, 0, 1, 2, 3, 4]
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.batch_mode == "mixed"
        assert [picture.getpixel((0, 0)) for picture in finished.pictures] == [(7, 4, 200), (8, 4, 200), (9, 4, 200)]
        status = engine.status("request-1")
        assert status is not None
        assert (status.state, status.step, status.queue_position) == ("completed", 4, 0)


def test_unfinished_pictures_come_evenly_spaced_and_before_the_last_step(batching: PacedModel) -> None:
    with running(batching) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1", job(steps=8, count=2), partials=3)
        batching.allow(8)
        until(lambda: caller.ended("request-1"))
    previews = [event for event in events if isinstance(event, Previewed)]
    assert [preview.index for preview in previews] == [0, 1, 2]
    assert [preview.pictures[0].getpixel((0, 0)) for preview in previews] == [(0, 2, 100), (0, 4, 100), (0, 6, 100)]
    assert all(len(preview.pictures) == 2 for preview in previews)


def test_an_edit_that_keeps_half_takes_half_the_steps_and_says_so(batching: PacedModel) -> None:
    with running(batching) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1", job(steps=8, task="edit", strength=0.5))
        batching.allow(4)
        until(lambda: caller.ended("request-1"))
        assert {event.steps for event in events if isinstance(event, Snapshot) and event.state == "running"} == {4}
        assert batching.steps_taken == 4


def test_a_cancelled_request_frees_its_slot_within_one_step_and_the_next_one_runs(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        first = caller.ask("request-1", job(steps=3))
        until(lambda: engine.status("request-1").state == "running")  # type: ignore[union-attr]
        second = caller.ask("request-2", job(steps=3, seed=50))
        paced.allow(1)
        until(lambda: paced.steps_taken == 1)
        engine.cancel("request-1")
        paced.allow(1)  # the step that it may have been in
        until(lambda: kinds(first) == ["Cancelled"])
        paced.allow(3)
        until(lambda: kinds(second) == ["Finished"])
        assert sum(0 in batch for batch in paced.batches) <= 2
        status = engine.status("request-1")
        assert status is not None
        assert status.state == "cancelled"


def test_a_waiting_request_is_cancelled_at_once_and_never_begun(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        first = caller.ask("request-1", job(steps=2))
        caller.until_state("request-1", "running")
        second = caller.ask("request-2", job(steps=2))
        engine.cancel("request-2")
        assert kinds(second) == ["Cancelled"]
        paced.allow(2)
        until(lambda: kinds(first) == ["Finished"])
        assert paced.steps_taken == 2
        assert len(paced.begun) == 1


def test_places_in_the_queue_are_told_and_move_up() -> None:
    slow = PacedModel(cost=lambda pictures: 2.0 * pictures)  # slower than the engine is patient with telling places
    with running(slow) as engine:
        caller = Caller(engine)
        for number in (1, 2, 3):
            caller.ask(f"request-{number}", job(steps=1))
            caller.until_state("request-1", "running")
        third = engine.status("request-3")
        assert third is not None
        assert (third.state, third.queue_position) == ("queued", 1)
        assert third.eta_seconds == pytest.approx(6.0, rel=0.1)
        slow.allow(2)
        until(lambda: kinds(caller.heard["request-1"]) == ["Finished"])
        until(lambda: any(isinstance(e, Snapshot) and e.queue_position == 0 for e in caller.heard["request-3"]))


def test_one_more_than_the_queue_holds_is_refused_with_a_time_to_come_back(paced: PacedModel) -> None:
    with running(paced, queue_limit=2) as engine:
        caller = Caller(engine)
        caller.ask("request-1", job(steps=500))
        caller.until_state("request-1", "running")
        caller.ask("request-2", tenant="one")
        caller.ask("request-3", tenant="two")
        with pytest.raises(QueueFull) as caught:
            caller.ask("request-4", tenant="three")
        assert caught.value.retry_after_seconds == 5  # 500 steps of 10 ms
        assert engine.status("request-4") is None
        engine.cancel("request-3")
        caller.ask("request-4", tenant="three")


def test_an_id_in_work_is_refused_and_free_again_afterwards(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1")
        with pytest.raises(Conflict):
            engine.submit("request-1", paced, job(), lambda _event: None)
        paced.allow(4)
        until(lambda: kinds(events) == ["Finished"])
        again = caller.ask("request-1")
        paced.allow(4)
        until(lambda: kinds(again) == ["Finished"])


def test_closing_sends_the_waiting_away_and_stops_the_running_one(paced: PacedModel) -> None:
    engine = engine_of(paced)
    engine.start()
    until(lambda: engine.is_ready)
    paced.hold()
    caller = Caller(engine)
    first = caller.ask("request-1", job(steps=1000))
    caller.until_state("request-1", "running")
    second = caller.ask("request-2", job(steps=1000))
    engine.drain()
    assert not engine.is_ready
    with pytest.raises(Unavailable):
        caller.ask("request-3")
    engine.close(0.0)
    assert kinds(second) == ["Failed"]
    paced.allow(1)
    until(lambda: not engine.is_alive)
    assert kinds(first) == ["Cancelled"]


def test_a_request_in_work_is_finished_when_the_server_drains(paced: PacedModel) -> None:
    with running(paced) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1")
        caller.until_state("request-1", "running")
        engine.drain()
        paced.allow(4)
        engine.close(5.0)
    assert kinds(events) == ["Finished"]


def test_nothing_is_accepted_before_the_model_is_warm(paced: PacedModel) -> None:
    engine = engine_of(paced)
    with pytest.raises(Unavailable):
        Caller(engine).ask("request-1")
    assert not engine.is_ready


def test_a_model_that_cannot_warm_up_leaves_an_engine_that_says_so(paced: PacedModel) -> None:
    paced.fails_at_step = 1
    engine = engine_of(paced)
    engine.start()
    until(lambda: not engine.is_alive)
    assert not engine.is_ready


def test_a_model_that_is_not_there_is_named_with_those_that_are(paced: PacedModel) -> None:
    engine = engine_of(paced)
    assert engine.model("paced") is engine.model(None) is paced
    with pytest.raises(NotFound, match="You can use: paced") as caught:
        engine.model("other")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_an_engine_has_models_and_all_of_one_device(paced: PacedModel) -> None:
    with pytest.raises(ModelRefused, match="needs a model"):
        Engine({}, limits=EngineLimits(), metrics=Metrics())
    other = PacedModel()
    other.capabilities = replace(other.capabilities, device="cuda:1")
    with pytest.raises(ModelRefused, match="cpu, cuda:1; one process serves one device"):
        Engine({"one": paced, "other": other}, limits=EngineLimits(), metrics=Metrics())


def test_only_so_many_ended_requests_are_remembered_and_nothing_of_what_they_held(
    paced: PacedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.engine.lobby._REMEMBERED", 2)
    with running(paced) as engine:
        caller = Caller(engine)
        paced.allow(3)
        for number in range(3):
            events = caller.ask(f"request-{number}", job(steps=1))
            until(lambda events=events: kinds(events) == ["Finished"])  # type: ignore[misc]
        assert engine.status("request-0") is None
        assert engine.status("request-2") is not None
        assert engine._lobby.works() == []
        assert "a fox" not in repr(vars(engine._lobby))


def test_the_same_job_gives_the_same_pixels_and_another_seed_others(tiny_model: EmbeddedStepModel) -> None:
    def pixels(caller: Caller, name: str, seed: int) -> list[bytes]:
        events = caller.ask(name, Job("red apple", "", 2, 32, 32, 3, 2.0, seed))
        until(lambda: kinds(events) != [])
        last = events[-1]
        assert isinstance(last, Finished)
        return [picture.tobytes() for picture in last.pictures]

    with running(tiny_model) as engine:
        caller = Caller(engine)
        first, again = pixels(caller, "one-12345", 5), pixels(caller, "two-12345", 5)
        other = pixels(caller, "three-123", 6)
    assert first == again
    assert first[0] != first[1]
    assert first != other


def test_a_cancel_of_an_unknown_id_changes_nothing(paced: PacedModel) -> None:
    with running(paced) as engine:
        assert engine.cancel("nobody-knows") is None


class WholeCalls:
    """A model whose loop is its own, of one colour."""

    def __init__(self, paced: PacedModel) -> None:
        self._paced = paced
        self.capabilities = paced.capabilities

    def count_tokens(self, prompt: str) -> int:
        return 1

    def call(self, job: Job, after_step: Callable[[int, Callable[[], list[Image.Image]]], None]) -> list[Image.Image]:
        slots = self._paced.begin(job)
        for done in range(job.steps):
            self._paced.step(slots)
            after_step(done + 1, lambda: [self._paced.preview(slot) for slot in slots])
        return [self._paced.finish(slot) for slot in slots]


def test_a_model_with_a_loop_of_its_own_tells_its_steps_and_can_be_cancelled_within_one(paced: PacedModel) -> None:
    with running(WholeCalls(paced)) as engine:
        paced.hold()
        caller = Caller(engine)
        first = caller.ask("request-1", job(steps=4, count=2), partials=1)
        second = caller.ask("request-2", job(steps=1000))
        paced.allow(4)
        until(lambda: caller.ended("request-1"))
        assert kinds(first) == ["Previewed", "Finished"]
        assert [event.step for event in first if isinstance(event, Snapshot)] == [0, 0, 1, 2, 3, 4]
        finished = first[-1]
        assert isinstance(finished, Finished)
        assert (len(finished.pictures), finished.batch_mode) == (2, "alone")
        paced.allow(1)
        caller.until_state("request-2", "running")
        engine.cancel("request-2")
        paced.allow(1)
        until(lambda: kinds(second) == ["Cancelled"])
        paced.fails_at_step = paced.steps_taken + 1
        third: list[Event] = caller.ask("request-3")
        paced.allow(1)
        until(lambda: kinds(third) == ["Failed"])
        failed = third[-1]
        assert isinstance(failed, Failed)
        assert "SECRET" not in failed.error.envelope.model_dump_json()
        paced.release()
