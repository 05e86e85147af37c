from __future__ import annotations

import json
import re
import socket
import threading
import time

import httpx
import pytest

from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.wire import ErrorEnvelope, ImagesResponse, ModelList, QueueStatus
from tests.unit.model_server.support import SECRET, PacedModel, Running, bearer, is_stopping, serving, token, until

GENERATE = "/v1/images/generations"


def error_of(response: httpx.Response) -> tuple[int, str, str | None]:
    envelope = ErrorEnvelope.model_validate_json(response.text)
    return response.status_code, envelope.error.code, envelope.error.param


def test_a_prompt_becomes_pictures_with_their_provenance(server: Running) -> None:
    response = server.client.post(
        GENERATE, json={"prompt": "red apple", "n": 2, "seed": 7, "steps": 3, "size": "256x256"}
    )
    answer = ImagesResponse.model_validate_json(response.text)
    assert response.status_code == 200
    assert len(answer.data) == 2
    assert answer.data[0] != answer.data[1]
    made = answer.provenance
    assert (made.model, made.seed, made.steps, made.guidance) == ("tiny", 7, 3, 3.0)
    assert (made.scheduler, made.batch_mode, made.rendered_size) == ("flow-euler", "mixed", "16x16")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", made.model_digest)
    assert (answer.size, answer.output_format) == ("256x256", "png")
    assert answer.usage.input_tokens == 2
    assert answer.usage.output_tokens == 2 * 64
    assert answer.usage.total_tokens == 130
    assert response.headers["x-request-id"] == answer.id
    assert abs(answer.created - time.time()) < 60


def test_the_same_request_gives_the_same_bytes_and_a_new_seed_others(server: Running) -> None:
    def pictures(**fields: object) -> list[str]:
        body = {"prompt": "red apple", "n": 2, "steps": 3, "seed": 7, **fields}
        data = server.client.post(GENERATE, json=body).json()["data"]
        return [item["b64_json"] for item in data]

    first = pictures()
    assert pictures() == first
    assert pictures(seed=8) != first
    assert pictures(prompt="fox") != first
    assert pictures(guidance=5.0) != first
    assert pictures(negative_prompt="blue") != first
    assert pictures(steps=4) != first


def test_a_seed_that_was_told_makes_the_picture_again(server: Running) -> None:
    first = server.client.post(GENERATE, json={"prompt": "fox", "steps": 2}).json()
    again = server.client.post(GENERATE, json={"prompt": "fox", "steps": 2, "seed": first["provenance"]["seed"]}).json()
    assert again["data"] == first["data"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", GENERATE),
        ("POST", "/v1/images/some-request/cancel"),
        ("GET", "/v1/queue/some-request"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/not-there"),
        ("GET", "/healthz/"),
        ("GET", "//healthz"),
        ("DELETE", "/v1/models"),
    ],
)
def test_without_a_token_every_address_is_closed(slow: Running, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer " + token(aud="other")}, {"authorization": "Basic eDp5"}):
        response = httpx.request(
            method, slow.url + path, headers=headers, json={"prompt": "x"} if method == "POST" else None
        )
        assert error_of(response) == (401, "invalid_api_key", None)
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "value",
    [
        token(b"another secret, forty bytes and more...."),
        token(SECRET, exp=1),
        token(SECRET, exp=int(time.time()) + 10**6),
        token(SECRET, aud="imprimatur-gateway"),
        "e30.e30.",
    ],
)
def test_a_bad_token_makes_no_picture(slow: Running, paced: PacedModel, value: str) -> None:
    response = httpx.post(slow.url + GENERATE, headers=bearer(value), json={"prompt": "x"})
    assert response.status_code == 401
    assert paced.steps_taken == 0


def test_two_authorization_headers_are_refused(slow: Running) -> None:
    headers = [("authorization", "Bearer " + token()), ("authorization", "Bearer other")]
    assert httpx.get(slow.url + "/v1/models", headers=headers).status_code == 401


def test_probes_and_metrics_need_no_token(slow: Running) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx.get(slow.url + path).status_code == 200


def test_metrics_count_pictures_waits_and_refusals(tiny_model: EmbeddedStepModel) -> None:
    with serving(tiny_model) as server:
        _count_pictures_waits_and_refusals(server)


