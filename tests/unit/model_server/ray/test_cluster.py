"""Two real replicas of the embedded model under a real Ray Serve, and what callers see when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.unit.model_server.ray.support import (
    GENERATE,
    QUEUE_LIMIT,
    REPLICAS,
    SHORT,
    Cluster,
    Stream,
    running_cluster,
    until,
)
from tests.unit.model_server.support import SECRET

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(420)]

PICTURES = "imprimatur_model_pictures_total"
BUSY = "imprimatur_model_slots_busy"
REFUSED = (429, 503)


@pytest.fixture(scope="module")
def started() -> Iterator[Cluster]:
    """One cluster for all tests of this file: it takes a while to start. A short folder, shorter than pytest's: its
    sockets live there, and a socket's path has 107 bytes at most."""
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        running_cluster(Path(folder)) as cluster,
    ):
        yield cluster


@pytest.fixture
def cluster(started: Cluster) -> Iterator[Cluster]:
    """The cluster as every test finds it: both replicas work and are idle."""
    until(started.both_work)
    yield started
    until(lambda: not any(started.metrics(BUSY).values()))


def test_the_work_is_shared_by_both_replicas(cluster: Cluster) -> None:
    before = cluster.metrics(PICTURES)
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: cluster.client.post(GENERATE, json=SHORT), range(12)))
    assert [answer.status_code for answer in answers] == [200] * 12
    until(lambda: sum(cluster.metrics(PICTURES).values()) >= sum(before.values()) + 12)
    after = cluster.metrics(PICTURES)
    assert len(after) == REPLICAS
    assert all(after[name] > before[name] for name in after)
    assert len(cluster.replica_pids()) == REPLICAS


def test_the_same_seed_gives_the_same_picture_on_either_replica(cluster: Cluster) -> None:
    with ThreadPoolExecutor(4) as callers:
        answers = callers.map(lambda _: cluster.client.post(GENERATE, json=SHORT | {"seed": 7}).json(), range(6))
    assert len({answer["data"][0]["b64_json"] for answer in answers}) == 1


def test_an_answer_carries_the_request_id_once(cluster: Cluster) -> None:
    answer = cluster.client.post(GENERATE, json=SHORT, headers={"x-request-id": "request-once"})
    ids = [value for name, value in answer.headers.raw if name.lower() == b"x-request-id"]
    assert ids == [b"request-once"]


def test_nobody_gets_anything_without_a_token_but_the_probes(cluster: Cluster) -> None:
    paths = [GENERATE, "/v1/models", "/v1/queue/request-1", "/-/routes", "/nothing"]
    assert {httpx.get(cluster.url + path).status_code for path in paths} == {401}
    open_paths = ["/healthz", "/readyz", "/metrics", "/-/healthz"]
    assert {httpx.get(cluster.url + path).status_code for path in open_paths} == {200}


def test_a_stream_arrives_in_pieces(cluster: Cluster) -> None:
    caller = Stream(cluster, "stream-in-pieces", partial_images=1)
    until(lambda: caller.events)
    assert cluster.state("stream-in-pieces")["state"] in ("queued", "running")  # and yet its first event is here
    caller.end()
    names = caller.names()
    assert names[0] == "image_generation.progress"
    assert "image_generation.partial_image" in names
    assert names[-1] == "image_generation.completed"


def test_a_request_is_found_and_cancelled_by_its_id_whichever_replica_has_it(cluster: Cluster) -> None:
    callers = [Stream(cluster, f"to-be-cancelled-{number}") for number in range(4)]
    until(lambda: all(caller.events for caller in callers))
    for caller in callers:  # they lie on both replicas, and so does each question, by chance
        for _ in range(4):
            assert cluster.state(caller.work_id)["state"] in ("queued", "running")
        answer = cluster.client.post(f"/v1/images/{caller.work_id}/cancel")
        assert answer.status_code == 200
        caller.end()
        assert json.loads(caller.events[-1][1])["error"]["code"] == "request_cancelled"
        assert cluster.state(caller.work_id)["state"] == "cancelled"
    assert cluster.client.get("/v1/queue/nobody-knows-it").status_code == 404
    assert cluster.client.post("/v1/images/nobody-knows-it/cancel").status_code == 404


def test_a_caller_who_hangs_up_frees_the_slot(cluster: Cluster) -> None:
    caller = Stream(cluster, "hangs-up-half-way")
    until(lambda: cluster.state("hangs-up-half-way").get("step", 0) >= 2)
    caller.leave()
    caller.end()
    last = until(lambda: (state := cluster.state("hangs-up-half-way"))["state"] == "cancelled" and state)
    assert last["step"] < last["steps"]
    until(lambda: not any(cluster.metrics(BUSY).values()))


