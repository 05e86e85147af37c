"""An OPA server as the engine, with everything going wrong that can: each time it is a no."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.errors import PolicyUnavailable
from gateway.exchange import Decision
from gateway.policy import Policy
from gateway.policy.engine import EngineFailed, EntryPoint
from gateway.policy.opa import OpaEngine
from gateway.policy.opa_status import BundleAge
from gateway.policy.revisions import Revisions
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
    "fault",
    [
        "500",
        "503",
        "401",
        "404",
        "redirect",
        "list",
        "bad-json",
        "html",
        "json-as-html",
        "202",
        "garbage",
        "empty",
        "cut-off",
    ],
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


async def test_an_engine_that_is_not_started_or_closed_decides_nothing(server: OpaProcess) -> None:
    engine = OpaEngine(server.url, clock=lambda: NOW, decision_seconds=UNHURRIED_SECONDS)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="not started"):
            await engine.evaluate(EntryPoint.IMAGE, image())
        assert (await engine.health()).error == "not started"
        await engine.start()
        await engine.aclose()


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
        "https://",
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


# -- which rules may decide


class Time:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


@pytest.fixture
def moment() -> Time:
    return Time()


async def test_only_rules_that_are_handed_out_here_decide(server: OpaProcess, engines: Any, moment: Time) -> None:
    revisions = Revisions(moment, timedelta(minutes=10))
    revisions.put_in_force("2026.11.1")
    policy = Policy(await engines(server.url, revisions=revisions, breaker_failures=1))
    assert (await policy.decide(image())).effect is Effect.ALLOW
    for fault in ("wrong-revision", "no-revision", "wrong-revision"):
        with server.fault(fault):
            decision = await policy.decide(image())
            assert (decision.effect, codes(decision)) == (Effect.DENY, ["policy.revision-unknown"])
            assert "not handed out here" in (await policy.health()).error
    assert (await policy.decide(image())).effect is Effect.ALLOW, "the breaker did not open"
    assert await policy.ready()


async def test_superseded_rules_decide_for_a_while_and_then_no_more(
    server: OpaProcess, engines: Any, moment: Time
) -> None:
    revisions = Revisions(moment, timedelta(minutes=10))
    revisions.put_in_force("2026.11.1")
    revisions.put_in_force("2026.11.2")
    policy = Policy(await engines(server.url, revisions=revisions))
    moment.now += timedelta(minutes=10)
    assert (await policy.decide(image())).effect is Effect.ALLOW
    moment.now += timedelta(seconds=1)
    decision = await policy.decide(image())
    assert (decision.effect, codes(decision)) == (Effect.DENY, ["policy.stale"])
    assert decision.revision == "2026.11.1", "the record names the rules that answered"
    assert "superseded 601 s ago" in (await policy.health()).error


async def test_rules_from_elsewhere_decide_while_opa_hears_that_they_are_current(
    server: OpaProcess, engines: Any
) -> None:
    await asyncio.to_thread(server.confirmed, "2026-11-20T09:50:00.123456789Z")
    policy = Policy(await engines(server.url, confirmed_within=timedelta(minutes=11)))
    assert (await policy.decide(image())).effect is Effect.ALLOW
    assert await policy.ready()
    with server.fault("no-revision"):
        assert codes(await policy.decide(image())) == ["policy.revision-unknown"]
    stale = Policy(await engines(server.url, confirmed_within=timedelta(minutes=9)))
    assert codes(await stale.decide(image())) == ["policy.stale"]
    assert "last confirmed 600 s ago" in (await stale.health()).error


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "soon", "2026-11-20T10:06:00Z"])
async def test_a_time_that_says_nothing_is_no_confirmation(server: OpaProcess, engines: Any, at: str) -> None:
    """Go's zero time, no time, and one from a clock ahead of ours."""
    await asyncio.to_thread(server.confirmed, at)
    policy = Policy(await engines(server.url, confirmed_within=timedelta(minutes=10)))
    assert codes(await policy.decide(image())) == ["policy.stale"]


async def test_no_word_on_its_bundles_is_no_confirmation(engines: Any) -> None:
    quiet = OpaProcess(SHIPPED)
    try:
        policy = Policy(await engines(quiet.url, confirmed_within=timedelta(minutes=10)))
        assert codes(await policy.decide(image())) == ["policy.stale"]
        assert "did not tell" in (await policy.health()).error
    finally:
        quiet.stop()


@pytest.mark.parametrize("told", [{"bundles": []}, {"bundles": ["a"]}, {"bundles": {}}, {}, [], None])
async def test_a_status_that_names_no_bundles_says_what_to_switch_on(told: Any) -> None:
    async def ask() -> object:
        return {"result": told}

    age = BundleAge(ask, clock=lambda: NOW, stale_after=timedelta(minutes=2))
    await age.look()
    assert "switch its status plugin and bundles on" in age.problem()


async def test_its_word_is_asked_for_again_and_again(server: OpaProcess) -> None:
    answers = iter(
        [
            {"result": {"bundles": {"a": {"last_successful_request": "2026-11-20T09:00:00Z"}}}},
            EngineFailed("down"),
            {"result": {}},
            {
                "result": {
                    "bundles": {
                        "a": {"last_successful_request": "2026-11-20T10:00:00Z"},
                        "b": {"last_successful_request": "2026-11-20T09:58:00Z"},
                    }
                }
            },
        ]
    )

    async def ask() -> object:
        answer = next(answers)
        if isinstance(answer, EngineFailed):
            raise answer
        return answer

    age = BundleAge(ask, clock=lambda: NOW, stale_after=timedelta(minutes=2))
    said = [age.problem()]
    for _ in range(4):
        await age.look()
        said.append(age.problem())
    assert "not asked yet" in said[0]
    assert all("3600 s ago" in problem for problem in said[1:4]), "what was known only ages"
    assert said[4] == "", "the oldest of its bundles counts"


async def test_an_answer_without_end_is_not_read_to_it(server: OpaProcess, engines: Any) -> None:
    policy = Policy(await engines(server.url))
    with server.fault("huge"), pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    assert "too long" in str(caught.value.__cause__)
