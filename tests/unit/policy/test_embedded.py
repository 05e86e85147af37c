"""Rules in process: changes come into force whole, recorded and without a restart, or not at all."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import PolicyUnavailable
from gateway.exchange import Mfa
from gateway.policy import Policy
from gateway.policy.bundle import BundleRefused, Rules
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import EngineFailed
from gateway.policy.owner import make_rego
from gateway.policy.rego import Rego
from gateway.vocabulary import Effect
from tests.support.policy import ALICE, REQUEST, Told, change, copy_of_shipped, image, replaced

AUTHZ = "gateway/image/authz/authz.rego"
ACCESS = "gateway/access/access.rego"
LIMITS = "gateway/config/limits/data.yaml"


def marked(folder: Path, mark: str) -> dict[str, str]:
    """Rules in two files, both of which say `mark` when they refuse somebody without a second factor and a model."""
    edits = replaced(folder, ACCESS, '"gateway.access.mfa_satisfied", "NIST SP 800-53 IA-2(1)"', f'"{mark}", "C"')
    return edits | replaced(folder, AUTHZ, '"gateway.image.authz.model_known"', f'"{mark}"')


async def test_rules_that_do_not_load_keep_a_gateway_from_starting(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    folder, told = copy_of_shipped(tmp_path), Told()
    change(folder, {AUTHZ: "package gateway.image.authz\n\nx if {"})
    engine = engine_over(folder, told)
    with pytest.raises(BundleRefused, match=rf"^{AUTHZ}:3:7: "):
        await engine.start()
    assert [(r.ok, r.previous) for r in told.reloads] == [(False, "")]
    assert not (await engine.health()).ready
    with pytest.raises(PolicyUnavailable):
        await Policy(engine).decide(image())


async def test_without_a_folder_a_gateway_does_not_start(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    with pytest.raises(BundleRefused, match="can't be read"):
        await engine_over(tmp_path / "nowhere").start()


async def test_a_change_is_in_force_without_a_restart_and_soon(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    folder, told = copy_of_shipped(tmp_path), Told()
    engine = engine_over(folder, told, reload_seconds=0.05)
    await engine.start()
    before = engine.revision
    change(folder, replaced(folder, LIMITS, "employee: 4", "employee: 2"))
    async with asyncio.timeout(30):
        while engine.revision == before:
            await asyncio.sleep(0.02)
    decision = await Policy(engine).decide(image())
    assert decision.obligations.max_n == 2
    assert decision.revision == engine.revision != before
    assert [(r.ok, r.revision, r.previous) for r in told.reloads] == [
        (True, before, ""),
        (True, engine.revision, before),
    ]


async def test_a_removed_folder_leaves_the_rules_in_force(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    folder = copy_of_shipped(tmp_path)
    engine = engine_over(folder)
    await engine.start()
    folder.rename(tmp_path / "gone")
    await engine.reloader.check()
    assert "can't be read" in engine.reloader.error
    assert (await Policy(engine).decide(image())).effect is Effect.ALLOW
    (tmp_path / "gone").rename(folder)
    await engine.reloader.check()
    assert engine.reloader.error == ""


async def test_rules_come_into_force_only_when_that_could_be_recorded(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    folder, told = copy_of_shipped(tmp_path), Told()
    engine = engine_over(folder, told)
    await engine.start()
    before = engine.revision
    change(folder, replaced(folder, LIMITS, "employee: 4", "employee: 2"))
    told.error = OSError("disk full")
    await engine.reloader.check()
    assert engine.revision == before
    assert engine.reloader.error == "changed rules wait: OSError"
    told.error = None
    await engine.reloader.check()
    assert engine.revision != before
    assert (engine.reloader.error, told.reloads[-1].ok) == ("", True)


async def test_the_first_rules_too_come_into_force_only_when_that_could_be_recorded(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    told = Told()
    told.error = OSError("disk full")
    engine = engine_over(copy_of_shipped(tmp_path), told)
    with pytest.raises(OSError, match="disk full"):
        await engine.start()
    assert engine.revision == ""


async def test_a_folder_that_is_being_written_is_left_for_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    folder = copy_of_shipped(tmp_path)
    engine = engine_over(folder)
    await engine.start()
    before = engine.revision
    monkeypatch.setattr("gateway.policy.reload.SETTLE_SECONDS", 0.3)
    change(folder, replaced(folder, LIMITS, "employee: 4", "employee: 2"))
    check = asyncio.create_task(engine.reloader.check())
    await asyncio.sleep(0.15)
    change(folder, replaced(folder, LIMITS, "employee: 2", "employee: 3"))
    await check
    assert engine.revision == before
    await engine.reloader.check()
    assert (await Policy(engine).decide(image())).obligations.max_n == 3


async def test_no_decision_mixes_two_revisions_and_none_is_dropped_while_rules_change(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    """Two files carry the revision's mark into every answer; the marks, and the revision named, always agree."""
    folder = copy_of_shipped(tmp_path)
    change(folder, marked(folder, "mark-0"))
    engine = engine_over(folder)
    policy = Policy(engine)
    await engine.start()
    question = image(replace(ALICE, mfa=Mfa()), request=replace(REQUEST, model="other"))
    marks: dict[str, set[str]] = {}
    answered, stop = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal answered
        while not stop.is_set():
            decision = await policy.decide(question)
            marks.setdefault(decision.revision, set()).update(reason.rule for reason in decision.reasons)
            answered += 1

    askers = [asyncio.create_task(ask()) for _ in range(8)]
    for n in range(1, 5):
        for name in (ACCESS, AUTHZ):
            change(folder, replaced(folder, name, f"mark-{n - 1}", f"mark-{n}"))
        await engine.reloader.check()
    stop.set()
    await asyncio.gather(*askers)
    await engine.aclose()
    assert sorted(len(found) for found in marks.values()) == [1] * len(marks), marks
    assert len(marks) >= 3, "the rules hardly changed while questions were asked"
    assert answered > 100


