from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from model_server.engine import Engine
from model_server.errors import Conflict, QueueFull, Unavailable
from model_server.events import Event, Failed, Finished, Previewed, Snapshot
from model_server.observe import Metrics
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job
from tests.unit.model_server.support import PacedModel, until


def job(steps: int = 4, count: int = 1, seed: int = 0) -> Job:
    return Job("a fox", "", count, 32, 32, steps, 1.0, seed)


@contextmanager
def running(model: PacedModel | EmbeddedStepModel, queue_limit: int = 4) -> Iterator[Engine]:
    engine = Engine(model, queue_limit=queue_limit, metrics=Metrics())
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


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, Snapshot)]


def test_a_request_goes_from_the_queue_through_its_steps_to_its_pictures(paced: PacedModel) -> None:
    events: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(count=3, seed=7), 0, events.append)
        paced.allow(4)
        until(lambda: kinds(events) == ["Finished"])
        states = [event.state for event in events if isinstance(event, Snapshot)]
        steps = [event.step for event in events if isinstance(event, Snapshot)]
        assert states[:2] == ["queued", "running"]
        assert steps == [0, 0, 1, 2, 3, 4]
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert [picture.getpixel((0, 0)) for picture in finished.pictures] == [(7, 4, 200), (8, 4, 200), (9, 4, 200)]
        status = engine.status("request-1")
        assert status is not None
        assert (status.state, status.step, status.queue_position) == ("completed", 4, 0)


def test_unfinished_pictures_come_evenly_spaced_and_before_the_last_step(paced: PacedModel) -> None:
    events: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(steps=8, count=2), 3, events.append)
        paced.allow(8)
        until(lambda: "Finished" in kinds(events))
    previews = [event for event in events if isinstance(event, Previewed)]
    assert [preview.index for preview in previews] == [0, 1, 2]
    assert [preview.pictures[0].getpixel((0, 0)) for preview in previews] == [(0, 2, 100), (0, 4, 100), (0, 6, 100)]
    assert all(len(preview.pictures) == 2 for preview in previews)


def test_a_cancelled_request_stops_within_one_step_and_the_next_one_runs(paced: PacedModel) -> None:
    first: list[Event] = []
    second: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(steps=1000), 0, first.append)
        engine.submit("request-2", job(steps=1), 0, second.append)
        paced.allow(3)
        until(lambda: paced.steps_taken == 3)
        engine.cancel("request-1")
        paced.allow(1)
        until(lambda: kinds(first) == ["Cancelled"])
        assert paced.steps_taken <= 4
        paced.allow(1)
        until(lambda: kinds(second) == ["Finished"])
        status = engine.status("request-1")
        assert status is not None
        assert status.state == "cancelled"


def test_a_waiting_request_is_cancelled_at_once_and_never_begun(paced: PacedModel) -> None:
    first: list[Event] = []
    second: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(steps=2), 0, first.append)
        until(lambda: len(first) >= 2)
        engine.submit("request-2", job(steps=2), 0, second.append)
        engine.cancel("request-2")
        assert kinds(second) == ["Cancelled"]
        paced.allow(2)
        until(lambda: kinds(first) == ["Finished"])
        assert paced.steps_taken == 2


def test_places_in_the_queue_are_told_and_move_up(paced: PacedModel) -> None:
    heard: dict[str, list[Event]] = {name: [] for name in ("request-1", "request-2", "request-3")}
    with running(paced) as engine:
        for name, events in heard.items():
            engine.submit(name, job(steps=1), 0, events.append)
            until(lambda: engine.status("request-1").state == "running")  # type: ignore[union-attr]
        third = engine.status("request-3")
        assert third is not None
        assert (third.state, third.queue_position) == ("queued", 2)
        assert third.eta_seconds is not None
        paced.allow(1)
        until(lambda: kinds(heard["request-1"]) == ["Finished"])
        until(lambda: any(isinstance(e, Snapshot) and e.queue_position == 1 for e in heard["request-3"]))


def test_one_more_than_the_queue_holds_is_refused_with_a_time_to_come_back(paced: PacedModel) -> None:
    events: list[Event] = []
    with running(paced, queue_limit=2) as engine:
        engine.submit("request-1", job(), 0, events.append)
        until(lambda: engine.status("request-1").state == "running")  # type: ignore[union-attr]
        engine.submit("request-2", job(), 0, events.append)
        engine.submit("request-3", job(), 0, events.append)
        with pytest.raises(QueueFull) as caught:
            engine.submit("request-4", job(), 0, events.append)
        assert caught.value.retry_after_seconds is not None
        assert caught.value.retry_after_seconds >= 1
        assert engine.status("request-4") is None
        engine.cancel("request-3")
        engine.submit("request-4", job(), 0, events.append)


