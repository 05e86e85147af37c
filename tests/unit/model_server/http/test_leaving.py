from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from model_server.engine.engine import Engine
from model_server.http.app import create_app
from model_server.http.auth import TokenCheck
from model_server.limits import BodyLimits, EngineLimits
from model_server.observe import Metrics
from tests.unit.model_server.support import PacedModel, until


@pytest.fixture
def engine(paced: PacedModel) -> Iterator[Engine]:
    engine = Engine({"paced": paced}, limits=EngineLimits(queue_limit=2), metrics=Metrics(), clock=paced.clock)
    engine.start()
    until(lambda: engine.is_ready)
    paced.hold()
    yield engine
    paced.release()
    engine.close(5.0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_left_before_the_first_byte_leaves_no_work_behind(
    engine: Engine, paced: PacedModel, stream: bool
) -> None:
    app = create_app(
        engine,
        check=TokenCheck(None, lambda: datetime.now(UTC)),
        metrics=Metrics(),
        clock=lambda: datetime.now(UTC),
        bodies=BodyLimits(),
        drain_seconds=1.0,
    )
    body = json.dumps({"prompt": "x", "stream": stream, "steps": 100}).encode()
    coming = [{"type": "http.request", "body": body, "more_body": False}]
    headers = [(b"content-type", b"application/json"), (b"x-request-id", b"request-1")]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/images/generations",
        "raw_path": b"/v1/images/generations",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def receive() -> dict[str, Any]:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        await asyncio.sleep(0)

    await asyncio.wait_for(app(scope, receive, send), 10)
    paced.allow(1)
    await asyncio.to_thread(until, lambda: engine.status("request-1").state == "cancelled")  # type: ignore[union-attr]
    assert paced.steps_taken <= 1