def test_no_prompt_and_no_key_is_in_what_ray_writes_down(cluster: Cluster) -> None:
    asked = [SHORT | {"prompt": "SECRET-PROMPT"}, {"prompt": "SECRET-PROMPT", "steps": -1}, {"prompt": "SECRET-PROMPT"}]
    codes = [cluster.client.post(GENERATE, json=body).status_code for body in asked[:2]]
    codes.append(httpx.post(cluster.url + GENERATE, json=asked[2]).status_code)
    assert codes == [200, 400, 401]
    logs = [path for path in (cluster.folder / "ray").rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(b"request.ended" in path.read_bytes() for path in logs)  # our own lines are among them
    for path in logs:
        content = path.read_bytes()
        assert b"SECRET-PROMPT" not in content, path.name
        assert SECRET not in content, path.name


def test_what_is_too_much_is_refused_in_our_words_and_nothing_is_lost(cluster: Cluster) -> None:
    callers = [Stream(cluster, f"one-of-too-many-{number:03d}", n=10) for number in range(60)]
    until(lambda: all(caller.status for caller in callers))
    refused = [caller for caller in callers if caller.status != 200]
    accepted = [caller for caller in callers if caller.status == 200]
    assert refused
    assert len(accepted) >= REPLICAS * QUEUE_LIMIT
    assert {caller.status for caller in refused} <= set(REFUSED)
    assert all(caller.retry_after is not None and int(caller.retry_after) >= 1 for caller in refused)
    assert all(cluster.state(caller.work_id)["state"] in ("queued", "running") for caller in accepted)
    for caller in accepted:
        assert cluster.client.post(f"/v1/images/{caller.work_id}/cancel").status_code == 200
    for caller in callers:
        caller.end()
        assert not caller.broke
    answer = cluster.client.post(GENERATE, json=SHORT)
    assert answer.status_code == 200


def test_a_refusal_of_the_queue_has_the_shape_of_every_error(cluster: Cluster) -> None:
    callers = [Stream(cluster, f"fills-the-queue-{number:03d}", n=10) for number in range(60)]
    until(lambda: all(caller.status for caller in callers))
    answer = cluster.client.post(GENERATE, json=SHORT | {"n": 10})
    for caller in callers:
        caller.leave()
    assert answer.status_code in REFUSED
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert int(answer.headers["retry-after"]) >= 1
    for caller in callers:
        caller.end()


def test_killing_a_replica_costs_its_own_requests_and_they_hear_of_it(cluster: Cluster) -> None:
    names, pids = cluster.replicas(), cluster.replica_pids()
    streams = [Stream(cluster, f"meets-a-kill-{number}", n=2) for number in range(6)]
    until(lambda: all(caller.events for caller in streams))
    with ThreadPoolExecutor(4) as callers:
        plain = [callers.submit(_ask_once, cluster, number) for number in range(12)]
        victim = sorted(pids)[0]
        os.kill(victim, signal.SIGKILL)
        answers = [future.result() for future in plain]
    for caller in streams:
        caller.end()  # nobody hangs
    lost = [caller for caller in streams if caller.names()[-1] == "error"]
    kept = [caller for caller in streams if caller.names()[-1] == "image_generation.completed"]
    assert lost
    assert kept
    assert len(lost) + len(kept) == len(streams)
    assert {json.loads(caller.events[-1][1])["error"]["code"] for caller in lost} == {"model_unavailable"}
    assert {answer.status_code for answer in answers} <= {200, *REFUSED}
    for answer in answers:
        if answer.status_code != 200:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] in ("model_unavailable", "queue_full")
    assert any(answer.status_code == 200 for answer in answers)
    until(cluster.both_work)  # a replacement came
    assert len(cluster.replicas() - names) == 1
    assert victim not in cluster.replica_pids()
    assert cluster.client.post(GENERATE, json=SHORT).status_code == 200


def _ask_once(cluster: Cluster, number: int) -> httpx.Response:
    return cluster.client.post(GENERATE, json=SHORT | {"steps": 10}, headers={"x-request-id": f"plain-{number:04d}"})


def test_a_replica_that_is_taken_away_ends_its_work_first(cluster: Cluster) -> None:
    callers = [Stream(cluster, f"meets-a-drain-{number}", n=1) for number in range(4)]
    until(lambda: all(caller.events for caller in callers))
    cluster.say("replicas 1 1")
    for caller in callers:
        caller.end()
        assert caller.names()[-1] == "image_generation.completed"
    until(lambda: len(cluster.replica_pids()) == 1)
    assert cluster.client.post(GENERATE, json=SHORT).status_code == 200
    cluster.say(f"replicas {REPLICAS} {REPLICAS}")
    until(cluster.both_work)


def test_the_number_of_replicas_follows_the_open_calls(cluster: Cluster) -> None:
    cluster.say(f"replicas 1 {REPLICAS}")
    until(lambda: len(cluster.replica_pids()) == 1)  # nobody calls
    callers = [Stream(cluster, f"asks-for-more-{number}", n=10) for number in range(6)]
    until(cluster.both_work)
    for caller in callers:
        caller.leave()
        caller.end()
        assert not caller.broke
    cluster.say(f"replicas {REPLICAS} {REPLICAS}")
