"""The outermost room: limits, headers, and log lines without what people typed."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest
from fastapi import FastAPI, Request

from gateway import problems
from gateway.api.edge import Edge
from gateway.observe.logs import JsonFormatter
from gateway.observe.metrics import Metrics


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def app(metrics):
    app = FastAPI()
    around = problems.Surroundings(
        page=lambda *_: pytest.fail("no page here"),
        keep_form=lambda *_: pytest.fail("no form here"),
        metadata_url="https://gate.example/.well-known/oauth-protected-resource",
    )
    problems.install(app, around)
    app.state.hold = asyncio.Event()

    @app.post("/v1/echo/{name}")
    async def echo(request: Request, name: str) -> dict:
        return {"bytes": len(await request.body()), "user": request.headers.get("x-forwarded-user")}

    @app.get("/v1/slow")
    async def slow(request: Request) -> dict:
        await request.app.state.hold.wait()
        return {}

    @app.get("/v1/crash")
    async def crash() -> dict:
        raise RuntimeError("the prompt was: zanzibarquokka")

    app.add_middleware(Edge, metrics=metrics, csp="default-src 'none'", max_body_bytes=100, max_in_flight=2, hsts=True)
    return app


@pytest.fixture
async def client(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate.example") as client:
        yield client


async def test_every_answer_has_an_id_and_the_security_headers(client):
    for answer in (await client.post("/v1/echo/x"), await client.get("/nowhere"), await client.get("/v1/crash")):
        assert len(answer.headers["x-request-id"]) == 36
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert "openai-processing-ms" in answer.headers


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(client):
    answer = await client.post("/v1/echo/x", content=b"x" * 101)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")


async def test_a_body_over_the_limit_is_refused_while_it_comes(client):
    async def endless():
        for _ in range(50):
            yield b"x" * 10

    answer = await client.post("/v1/echo/x", content=endless())
    assert answer.status_code == 413


async def test_a_nonsense_length_is_refused(client):
    answer = await client.post("/v1/echo/x", headers={"content-length": "-5"})
    assert answer.status_code == 413


async def test_a_missing_host_is_refused(client):
    answer = await client.post("/v1/echo/x", headers={"host": ""})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "host")


async def test_too_many_at_once_get_429_and_may_try_again(client, app):
    held = [asyncio.create_task(client.get("/v1/slow")) for _ in range(2)]
    await asyncio.sleep(0.05)
    answer = await client.get("/v1/slow")
    app.state.hold.set()
    await asyncio.gather(*held)
    assert (answer.status_code, answer.headers["x-should-retry"], answer.headers["retry-after"]) == (429, "true", "1")
    assert (await client.get("/v1/slow")).status_code == 200


async def test_identity_headers_from_outside_never_get_in(client):
    answer = await client.post("/v1/echo/x", headers={"X-Forwarded-User": "admin"})
    assert answer.json()["user"] is None


async def test_a_crash_tells_neither_the_client_nor_the_log_what_it_was_about(client, caplog):
    with caplog.at_level(logging.INFO):
        answer = await client.get("/v1/crash")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "quokka" not in answer.text
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("gateway")]
    assert not any("quokka" in line for line in lines)
    assert any(json.loads(line).get("error") == "RuntimeError" for line in lines)


async def test_log_and_metrics_know_the_route_and_not_the_path(client, metrics, caplog):
    with caplog.at_level(logging.INFO):
        await client.post("/v1/echo/zanzibarquokka?q=zanzibarquokka")
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name.startswith("gateway")]
    assert any(json.loads(line).get("route") == "/v1/echo/{name}" for line in lines)
    assert not any("quokka" in line for line in lines)
    assert b"quokka" not in metrics.render()
    assert b'route="/v1/echo/{name}"' in metrics.render()


def test_a_log_line_stays_one_line_whatever_a_field_holds():
    record = logging.makeLogRecord({"msg": "event", "fields": {"name": "a\r\nb\x1b[31m\u202e", "object": object()}})
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert "object" not in json.loads(line)
