"""What a replica asks its sisters, with sisters made of the same parts and no Ray between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from model_server.engine.events import Snapshot
from model_server.ray_sisters import Sisters, exposition, labelled

FOUND = Snapshot("request-1", "running", 3, 10, 0, 1.5)


class StandInEngine:
    is_ready = True
    is_alive = True


class Inner:
    """Stands for a replica's own application: knows no id, and has one page."""

    def __init__(self, *, breaks: bool = False, status: int = 404) -> None:
        self.breaks = breaks
        self.status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            return
        if self.breaks:
            raise RuntimeError("the prompt was: SECRET-PROMPT")
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"own answer"})


def asking(answers: Sequence[Any], asked: list[Any]) -> Callable[..., Awaitable[Sequence[Any]]]:
    async def ask(*question: Any) -> Sequence[Any]:
        asked.append(question)
        return answers

    return ask


async def get(path: str, answers: Sequence[Any], *, method: str = "GET", inner: Inner | None = None) -> tuple[Any, Any]:
    asked: list[Any] = []
    app = Sisters(inner or Inner(), StandInEngine(), asking(answers, asked))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://replica") as client:
        return await client.request(method, path), asked


async def test_where_a_request_is_comes_from_the_sister_that_has_it() -> None:
    answer, asked = await get("/v1/queue/request-1", [None, FOUND])
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["step"]) == ("running", 3)
    assert asked == [("find", "request-1", False)]


async def test_a_cancel_reaches_the_sister_that_has_it() -> None:
    answer, asked = await get("/v1/images/request-1/cancel", [None, FOUND], method="POST")
    assert answer.status_code == 200
    assert asked == [("find", "request-1", True)]


async def test_an_id_that_nobody_has_keeps_the_answer_of_the_replica_that_was_asked() -> None:
    answer, _asked = await get("/v1/queue/request-1", [None, None])
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (404, "own answer", "1")


async def test_an_id_is_not_called_unknown_while_a_sister_is_silent() -> None:
    answer, _asked = await get("/v1/queue/request-1", [None, TimeoutError()])
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("status", [200, 401])
async def test_nobody_is_asked_for_what_is_known_here_or_when_the_token_is_not_good(status: int) -> None:
    answer, asked = await get("/v1/queue/request-1", [FOUND], inner=Inner(status=status))
    assert answer.status_code == status
    assert not asked


@pytest.mark.parametrize("path", ["/v1/queue/", "/v1/queue/a/b", "/v1/images//cancel", "/nothing", "/v1/models"])
async def test_nobody_is_asked_for_other_addresses(path: str) -> None:
    answer, asked = await get(path, [FOUND])
    assert answer.status_code == 404
    assert not asked


async def test_an_error_nobody_expected_goes_no_further_with_its_message() -> None:
    answer, _asked = await get("/v1/models", [], inner=Inner(breaks=True))
    assert answer.status_code == 500
    assert "SECRET" not in answer.text


def _registry(name: str, value: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("pictures", "Pictures.", ["kind"], registry=registry)
    counter.labels(name).inc(value)
    return registry


async def test_one_scrape_holds_the_counters_of_every_replica_each_family_once() -> None:
    families = [labelled(_registry("x", 3), "a"), labelled(_registry("x", 4), "b")]
    answer, asked = await get("/metrics", [families[0], TimeoutError(), families[1]])
    assert asked == [("families",)]
    assert answer.text.count("# TYPE pictures_total counter") == 1
    (family,) = [f for f in text_string_to_metric_families(answer.text) if f.name == "pictures"]
    values = {s.labels["replica"]: s.value for s in family.samples if s.name == "pictures_total"}
    assert values == {"a": 3, "b": 4}


async def test_scrapers_in_a_hurry_share_one_gathering() -> None:
    asked: list[Any] = []
    app = Sisters(Inner(), StandInEngine(), asking([labelled(_registry("x", 3), "a")], asked))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://replica") as client:
        texts = {(await client.get("/metrics")).text for _ in range(5)}
    assert len(texts) == 1
    assert len(asked) == 1


def test_no_replica_gives_an_empty_text() -> None:
    assert exposition([]) == b""


@pytest.mark.parametrize(("alive", "expected"), [(True, "complete"), (False, "failed")])
async def test_a_replica_has_started_when_its_model_is_warm_and_not_before(
    alive: bool, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    looks: list[bool] = []

    class Warming:
        is_alive = alive
        models: ClassVar = {"tiny": object()}

        def batch_size(self, _model: object) -> int:
            return 8

        @property
        def is_ready(self) -> bool:
            looks.append(alive and len(looks) >= 2)
            return looks[-1]

    sent: list[tuple[str, int]] = []

    async def send(message: Message) -> None:
        sent.append((message["type"], len(looks)))

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    await Sisters(Inner(), Warming(), asking([], []))({"type": "lifespan"}, receive, send)  # type: ignore[arg-type]
    assert sent == [(f"lifespan.startup.{expected}", 3 if alive else 1)]
    told = [vars(record)["fields"] for record in caplog.records if record.msg == "replica.ready"]
    assert told == ([{"model": "tiny", "batch_size": 8}] if alive else [])
