"""An OPA server as the engine, with everything going wrong that can: each time it is a no."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.errors import PolicyUnavailable
from gateway.policy import Policy
from gateway.policy.opa import OpaEngine
from gateway.vocabulary import Effect
from tests.support.opa_process import OpaProcess
from tests.support.policy import NOW, SHIPPED, UNHURRIED_SECONDS, image

SHORT_SECONDS = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[OpaProcess]:
    running = OpaProcess(SHIPPED)
    yield running
    running.stop()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def engines() -> AsyncIterator[Any]:
    """Makes started engines, and closes them whatever happens."""
    made: list[OpaEngine] = []

    async def make(url: str, **options: Any) -> OpaEngine:
        options = {"decision_seconds": UNHURRIED_SECONDS, "breaker_failures": 1000} | options
        made.append(OpaEngine(url, clock=lambda: NOW, **options))
        await made[-1].start()
        return made[-1]

    yield make
    for engine in made:
        await engine.aclose()


@pytest.mark.parametrize(
    "fault", ["500", "503", "401", "404", "redirect", "list", "bad-json", "html", "garbage", "empty", "cut-off"]
)
async def test_no_answer_is_503(server: OpaProcess, engines: Any, fault: str) -> None:
    policy = Policy(await engines(server.url))
    with server.fault(fault), pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    told = f"{caught.value} {caught.value.__cause__}"
    assert "alice" not in told
    assert "eval_conflict" not in told
    assert (await policy.decide(image())).effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("undefined", "policy.undefined"),
        ("null", "policy.invalid"),
        ("boolean", "policy.invalid"),
        ("text", "policy.invalid"),
        ("number-for-effect", "policy.invalid"),
        ("unknown-effect", "policy.invalid"),
        ("unknown-obligation", "policy.invalid"),
        ("unknown-key", "policy.invalid"),
        ("no-effect", "policy.invalid"),
    ],
)
async def test_an_answer_that_is_no_decision_is_a_denial(
    server: OpaProcess, engines: Any, fault: str, code: str
) -> None:
    policy = Policy(await engines(server.url))
    with server.fault(fault):
        decision = await policy.decide(image())
    assert (decision.effect, [r.code for r in decision.reasons]) == (Effect.DENY, [code])


@pytest.mark.parametrize("fault", ["hang", "drip"])
async def test_a_late_answer_is_503_in_time(server: OpaProcess, engines: Any, fault: str) -> None:
    policy = Policy(await engines(server.url, decision_seconds=SHORT_SECONDS))
    started = time.monotonic()
    with server.fault(fault), pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    assert "TimeoutError" in str(caught.value.__cause__)
    assert time.monotonic() - started < SHORT_SECONDS + 5


async def test_a_server_that_is_not_there_is_503(engines: Any) -> None:
    policy = Policy(await engines("http://127.0.0.1:9"))
    with pytest.raises(PolicyUnavailable):
        await policy.decide(image())
    assert not await policy.ready()
    assert "can't be reached" in (await policy.health()).error


async def test_a_question_is_asked_once(server: OpaProcess, engines: Any) -> None:
    """A retry would double the load on a server in trouble, and the time a person waits for a no."""
    engine = await engines(server.url)
    assert engine._client.retries == 0


async def test_a_question_is_strict_about_built_ins_and_wants_to_know_the_bundle(
    server: OpaProcess, engines: Any
) -> None:
    await Policy(await engines(server.url)).decide(image())
    seen = await asyncio.to_thread(server.seen)
    assert seen["query"] == {"strict-builtin-errors": "true", "provenance": "true"}
    assert seen["body"] == {"input": image()}
    assert "Authorization" not in seen["headers"]


async def test_the_token_comes_from_a_file_and_goes_to_opa_only(
    server: OpaProcess, engines: Any, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("canary-7f3a\n")
    policy = Policy(await engines(server.url, token_path=tmp_path / "token"))
    await policy.decide(image())
    seen = await asyncio.to_thread(server.seen)
    assert seen["headers"]["Authorization"] == "Bearer canary-7f3a"
    with server.fault("redirect"), pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_an_empty_or_missing_token_file_keeps_it_from_starting(engines: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        await engines("http://127.0.0.1:9", token_path=tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        await engines("http://127.0.0.1:9", token_path=tmp_path / "nowhere")


async def test_after_failures_in_a_row_it_is_left_alone_and_then_asked_again(server: OpaProcess, engines: Any) -> None:
    clock = Clock()
    policy = Policy(await engines(server.url, breaker_failures=2, breaker_open_seconds=2.0, monotonic=clock))
    with server.fault("500"):
        for _ in range(2):
            with pytest.raises(PolicyUnavailable):
                await policy.decide(image())
    with pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    assert "left alone" in str(caught.value.__cause__)
    assert await policy.ready(), "a probe of readiness asks OPA itself"
    clock.now += 2.0
    assert (await policy.decide(image())).effect is Effect.ALLOW


async def test_denials_do_not_open_the_breaker(server: OpaProcess, engines: Any) -> None:
    policy = Policy(await engines(server.url, breaker_failures=1))
    with server.fault("undefined"):
        for _ in range(3):
            assert (await policy.decide(image())).effect is Effect.DENY


@pytest.mark.parametrize(
    ("fault", "says"),
    [("unhealthy", "bundles are not active"), ("500", "OPA answered 500"), ("undefined", "has no rules for gateway.")],
)
async def test_it_is_not_ready_when_decisions_could_not_be_had(
    server: OpaProcess, engines: Any, fault: str, says: str
) -> None:
    policy = Policy(await engines(server.url))
    with server.fault(fault):
        health = await policy.health()
    assert not health.ready
    assert says in health.error


@pytest.mark.parametrize(
    "url",
    [
        "http://opa:8181",
        "http://10.0.0.5:8181",
        "http://127.0.0.1.example.com:8181",
        "http://localhost.example.com",
        "ftp://127.0.0.1",
        "127.0.0.1:8181",
        "http://",
        "http://user:secret@127.0.0.1:8181",
        "http://127.0.0.1:8181/v1",
        "http://127.0.0.1:8181/?x=1",
        "http://127.0.0.1:8181/#x",
        "http://127.0.0.1:99999",
    ],
)
def test_an_address_that_answers_could_be_changed_on_the_way_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        OpaEngine(url, clock=lambda: NOW)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8181", "http://127.0.0.1:8181/v1"),
        ("http://127.0.0.1:8181/", "http://127.0.0.1:8181/v1"),
        ("http://localhost", "http://localhost:80/v1"),
        ("http://[::1]:8181", "http://[::1]:8181/v1"),
        ("https://opa.example.com", "https://opa.example.com:443/v1"),
    ],
)
async def test_a_good_address_is_asked_as_it_stands(engines: Any, url: str, root: str) -> None:
    engine = await engines(url)
    assert engine._client.root_url == root


async def test_https_is_verified(engines: Any) -> None:
    """The library verifies only when it is told that the connection is TLS, and with the system's authorities."""
    engine = await engines("https://opa.example.com")
    context = engine._client._connector._ssl
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
