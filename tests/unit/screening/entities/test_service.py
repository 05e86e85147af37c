"""Names beside the event loop, through the door of screening: findings, or who pays when there is no answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange import Finding
from gateway.screening.entities import model
from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.service import RETRY_SECONDS, Names
from gateway.screening.facade import Screening
from gateway.vocabulary import Effect, Severity

from .rulefile import GOOD, Told, write

SECRET = bytes(range(32))
PROMPT = "a birthday card for our client Anna Berger, in blue"
WATCHING = GOOD.replace("mode: enforce", "mode: monitor")
UNAVAILABLE = ["screening.unavailable"]


@asynccontextmanager
async def screening_with(
    directory: Path,
    load: Callable[[], Any] = model.shared_model,
    *,
    text: str = GOOD,
    timeout_seconds: float = 30,
    **more: Any,
) -> AsyncIterator[Screening]:
    names = Names(timeout_seconds=timeout_seconds, load=load, **more)
    made = Screening(directory=write(directory, text), secret=SECRET, timeout_seconds=30, names=names)
    try:
        yield made
    finally:
        await made.aclose()


def types(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.type for finding in findings]


async def test_the_model_that_ships_answers_through_screening(tmp_path: Path) -> None:
    async with screening_with(tmp_path) as screening:
        [finding] = await screening.screen_prompt(PROMPT)
        assert await screening.screen_prompt("a castle by Greg Rutkowski") == ()
    assert (finding.id, finding.type, finding.detector) == ("f1", "dlp.client-name", "client-name@1")
    assert PROMPT[finding.start : finding.end] == "Anna Berger"
    assert finding.proposed is Effect.REVIEW
    assert finding.severity is Severity.HIGH
    assert not finding.maskable
    assert finding.replacement == ""
    assert len(finding.value_hmac) == 32
    assert "Berger" not in repr(finding)


async def test_one_in_monitor_mode_proposes_nothing(tmp_path: Path) -> None:
    async with screening_with(tmp_path, text=WATCHING) as screening:
        [finding] = await screening.screen_prompt(PROMPT)
    assert (finding.type, finding.proposed) == ("dlp.client-name", Effect.ALLOW)


async def test_the_shipped_rule_watches(policies: Path) -> None:
    made = Screening(directory=policies, secret=SECRET, timeout_seconds=30)
    [finding] = await made.screen_prompt("a birthday card for our customer Anna Berger")
    assert (finding.type, finding.proposed) == ("dlp.person-name-in-context", Effect.ALLOW)
    assert "made-up" in finding.message
    assert await made.screen_prompt("portrait of Ada Lovelace by Greg Rutkowski") == ()
    await made.aclose()


async def test_a_long_text_is_read_around_its_cue_only(tmp_path: Path) -> None:
    told = Told("Anna Berger")
    text = "A Mill In The Hills. " * 4_000 + PROMPT
    async with screening_with(tmp_path, lambda: told) as screening:
        await screening.screen_prompt(PROMPT)  # its own tests
        told.texts.clear()
        [finding] = await screening.screen_prompt(text)
    assert text[finding.start : finding.end] == "Anna Berger"
    assert sum(map(len, told.texts)) < 400


async def test_a_text_without_a_cue_does_not_load_the_model(tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("asked for")

    async with screening_with(tmp_path, load) as screening:
        assert await screening.screen_prompt("Anna Berger in a park, by Greg Rutkowski") == ()


async def test_a_hint_says_the_same_without_the_mark(tmp_path: Path) -> None:
    async with screening_with(tmp_path) as screening:
        [hint] = await screening.hints(PROMPT)
    assert (hint.type, hint.value_hmac) == ("dlp.client-name", "")


async def test_findings_are_numbered_together(tmp_path: Path, policies: Path) -> None:
    (tmp_path / "dlp").mkdir()
    card = (policies / "dlp" / "payment-card.yaml").read_text("utf-8")
    (tmp_path / "dlp" / "payment-card.yaml").write_text(card, encoding="utf-8")
    async with screening_with(tmp_path) as screening:
        found = await screening.screen_prompt("our client Anna Berger, 4111 1111 1111 1111, client Bob Beech")
    assert [(f.id, f.type) for f in found] == [
        ("f1", "dlp.client-name"), ("f2", "dlp.payment-card"), ("f3", "dlp.client-name"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("effect", "mode", "found"), [("block", "enforce", 1), ("block", "monitor", 2), ("allow", "enforce", 2)]
)
async def test_a_name_within_a_value_that_comes_to_more_is_not_told_twice(
    effect: str, mode: str, found: int, tmp_path: Path
) -> None:
    other = f"""\