def _count_pictures_waits_and_refusals(server: Running) -> None:
    server.client.post(GENERATE, json={"prompt": "fox", "n": 3, "steps": 2})
    server.client.post(GENERATE, json={"prompt": "fox", "n": 0})
    text = httpx.get(server.url + "/metrics").text
    assert "imprimatur_model_pictures_total 3.0" in text
    assert 'imprimatur_model_requests_total{outcome="completed"} 1.0' in text
    assert 'imprimatur_model_refusals_total{code="invalid_value"} 1.0' in text
    assert 'imprimatur_model_queue_wait_seconds_count{class="interactive"} 1.0' in text
    assert re.search(r"imprimatur_model_step_seconds_count [1-9]", text)
    assert "fox" not in text


def test_models_tell_what_can_be_asked(server: Running) -> None:
    (model,) = ModelList.model_validate_json(server.client.get("/v1/models").text).data
    assert (model.id, model.object, model.default_size, model.rendered_size) == ("tiny", "model", "512x512", "16x16")
    assert model.sizes == ("512x512", "256x256", "1024x1024")
    assert model.steps.minimum <= model.steps.default <= model.steps.maximum
    for size in model.sizes:
        response = server.client.post(GENERATE, json={"prompt": "fox", "steps": 1, "size": size})
        assert response.json()["size"] == size


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"prompt": "x", "n": 0}, (400, "invalid_value", "n")),
        ({"prompt": "x", "n": 11}, (400, "invalid_value", "n")),
        ({"prompt": "x", "size": "99999x99999"}, (400, "unsupported_value", "size")),
        ({"prompt": "x", "size": "big"}, (400, "invalid_value", "size")),
        ({"prompt": 5}, (400, "invalid_type", "prompt")),
        ({"n": 1}, (400, "missing_required_parameter", "prompt")),
        ({"prompt": "x", "model": "gpt-image-1"}, (404, "model_not_found", "model")),
        ({"prompt": "x", "response_format": "url"}, (400, "unsupported_value", "response_format")),
        ({"prompt": "x", "steps": 101}, (400, "unsupported_value", "steps")),
    ],
)
def test_each_refusal_has_the_one_shape(
    server: Running, body: dict[str, object], expected: tuple[int, str, str]
) -> None:
    assert error_of(server.client.post(GENERATE, json=body)) == expected


def test_a_body_that_is_no_json_or_too_long_is_refused(server: Running) -> None:
    as_json = {"content-type": "application/json"}
    assert error_of(server.client.post(GENERATE, content=b"{", headers=as_json))[:2] == (400, "invalid_json")
    assert error_of(server.client.post(GENERATE, content=b"prompt=x"))[:2] == (415, "unsupported_media_type")
    long = json.dumps({"prompt": "x" * 300_000}).encode()
    assert error_of(server.client.post(GENERATE, content=long, headers=as_json))[:2] == (413, "request_too_large")


def test_unknown_addresses_and_methods_have_the_same_shape(server: Running) -> None:
    assert error_of(server.client.get("/not-there"))[:2] == (404, "not_found")
    assert error_of(server.client.delete("/v1/models"))[:2] == (405, "method_not_allowed")
    assert error_of(server.client.get("/v1/queue/nobody-knows")) == (404, "not_found", "id")
    assert error_of(server.client.post("/v1/images/nobody-knows/cancel")) == (404, "not_found", "id")


@pytest.mark.parametrize("name", ["short", "x" * 65, "with space", "semi;colon", "dot.dot"])
def test_a_request_id_of_another_form_is_refused(server: Running, name: str) -> None:
    response = server.client.post(GENERATE, json={"prompt": "x"}, headers={"x-request-id": name})
    assert error_of(response) == (400, "invalid_value", "x-request-id")


def in_background(server: Running, name: str, **fields: object) -> tuple[threading.Thread, list[httpx.Response]]:
    answers: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, headers={**bearer(), "x-request-id": name}, timeout=30) as client:
            answers.append(client.post(GENERATE, json={"prompt": "x", **fields}))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: server.engine.status(name) is not None)
    return thread, answers


def status_of(server: Running, name: str) -> QueueStatus:
    return QueueStatus.model_validate_json(server.client.get(f"/v1/queue/{name}").text)


