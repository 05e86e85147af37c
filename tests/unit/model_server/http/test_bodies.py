"""Bodies that are too much, too slow, or not there, over real HTTP."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from model_server.limits import BodyLimits
from model_server.wire import ErrorEnvelope
from tests.unit.model_server.http.callers import BOUNDARY, CALLS, answer, connect, form, head, part, png, request
from tests.unit.model_server.support import PacedModel, Running, serving, until

FORM = f"multipart/form-data; boundary={BOUNDARY}"
EDITS = "/v1/images/edits"
TIGHT = BodyLimits(
    max_json_bytes=10_000, max_upload_bytes=60_000, memory_bytes=70_000, idle_seconds=0.4, total_seconds=1.5
)


@pytest.fixture
def tight() -> Iterator[Running]:
    with serving(PacedModel(), bodies=TIGHT) as running:
        yield running


def refusal(text: str) -> tuple[str, str | None]:
    error = ErrorEnvelope.model_validate_json(text).error
    return error.code, error.param


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_stops_coming_is_given_up(tight: Running, call: str) -> None:
    whole = request(call)
    with connect(tight) as caller:
        caller.sendall(whole[:-5])
        status, text = answer(caller)
        assert (status, refusal(text)) == (408, ("request_timeout", None))
        assert caller.recv(1) == b""  # what is left of it can't be taken for the next request


@pytest.mark.parametrize("call", ["generations", "edits"])
def test_a_body_that_trickles_is_given_up_too(tight: Running, call: str) -> None:
    with connect(tight) as caller:
        caller.sendall(request(call, prompt="x" * 100)[:-30])
        caller.settimeout(0.1)
        status = 0
        end = time.monotonic() + 20
        while not status and time.monotonic() < end:
            caller.sendall(b" " if call == "generations" else b"x")  # far sooner than idle_seconds
            try:
                status = int(caller.recv(65536).split(b" ")[1])
            except TimeoutError:
                continue
        assert status == 408


@pytest.mark.parametrize("call", CALLS)
def test_a_length_that_is_too_much_is_refused_before_the_body(tight: Running, call: str) -> None:
    with connect(tight) as caller:
        caller.sendall(request(call, length=10**9))
        status, text = answer(caller)
    assert (status, refusal(text)) == (413, ("request_too_large", None))


def test_a_body_without_a_length_is_cut_at_its_limit(tight: Running) -> None:
    def endless() -> Iterator[bytes]:
        yield part("image", b"", "a")[:-2]
        for _ in range(100):
            yield b"x" * 1000

    response = tight.client.post(EDITS, content=endless(), headers={"content-type": FORM})
    assert (response.status_code, refusal(response.text)) == (413, ("request_too_large", None))


def test_a_picture_of_51_megabytes_is_refused_by_its_field(server: Running) -> None:
    body = form(part("prompt", b"x"), part("image", b"\x89PNG\r\n\x1a\n" + b"\0" * 51_000_000, "a.png"))
    response = server.client.post(EDITS, content=body, headers={"content-type": FORM})
    assert (response.status_code, refusal(response.text)) == (413, ("request_too_large", "image"))


def test_a_thousand_parts_are_refused(server: Running) -> None:
    for body in (form(*[part("image[]", b"", "a")] * 1000), form(*[part("n", b"1")] * 1000)):
        response = server.client.post(EDITS, content=body, headers={"content-type": FORM})
        assert response.status_code == 400
        assert refusal(response.text)[0] in ("invalid_form", "invalid_value")


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"--b0undary", b"\0" * 5000, form(), json.dumps({"prompt": "x"}).encode()], ids=range(6)
)
def test_garbage_is_refused(server: Running, body: bytes) -> None:
    for call in ("edits", "variations"):
        response = server.client.post(f"/v1/images/{call}", content=body, headers={"content-type": FORM})
        assert (response.status_code, refusal(response.text)) == (400, ("invalid_form", None))


def test_all_bodies_together_have_a_limit_and_a_place_that_is_left_is_free_again(tight: Running) -> None:
    large = part("image", b"\0" * 55_000, "a.png")
    with connect(tight) as first:
        first.sendall(head(EDITS, FORM, 59_000) + large)
        time.sleep(0.1)

        def is_refused() -> bool:
            response = tight.client.post(EDITS, content=form(large), headers={"content-type": FORM})
            assert response.status_code in (400, 503)
            if response.status_code == 503:
                assert int(response.headers["retry-after"]) >= 1
            return response.status_code == 503

        until(is_refused)
    response = tight.client.post(
        EDITS, content=form(part("prompt", b"x"), part("image", png(), "a")), headers={"content-type": FORM}
    )
    assert response.status_code == 200
    until(lambda: not is_refused())


@pytest.mark.parametrize("call", CALLS)
def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_failure(
    server: Running, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with connect(server) as caller:
            caller.sendall(request(call, work_id="left-in-body")[:-5])
            time.sleep(0.1)
        time.sleep(0.2)
        assert server.client.get("/v1/models").status_code == 200
    assert server.engine.status("left-in-body") is None
    assert [record.msg for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_while_one_uploads_slowly_others_are_served(tight: Running) -> None:
    with connect(tight) as slow:
        slow.sendall(request("edits")[:-5])
        assert tight.client.post("/v1/images/generations", json={"prompt": "x"}).status_code == 200


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /v1/models HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_stops_coming_is_given_up(tight: Running, sent: bytes) -> None:
    with connect(tight) as caller:
        caller.sendall(sent)
        assert ended(caller)


def test_the_head_of_a_second_request_is_not_waited_for_either(tight: Running) -> None:
    with connect(tight) as caller:
        caller.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer(caller)[0] == 200
        caller.sendall(b"GET /healthz HTTP/1.1\r\nhost")
        assert ended(caller)


@pytest.mark.parametrize("line", [b"x-a: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
def test_a_head_without_end_is_cut_off(server: Running, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), connect(server) as caller:
        caller.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        with suppress(OSError):
            for _ in range(100):
                caller.sendall(line)
        until(lambda: "http.head_too_long" in [record.msg for record in caplog.records])
        assert ended(caller)


def ended(caller: socket.socket) -> bool:
    try:
        return caller.recv(1) == b""
    except ConnectionResetError:
        return True
