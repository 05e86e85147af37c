"""Callers who leave or read nothing, over real HTTP, for all three calls."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_server.engine.events import Finished, Snapshot
from model_server.http.answers import Listener
from tests.unit.model_server.http.callers import CALLS, answer, connect, request
from tests.unit.model_server.support import PacedModel, PacedSlot, Running, is_stopping, serving, until


class NoisyModel(PacedModel):
    """Its pictures don't compress."""

    def finish(self, slot: PacedSlot) -> Image.Image:
        width, height = slot.size
        return Image.fromarray(np.random.default_rng(slot.seed).integers(0, 255, (height, width, 3), np.uint8))

    preview = finish


@pytest.fixture
def noisy() -> Iterator[Running]:
    with serving(NoisyModel(sizes=((512, 512),), rendered=None), send_seconds=1.0) as running:
        yield running


def state_of(server: Running, work_id: str) -> str:
    status = server.engine.status(work_id)
    return "" if status is None else status.state


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("call", CALLS)
def test_a_caller_who_hangs_up_frees_the_slot_within_a_step(
    slow: Running, paced: PacedModel, call: str, stream: bool
) -> None:
    with connect(slow) as caller:
        caller.sendall(request(call, work_id="request-1", steps=100, stream=stream))
        until(lambda: state_of(slow, "request-1") == "running")
    until(lambda: is_stopping(slow.engine, "request-1"))
    paced.allow(1)
    until(lambda: state_of(slow, "request-1") == "cancelled")
    assert paced.steps_taken <= 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("call", CALLS)
def test_a_caller_who_hangs_up_while_waiting_leaves_the_queue_at_once(
    slow: Running, paced: PacedModel, call: str, stream: bool
) -> None:
    with connect(slow) as first, connect(slow) as second:
        first.sendall(request("generations", work_id="request-1"))
        until(lambda: state_of(slow, "request-1") == "running")
        second.sendall(request(call, work_id="request-2", stream=stream))
        until(lambda: state_of(slow, "request-2") == "queued")
        second.close()
        until(lambda: state_of(slow, "request-2") == "cancelled")  # without a step
        assert paced.steps_taken == 0
        paced.release()
        assert answer(first)[0] == 200


@pytest.mark.parametrize("call", CALLS)
def test_a_caller_who_leaves_with_the_answer_leaves_nothing_behind(slow: Running, paced: PacedModel, call: str) -> None:
    with connect(slow) as caller:
        caller.sendall(request(call, work_id="request-1", stream=True))
        paced.release()
        until(lambda: state_of(slow, "request-1") == "completed")
    assert slow.client.post("/v1/images/generations", json={"prompt": "x"}).status_code == 200


def test_who_reads_nothing_blocks_nobody_and_is_cut_off(noisy: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), connect(noisy, receive_buffer_bytes=4096) as reader:
        reader.sendall(request("generations", work_id="request-1", n=10, stream=True, partial_images=3))
        until(lambda: state_of(noisy, "request-1") == "completed")
        assert noisy.client.post("/v1/images/generations", json={"prompt": "x"}).status_code == 200
        until(lambda: "stream.left" in [record.msg for record in caplog.records])
        reader.setblocking(False)
    assert noisy.client.post("/v1/images/generations", json={"prompt": "x"}).status_code == 200


async def test_what_waits_for_a_slow_reader_is_bounded_and_keeps_the_end() -> None:
    listener = Listener()
    for step in range(1000):
        listener.publish(Snapshot("request-1", "running", step, 1000, 0, None))
    listener.publish(Finished([], "mixed"))
    events = [await listener.next()]
    while not isinstance(events[-1], Finished):
        events.append(await listener.next())
    steps = [event.step for event in events if isinstance(event, Snapshot)]
    assert len(events) <= 34
    assert steps == sorted(steps)
    assert steps[-1] == 999


def test_three_hundred_callers_who_leave_leak_no_thread_no_file_and_no_work(slow: Running, paced: PacedModel) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if os.path.isdir("/proc/self/fd") else 0

    def cycles(first: int, last: int) -> None:
        for number in range(first, last):
            work_id = f"request-{number}"
            with connect(slow) as caller:
                call = CALLS[number % 3]
                caller.sendall(request(call, work_id=work_id, steps=1000, stream=number % 2 == 0))
                until(lambda work_id=work_id: state_of(slow, work_id) != "")
            until(lambda work_id=work_id: is_stopping(slow.engine, work_id))
            paced.allow(1)
            until(lambda work_id=work_id: state_of(slow, work_id) == "cancelled")

    cycles(0, 30)  # pools of threads and connections fill up first
    threads, files = threading.active_count(), open_files()
    cycles(30, 300)
    assert slow.client.get("/v1/models").status_code == 200
    assert len(slow.engine._lobby) == 0
    assert threading.active_count() <= threads + 2
    until(lambda: open_files() <= files + 2)