def test_the_queue_tells_step_place_and_time_left(slow: Running, paced: PacedModel) -> None:
    first, _ = in_background(slow, "request-1", steps=4)
    until(lambda: status_of(slow, "request-1").state == "running")
    second, _ = in_background(slow, "request-2", steps=4)
    third, _ = in_background(slow, "request-3", steps=6)
    paced.allow(2)
    until(lambda: status_of(slow, "request-1").step == 2)
    assert status_of(slow, "request-2").queue_position == 0
    waiting = status_of(slow, "request-3")
    assert (waiting.state, waiting.queue_position, waiting.step) == ("queued", 1, 0)
    assert waiting.eta_seconds is not None
    paced.release()
    for thread in (first, second, third):
        thread.join(20)
    assert status_of(slow, "request-2").state == "completed"


def test_a_full_queue_answers_429_with_a_time_to_come_back(slow: Running, paced: PacedModel) -> None:
    threads = [in_background(slow, "request-0", steps=2)[0]]
    until(lambda: status_of(slow, "request-0").state == "running")
    threads += [in_background(slow, f"request-{number}", steps=2)[0] for number in range(1, 5)]
    response = slow.client.post(GENERATE, json={"prompt": "x"})
    assert error_of(response)[:2] == (429, "queue_full")
    assert int(response.headers["retry-after"]) >= 1
    assert 'imprimatur_model_queue_depth{class="interactive"} 4.0' in httpx.get(slow.url + "/metrics").text
    paced.release()
    for thread in threads:
        thread.join(20)


def test_cancel_by_id_stops_the_work_and_tells_whoever_waited(slow: Running, paced: PacedModel) -> None:
    thread, answers = in_background(slow, "request-1", steps=100)
    paced.allow(1)
    until(lambda: status_of(slow, "request-1").step == 1)
    response = slow.client.post("/v1/images/request-1/cancel")
    assert QueueStatus.model_validate_json(response.text).id == "request-1"
    paced.allow(1)
    thread.join(20)
    assert error_of(answers[0])[:2] == (409, "request_cancelled")
    assert answers[0].headers["x-should-retry"] == "false"
    assert paced.steps_taken <= 2
    assert status_of(slow, "request-1").state == "cancelled"


def test_a_caller_who_hangs_up_frees_the_slot_within_a_step(slow: Running, paced: PacedModel) -> None:
    body = json.dumps({"prompt": "x", "steps": 100}).encode()
    head = (
        f"POST {GENERATE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\nx-request-id: request-1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    port = int(slow.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(head.encode() + body)
        until(lambda: slow.engine.status("request-1") is not None)
        until(lambda: status_of(slow, "request-1").state == "running")
    until(lambda: is_stopping(slow.engine, "request-1"))
    paced.allow(1)
    until(lambda: status_of(slow, "request-1").state == "cancelled")
    assert paced.steps_taken <= 1
    paced.allow(2)
    assert slow.client.post(GENERATE, json={"prompt": "x", "steps": 1}).status_code == 200


def test_an_id_in_work_cannot_be_taken_twice(slow: Running, paced: PacedModel) -> None:
    thread, _ = in_background(slow, "request-1", steps=1)
    response = slow.client.post(GENERATE, json={"prompt": "x"}, headers={"x-request-id": "request-1"})
    assert error_of(response)[:2] == (409, "duplicate_request_id")
    assert response.headers["x-should-retry"] == "false"
    paced.allow(1)
    thread.join(20)


def test_a_model_that_fails_answers_500_without_saying_what_was_asked(slow: Running, paced: PacedModel) -> None:
    paced.fails_at_step = 1
    paced.allow(1)
    response = slow.client.post(GENERATE, json={"prompt": "SECRET-PROMPT"})
    assert error_of(response)[:2] == (500, "internal_error")
    assert "SECRET" not in response.text
    assert httpx.get(slow.url + "/readyz").status_code == 200


def test_while_draining_nothing_new_is_taken_and_readiness_ends(slow: Running) -> None:
    slow.engine.drain()
    response = slow.client.post(GENERATE, json={"prompt": "x"})
    assert error_of(response)[:2] == (503, "model_unavailable")
    assert "retry-after" in response.headers
    assert httpx.get(slow.url + "/readyz").status_code == 503
    assert httpx.get(slow.url + "/healthz").status_code == 200


def test_without_a_secret_the_server_answers_anyone(paced: PacedModel) -> None:
    with serving(paced, secret=None) as open_server:
        assert httpx.get(open_server.url + "/v1/models").status_code == 200