async def test_a_closed_engine_lets_its_interpreter_go(
    tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]
) -> None:
    made: list[weakref.ref[Rego]] = []

    def make(rules: Rules) -> Rego:
        rego = make_rego(rules)
        made.append(weakref.ref(rego))
        return rego

    folder = copy_of_shipped(tmp_path)
    engine = engine_over(folder, make=make)
    await engine.start()
    change(folder, replaced(folder, LIMITS, "employee: 4", "employee: 2"))
    await engine.reloader.check()
    assert [one() is not None for one in made] == [False, True], "replaced rules are kept"
    await engine.aclose()
    assert [one() for one in made] == [None, None]


async def test_a_question_that_is_no_json_is_a_503(tmp_path: Path, engine_over: Callable[..., EmbeddedEngine]) -> None:
    engine = engine_over(copy_of_shipped(tmp_path))
    await engine.start()
    with pytest.raises(PolicyUnavailable) as caught:
        await Policy(engine).decide(image(request=replace(REQUEST, model="half a character: \ud83c")))
    assert "can't be written as JSON" in str(caught.value.__cause__)
    assert isinstance(caught.value.__cause__, EngineFailed)
    assert caught.value.__cause__.__cause__ is None
    assert "half" not in str(caught.value.__cause__)


class Trap(Rego):
    """A real engine whose next question panics for real: it touches an engine of another thread."""

    armed = False
    foreign: Rego

    def ask(self, path: str, document_json: str) -> object:
        if Trap.armed:
            Trap.armed = False
            return Trap.foreign.ask(path, document_json)
        return super().ask(path, document_json)


@pytest.fixture
def trap() -> Iterator[type[Trap]]:
    modules = {"a.rego": "package gateway.image.authz\n\ndecision := true\n"}
    with ThreadPoolExecutor(1) as elsewhere:
        Trap.foreign = elsewhere.submit(Rego, modules).result()
        yield Trap
        Trap.armed = False
        del Trap.foreign


async def test_a_panic_of_the_engine_is_a_503_and_the_next_question_is_answered(
    tmp_path: Path, trap: type[Trap], engine_over: Callable[..., EmbeddedEngine]
) -> None:
    engine = engine_over(copy_of_shipped(tmp_path), make=lambda rules: trap(rules.modules, rules.data_json))
    await engine.start()
    policy = Policy(engine)
    trap.armed = True
    with pytest.raises(PolicyUnavailable) as caught:
        await policy.decide(image())
    assert "PanicException" in str(caught.value.__cause__)
    assert (await policy.decide(image())).effect is Effect.ALLOW
    assert (await policy.health()).ready


async def test_an_engine_that_can_not_be_made_again_fails_every_question(
    tmp_path: Path, trap: type[Trap], engine_over: Callable[..., EmbeddedEngine]
) -> None:
    working = True

    def make(rules: Rules) -> Rego:
        if not working:
            raise RuntimeError("no memory")
        return trap(rules.modules, rules.data_json)

    engine = engine_over(copy_of_shipped(tmp_path), make=make)
    await engine.start()
    policy = Policy(engine)
    trap.armed, working = True, False
    for _ in range(3):
        with pytest.raises(PolicyUnavailable):
            await policy.decide(image())
    working = True
    assert (await policy.decide(image())).effect is Effect.ALLOW