def test_an_id_in_work_is_refused_and_free_again_afterwards(paced: PacedModel) -> None:
    events: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(), 0, events.append)
        with pytest.raises(Conflict):
            engine.submit("request-1", job(), 0, events.append)
        paced.allow(4)
        until(lambda: kinds(events) == ["Finished"])
        paced.allow(4)
        engine.submit("request-1", job(), 0, events.append)
        until(lambda: kinds(events) == ["Finished", "Finished"])


def test_a_model_that_fails_ends_one_request_and_not_the_engine(
    paced: PacedModel, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    with running(paced) as engine:
        paced.fails_at_step = 2
        engine.submit("request-1", job(), 0, events.append)
        paced.allow(2)
        until(lambda: kinds(events) == ["Failed"])
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert "SECRET" not in failed.error.envelope.model_dump_json()
        paced.fails_at_step = None
        paced.allow(4)
        engine.submit("request-2", job(), 0, events.append)
        until(lambda: kinds(events) == ["Failed", "Finished"])
    assert "SECRET" not in "".join(
        record.getMessage() + str(getattr(record, "fields", "")) for record in caplog.records
    )


def test_closing_sends_the_waiting_away_and_stops_the_running_one(paced: PacedModel) -> None:
    first: list[Event] = []
    second: list[Event] = []
    engine = Engine(paced, queue_limit=4, metrics=Metrics())
    engine.start()
    until(lambda: engine.is_ready)
    paced.hold()
    engine.submit("request-1", job(steps=1000), 0, first.append)
    until(lambda: engine.status("request-1").state == "running")  # type: ignore[union-attr]
    engine.submit("request-2", job(), 0, second.append)
    engine.drain()
    assert not engine.is_ready
    with pytest.raises(Unavailable):
        engine.submit("request-3", job(), 0, second.append)
    engine.close(0.0)
    assert kinds(second) == ["Failed"]
    paced.allow(1)
    until(lambda: not engine.is_alive)
    assert kinds(first) == ["Cancelled"]


def test_a_request_in_work_is_finished_when_the_server_drains(paced: PacedModel) -> None:
    events: list[Event] = []
    with running(paced) as engine:
        engine.submit("request-1", job(), 0, events.append)
        until(lambda: engine.status("request-1").state == "running")  # type: ignore[union-attr]
        engine.drain()
        paced.allow(4)
        engine.close(5.0)
    assert kinds(events) == ["Finished"]


def test_nothing_is_accepted_before_the_model_is_warm(paced: PacedModel) -> None:
    engine = Engine(paced, queue_limit=4, metrics=Metrics())
    with pytest.raises(Unavailable):
        engine.submit("request-1", job(), 0, lambda _event: None)
    assert not engine.is_ready


def test_a_model_that_cannot_warm_up_leaves_an_engine_that_says_so(paced: PacedModel) -> None:
    paced.fails_at_step = 1
    engine = Engine(paced, queue_limit=4, metrics=Metrics())
    engine.start()
    until(lambda: not engine.is_alive)
    assert not engine.is_ready


def test_only_so_many_ended_requests_are_remembered_and_never_their_prompts(
    paced: PacedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.engine._REMEMBERED", 2)
    events: list[Event] = []
    with running(paced) as engine:
        paced.allow(3)
        for number in range(3):
            engine.submit(f"request-{number}", job(steps=1), 0, events.append)
        until(lambda: kinds(events) == ["Finished"] * 3)
        assert engine.status("request-0") is None
        assert engine.status("request-2") is not None
        assert "a fox" not in repr(vars(engine))


def test_the_same_job_gives_the_same_pixels_and_another_seed_others(tiny_model: EmbeddedStepModel) -> None:
    def pixels(engine: Engine, name: str, seed: int) -> list[bytes]:
        events: list[Event] = []
        engine.submit(name, Job("red apple", "", 2, 32, 32, 3, 2.0, seed), 0, events.append)
        until(lambda: kinds(events) != [])
        last = events[-1]
        assert isinstance(last, Finished)
        return [picture.tobytes() for picture in last.pictures]

    with running(tiny_model) as engine:
        first, again, other = (
            pixels(engine, "one-12345", 5),
            pixels(engine, "two-12345", 5),
            pixels(engine, "three-123", 6),
        )
    assert first == again
    assert first[0] != first[1]
    assert first != other


def test_a_cancel_of_an_unknown_id_changes_nothing(paced: PacedModel) -> None:
    with running(paced) as engine:
        assert engine.cancel("nobody-knows") is None
