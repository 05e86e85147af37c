from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model_server.wire import CompletedEvent, ErrorEnvelope, PartialImageEvent, ProgressEvent
from tests.unit.model_server.support import PacedModel, Running, bearer, is_stopping, until

GENERATE = "/v1/images/generations"
Events = list[tuple[str, dict[str, Any]]]


def events_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def stream(server: Running, **fields: object) -> Events:
    with server.client.stream("POST", GENERATE, json={"prompt": "fox", "stream": True, **fields}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        return list(events_of(response))


def test_a_stream_tells_progress_then_partials_then_each_picture(server: Running) -> None:
    events = stream(server, n=2, steps=6, partial_images=2, seed=3, size="256x256")
    plain = server.client.post(
        GENERATE, json={"prompt": "fox", "n": 2, "steps": 6, "seed": 3, "size": "256x256"}
    ).json()
    names = [name for name, _ in events]
    assert names[0] == "image_generation.progress"
    assert names[-2:] == ["image_generation.completed"] * 2
    assert all(name == data["type"] for name, data in events)

    progress = [
        ProgressEvent.model_validate_json(json.dumps(data)) for name, data in events if name.endswith("progress")
    ]
    assert progress[0].state == "queued"
    assert [event.step for event in progress[1:]] == [0, 1, 2, 3, 4, 5, 6]
    assert all(event.steps == 6 and event.eta_seconds is not None for event in progress)

    partials = [PartialImageEvent.model_validate_json(json.dumps(data)) for name, data in events if "partial" in name]
    assert [(event.partial_image_index, event.index) for event in partials] == [(0, 0), (0, 1), (1, 0), (1, 1)]

    completed = [CompletedEvent.model_validate_json(json.dumps(data)) for name, data in events if "completed" in name]
    assert [event.index for event in completed] == [0, 1]
    assert [event.b64_json for event in completed] == [item["b64_json"] for item in plain["data"]]
    assert all(event.provenance.model_dump() == plain["provenance"] for event in completed)
    assert sum(event.usage.total_tokens for event in completed) == plain["usage"]["total_tokens"]
    assert {event.b64_json for event in partials}.isdisjoint({event.b64_json for event in completed})


def test_a_refusal_before_the_stream_is_a_plain_error(server: Running) -> None:
    response = server.client.post(GENERATE, json={"prompt": "fox", "stream": True, "n": 0})
    assert response.status_code == 400
    assert ErrorEnvelope.model_validate_json(response.text).error.param == "n"


def test_a_failure_in_mid_stream_is_an_error_event_and_the_end(slow: Running, paced: PacedModel) -> None:
    paced.fails_at_step = 2
    paced.allow(2)
    events = stream(slow, prompt="SECRET-PROMPT")
    name, data = events[-1]
    assert name == "error"
    assert ErrorEnvelope.model_validate_json(json.dumps(data)).error.code == "internal_error"
    assert "SECRET" not in json.dumps(events)


def test_a_cancel_by_id_ends_the_stream_with_its_error(slow: Running, paced: PacedModel) -> None:
    headers = {"x-request-id": "request-1"}
    body = {"prompt": "fox", "stream": True, "steps": 100}
    with slow.client.stream("POST", GENERATE, json=body, headers=headers) as response:
        events = events_of(response)
        assert next(events)[1]["id"] == "request-1"
        httpx.post(f"{slow.url}/v1/images/request-1/cancel", headers=bearer())
        paced.allow(1)
        name, data = list(events)[-1]
    assert (name, data["error"]["code"]) == ("error", "request_cancelled")


def test_a_listener_who_hangs_up_frees_the_slot_within_a_step(slow: Running, paced: PacedModel) -> None:
    headers = {"x-request-id": "request-1"}
    body = {"prompt": "fox", "stream": True, "steps": 10}  # so few that each step is told
    with slow.client.stream("POST", GENERATE, json=body, headers=headers) as response:
        events = events_of(response)
        paced.allow(3)
        while next(events)[1]["step"] < 1:
            pass
    until(lambda: paced.steps_taken == 3)
    until(lambda: is_stopping(slow.engine, "request-1"))
    paced.allow(1)
    until(lambda: slow.engine.status("request-1").state == "cancelled")  # type: ignore[union-attr]
    assert paced.steps_taken <= 4
    paced.allow(1)
    assert slow.client.post(GENERATE, json={"prompt": "x", "steps": 1}).status_code == 200


def test_a_quiet_stream_is_kept_alive(slow: Running, paced: PacedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.http.answers._KEEP_ALIVE_SECONDS", 0.05)
    with slow.client.stream("POST", GENERATE, json={"prompt": "fox", "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith(":"):
                break
        paced.release()
