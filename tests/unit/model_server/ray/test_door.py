"""The door before Ray's proxy, with stand-ins for what the proxy says in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from model_server.http.auth import TokenCheck
from model_server.ray_door import Door, middlewares
from model_server.settings import SettingsError
from tests.unit.model_server.support import SECRET, bearer, token

LIMIT = 1000
UPLOAD_LIMIT = 5000


class Proxy:
    """Stands for Ray's proxy: remembers what came through and says what it is told to."""

    def __init__(self, *messages: dict[str, Any], reads: bool = False) -> None:
        self.messages = messages
        self.reads = reads
        self.scopes: list[Scope] = []
        self.body = b""
        self.hung_up = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        while self.reads:
            message = await receive()
            self.body += message.get("body", b"")
            if message["type"] == "http.disconnect":
                self.hung_up = True
                return
            if not message["more_body"]:
                break
        for message in self.messages:
            await send(message)


def start(status: int, kind: str = "text/plain; charset=utf-8", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", kind.encode()), *headers],
    }


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def door(app: ASGIApp) -> Door:
    check = TokenCheck(SECRET, lambda: datetime.now(UTC))
    return Door(app, check=check, max_body_bytes=LIMIT, max_upload_bytes=UPLOAD_LIMIT)


async def ask(app: ASGIApp, path: str = "/v1/models", **options: Any) -> httpx.Response:
    options.setdefault("headers", bearer())
    transport = httpx.ASGITransport(app=door(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        return await client.request(options.pop("method", "GET"), path, **options)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    content = answer.json()["error"]
    assert set(content) == {"message", "type", "param", "code"}
    return dict(content)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/images/generations", "/-/routes", "/", "/metrics/", "/healthz/x"])
async def test_nothing_reaches_the_proxy_without_a_token(path: str) -> None:
    proxy = Proxy(start(200), body(b"something"))
    for headers in ({}, {"authorization": "Bearer " + token(b"another secret, long enough to be..")}):
        answer = await ask(proxy, path, headers=headers)
        assert answer.status_code == 401
        assert error_of(answer)["code"] == "invalid_api_key"
    assert not proxy.scopes


async def test_two_authorization_headers_are_none() -> None:
    proxy = Proxy(start(200), body(b"something"))
    value = bearer()["authorization"]
    answer = await ask(proxy, headers=[("authorization", value), ("authorization", value)])
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/-/healthz"])
async def test_probes_need_no_token(path: str) -> None:
    answer = await ask(Proxy(start(200), body(b"success")), path, headers={})
    assert (answer.status_code, answer.text) == (200, "success")


async def test_a_web_socket_is_not_let_in() -> None:
    proxy = Proxy()

    async def never(*_arguments: Any) -> Any:
        raise AssertionError("nobody talks here")

    await door(proxy)({"type": "websocket", "path": "/v1/models", "headers": []}, never, never)
    assert not proxy.scopes


@pytest.mark.parametrize(
    "name",
    ["x-request-disconnect-disabled", "X-Request-Timeout-Seconds", "serve_multiplexed_model_id", "x-session-id"],
)
async def test_a_caller_can_not_steer_the_proxy(name: str) -> None:
    proxy = Proxy(start(200, "application/json"), body(b"{}"))
    await ask(proxy, headers=bearer() | {name: "?1", "x-request-id": "request-1"})
    names = {key for key, _value in proxy.scopes[0]["headers"]}
    assert name.lower().encode() not in names
    assert {b"x-request-id", b"authorization"} <= names


@pytest.mark.parametrize(
    ("status", "headers", "expected", "code", "retry_after"),
    [
        (503, (), 503, "model_unavailable", "1"),
        (500, (), 503, "model_unavailable", "1"),
        (408, (), 503, "model_unavailable", "1"),
        (429, ((b"retry-after", b"5"),), 429, "queue_full", "5"),
        (429, ((b"retry-after", b"soon"),), 429, "queue_full", "1"),
        (404, (), 404, "not_found", None),
    ],
)
async def test_what_the_proxy_says_itself_is_said_in_our_words(
    status: int, headers: Sequence[tuple[bytes, bytes]], expected: int, code: str, retry_after: str | None
) -> None:
    proxy = Proxy(start(status, "text/plain", *headers), body(b"Request dropped: /tmp/internal", more=True), body(b""))
    answer = await ask(proxy)
    assert answer.status_code == expected
    assert error_of(answer)["code"] == code
    assert answer.headers.get("retry-after") == retry_after
    assert "internal" not in answer.text


async def test_an_error_of_a_replica_passes_as_it_is() -> None:
    answer = await ask(Proxy(start(400, "application/json"), body(b'{"error":1}')))
    assert (answer.status_code, answer.text) == (400, '{"error":1}')


async def test_a_token_that_grew_too_old_on_the_way_to_its_replica_is_to_be_sent_again() -> None:
    answer = await ask(Proxy(start(401, "application/json"), body(b"{}")))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


async def test_no_answer_at_all_is_an_answer_to_try_again() -> None:
    answer = await ask(Proxy())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert error_of(answer)["code"] == "model_unavailable"


async def test_a_stream_whose_replica_dies_ends_with_an_error_event() -> None:
    proxy = Proxy(
        start(200, "text/event-stream; charset=utf-8"), body(b"event: image_generation.progress\n", more=True)
    )
    answer = await ask(proxy)
    assert answer.text.startswith("event: image_generation.progress\n")
    last = answer.text.partition("event: error\ndata: ")[2]
    assert '"code":"model_unavailable"' in last
    assert last.endswith("\n\n")


async def test_a_stream_that_came_to_its_end_is_left_alone() -> None:
    proxy = Proxy(start(200, "text/event-stream"), body(b"event: x\n\n", more=True), body(b""))
    assert (await ask(proxy)).text == "event: x\n\n"


async def test_the_request_id_goes_out_once() -> None:
    twice = ((b"x-request-id", b"request-1"), (b"X-Request-ID", b"request-1"))
    answer = await ask(Proxy(start(200, "application/json", *twice), body(b"{}")))
    assert [value for name, value in answer.headers.raw if name.lower() == b"x-request-id"] == [b"request-1"]


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("application/json", LIMIT, 200),
        ("application/json", LIMIT + 1, 413),
        ("", LIMIT + 1, 413),
        ("multipart/form-data; boundary=b", LIMIT + 1, 200),
        ("multipart/form-data; boundary=b", UPLOAD_LIMIT + 1, 413),
    ],
)
async def test_no_more_of_a_body_is_read_than_a_replica_would_take(kind: str, size: int, status: int) -> None:
    proxy = Proxy(start(200, "application/json"), body(b"{}"), reads=True)

    async def parts() -> Any:
        for _ in range(size // 100):
            yield b"x" * 100
        yield b"x" * (size % 100)

    headers = bearer() | ({"content-type": kind} if kind else {})
    answer = await ask(proxy, method="POST", content=parts(), headers=headers)
    assert answer.status_code == status
    if status == 413:
        assert error_of(answer)["code"] == "request_too_large"
        assert proxy.hung_up
        assert len(proxy.body) <= (UPLOAD_LIMIT if kind.startswith("multipart") else LIMIT)


async def test_nothing_is_said_to_a_caller_who_has_gone() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in bearer().items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/images/generations", "headers": headers}
    await door(Proxy(reads=True))(scope, receive, send)
    assert not sent


def test_a_proxy_starts_with_the_door_and_not_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPRIMATUR_MODEL_TOKEN_SECRET", SECRET.decode())
    (middleware,) = middlewares()
    assert isinstance(middleware, Middleware)
    assert isinstance(middleware.cls(Proxy(), *middleware.args, **middleware.kwargs), Door)
    monkeypatch.delenv("IMPRIMATUR_MODEL_TOKEN_SECRET")
    monkeypatch.setenv("IMPRIMATUR_MODEL_INSECURE_NO_AUTH", "true")
    with pytest.raises(SettingsError, match="behind Ray Serve"):
        middlewares()