id: card
version: 1
owner: security
mode: {mode}
severity: high
detect: {{any: [{{regex: 'client Anna Berger'}}]}}
action: {{default: {effect}}}
message: This looks like a card of ours. Leave it out.
tests: {{match: ["client Anna Berger"], no_match: ["client"]}}
"""
    write(tmp_path, other, "card")
    async with screening_with(tmp_path) as screening:
        assert len(await screening.screen_prompt(PROMPT)) == found


def missing() -> Any:
    raise NamesUnavailable("the model of names is not installed")


def broken() -> None:
    raise NamesUnavailable("reading names failed: ValueError")


def defective() -> None:
    raise RuntimeError("quotes words of yours")


LOADS: dict[str, Callable[[], Any]] = {
    "missing": missing,
    "broken": lambda: Told("Anna Berger", then=broken),
    "defective": lambda: Told("Anna Berger", then=defective),
    "not finding what the rule's tests say": Told,
}


@pytest.mark.parametrize("how", LOADS)
async def test_without_an_answer_a_text_with_a_cue_of_a_rule_in_force_is_not_let_through(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with screening_with(tmp_path, LOADS[how]) as screening:
        assert types(await screening.screen_prompt(PROMPT)) == UNAVAILABLE
        assert await screening.screen_prompt("a park") == ()
    told = " ".join(str(vars(record)) for record in caplog.records)
    assert "words of yours" not in told
    assert "Berger" not in told


@pytest.mark.parametrize("how", LOADS)
async def test_without_an_answer_for_a_rule_that_watches_nobody_is_stopped_and_the_log_says_so(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with screening_with(tmp_path, LOADS[how], text=WATCHING) as screening:
            assert await screening.screen_prompt(PROMPT) == ()
    assert any(record.message.startswith("screening.names-") for record in caplog.records)
    told = " ".join(str(vars(record)) for record in caplog.records)
    assert "words of yours" not in told
    assert "Berger" not in told


async def test_an_altered_model_is_no_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "SHA256", "0" * 64)
    monkeypatch.setattr(model, "_shared", [])
    async with screening_with(tmp_path) as screening:
        assert types(await screening.screen_prompt(PROMPT)) == UNAVAILABLE


@pytest.mark.parametrize(("text", "found"), [(GOOD, UNAVAILABLE), (WATCHING, [])])
async def test_an_answer_that_is_late(text: str, found: list[str], tmp_path: Path) -> None:
    hold = threading.Event()
    proving = [True]
    told = Told("Anna Berger", then=lambda: proving[0] or hold.wait(10))
    async with screening_with(tmp_path, lambda: told, text=text, timeout_seconds=0.05) as screening:
        await screening.screen_prompt(PROMPT)
        proving[0] = False
        assert types(await screening.screen_prompt(PROMPT)) == found
        hold.set()


async def test_the_deadline_pays_neither_for_loading_nor_for_the_rule_s_tests(tmp_path: Path) -> None:
    slow = [True]
    told = Told("Anna Berger", then=lambda: slow[0] and time.sleep(0.25))
    loads: list[int] = []

    def load() -> Any:
        loads.append(1)
        time.sleep(0.7)
        return told

    async with screening_with(tmp_path, load, timeout_seconds=0.6) as screening:
        assert types(await screening.screen_prompt(PROMPT)) == ["dlp.client-name"]
        slow[0] = False
        await screening.screen_prompt(PROMPT)
    assert loads == [1]


async def test_a_model_that_is_missing_is_looked_for_again_after_a_while(tmp_path: Path) -> None:
    now = [0.0]
    tries: list[int] = []

    def load() -> Any:
        tries.append(1)
        return missing() if len(tries) == 1 else Told("Anna Berger")

    async with screening_with(tmp_path, load, clock=lambda: now[0]) as screening:
        for _ in range(3):
            assert types(await screening.screen_prompt(PROMPT)) == UNAVAILABLE
        assert len(tries) == 1
        now[0] = RETRY_SECONDS + 1
        assert types(await screening.screen_prompt(PROMPT)) == ["dlp.client-name"]
    assert len(tries) == 2


@pytest.mark.parametrize(("text", "is_loaded"), [(GOOD, True), (WATCHING, False)])
async def test_only_a_rule_in_force_is_worth_loading_at_the_start(text: str, is_loaded: bool, tmp_path: Path) -> None:
    loads: list[int] = []

    def load() -> Any:
        loads.append(1)
        return Told("Anna Berger")

    async with screening_with(tmp_path, load, text=text) as screening:
        await screening.warm_up()
    assert bool(loads) is is_loaded


async def test_health_names_the_rules_that_want_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with screening_with(tmp_path) as screening:
        assert screening.health().without_model == ()
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    with caplog.at_level(logging.WARNING):
        async with screening_with(tmp_path) as screening:
            assert screening.health().without_model == ("client-name",)
    assert "screening.names-missing" in caplog.text
