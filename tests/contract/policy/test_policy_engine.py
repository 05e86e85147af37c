"""One suite over both ends of the port: rules in process, and an OPA server. They answer alike or one is wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.errors import PolicyUnavailable
from gateway.exchange import Decision, Mfa
from gateway.policy import Policy
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import EngineFailed, EntryPoint, PolicyEngine
from gateway.policy.opa import OpaEngine
from gateway.policy.rego import Rego
from gateway.policy.testing import RegoTests
from gateway.vocabulary import Effect, Permission
from tests.support.opa_process import OpaProcess
from tests.support.policy import (
    ALICE,
    BOB,
    EMAIL,
    NOW,
    SHIPPED,
    UNHURRIED_SECONDS,
    admin,
    change,
    copy_of_shipped,
    image,
    replaced,
)
from tests.support.policy_questions import ADMIN_CASES, IMAGE_CASES, made_up

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_shipped(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def opa(folder: Path) -> Iterator[OpaProcess]:
    server = OpaProcess(folder)
    yield server
    server.stop()


@dataclass(frozen=True)
class End:
    """One end of the port, started, over the same folder as the other."""

    name: str
    engine: PolicyEngine
    policy: Policy
    reload: Callable[[], Awaitable[None]]
    another: Callable[[], PolicyEngine]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(folder: Path, opa: OpaProcess) -> AsyncIterator[dict[str, End]]:
    def new_embedded() -> EmbeddedEngine:
        return EmbeddedEngine(folder, clock=lambda: NOW, decision_seconds=UNHURRIED_SECONDS, reload_seconds=3600)

    def new_opa() -> OpaEngine:
        return OpaEngine(opa.url, clock=lambda: NOW, decision_seconds=UNHURRIED_SECONDS)

    async def load_opa() -> None:
        await asyncio.to_thread(opa.load)

    embedded, remote = new_embedded(), new_opa()
    found = {
        "embedded": End("embedded", embedded, Policy(embedded), embedded.reloader.check, new_embedded),
        "opa": End("opa", remote, Policy(remote), load_opa, new_opa),
    }
    for end in found.values():
        await end.policy.start()
    yield found
    for end in found.values():
        await end.policy.aclose()


@pytest.fixture(params=["embedded", "opa"])
def end(request: pytest.FixtureRequest, ends: dict[str, End]) -> End:
    return ends[request.param]


def codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


@pytest.mark.parametrize(("name", "document", "effect", "reasons"), IMAGE_CASES, ids=[c[0] for c in IMAGE_CASES])
async def test_a_picture_is_decided_as_the_shipped_rules_say(
    end: End, name: str, document: dict[str, Any], effect: Effect, reasons: set[str]
) -> None:
    decision = await end.policy.decide(document)
    assert (decision.effect, codes(decision)) == (effect, reasons)


@pytest.mark.parametrize(("name", "document", "effect", "reasons"), ADMIN_CASES, ids=[c[0] for c in ADMIN_CASES])
async def test_everything_else_is_decided_as_the_shipped_rules_say(
    end: End, name: str, document: dict[str, Any], effect: Effect, reasons: set[str]
) -> None:
    decision = await end.policy.decide_admin(document)
    assert (decision.effect, codes(decision)) == (effect, reasons)


async def test_stale_mfa_comes_with_the_age_that_would_do(end: End) -> None:
    picture = await end.policy.decide(image(replace(ALICE, mfa=Mfa())))
    keys = await end.policy.decide_admin(admin(ALICE, Permission.KEY_MANAGE))
    assert picture.obligations.step_up is not None
    assert picture.obligations.step_up.max_age_seconds == 43_200
    assert keys.obligations.step_up is not None
    assert keys.obligations.step_up.max_age_seconds == 300


async def test_a_mask_names_the_finding_and_what_to_put_there(end: End) -> None:
    decision = await end.policy.decide(image(ALICE, EMAIL))
    assert [(order.finding, order.with_) for order in decision.obligations.mask] == [("f1", "someone@example.com")]
    assert [(r.message, r.span, r.rule) for r in decision.reasons] == [(EMAIL.message, (3, 9), "email@1")]


async def test_a_review_names_its_queue(end: End) -> None:
    decision = await end.policy.decide(image(ALICE, replace(EMAIL, proposed=Effect.REVIEW)))
    assert decision.obligations.review_queue == "data-protection"


async def test_a_decision_names_its_engine_and_its_rules(end: End) -> None:
    decision = await end.policy.decide(image())
    assert decision.engine.startswith(f"{end.name}/")
    assert decision.revision.startswith("2026.11.1")
    assert end.policy.revision == decision.revision


async def test_an_empty_question_is_a_no_from_both_entry_points(end: End) -> None:
    for entry in EntryPoint:
        result = (await end.engine.evaluate(entry, {})).result
        assert isinstance(result, dict)
        assert result["effect"] == "deny"


async def test_many_at_once_each_get_their_own_answer(end: End) -> None:
    documents = [image(ALICE, replace(EMAIL, id=f"mine-{n}")) if n % 2 else image(BOB) for n in range(60)]
    decisions = await asyncio.gather(*(end.policy.decide(document) for document in documents))
    for n, decision in enumerate(decisions):
        if n % 2:
            assert [order.finding for order in decision.obligations.mask] == [f"mine-{n}"]
        else:
            assert decision.effect is Effect.DENY


async def test_strange_text_travels_unharmed(end: End) -> None:
    strange = 'a"b\\c\n\u0000\u2028 ü 漢 🎨 {{x}} %s'
    finding = replace(EMAIL, replacement=strange, message=strange, id="ü🎨")
    decision = await end.policy.decide(image(replace(ALICE, groups=(strange,) * 1000), finding))
    assert decision.obligations.mask[0].with_ == strange
    assert decision.reasons[0].message == strange


async def test_it_is_ready(end: End) -> None:
    health = await end.policy.health()
    assert (health.ready, health.error) == (True, "")
    assert health.revision.startswith("2026.11.1")
    assert await end.policy.ready()


async def test_before_its_start_and_after_its_end_there_is_no_decision(end: End) -> None:
    engine = end.another()
    policy = Policy(engine)
    with pytest.raises(PolicyUnavailable):
        await policy.decide(image())
    assert not await policy.ready()
    await policy.start()
    assert (await policy.decide(image())).effect is Effect.ALLOW
    await policy.aclose()
    await policy.aclose()
    with pytest.raises(PolicyUnavailable):
        await policy.decide(image())
    assert not await policy.ready()


async def test_changed_data_and_rules_are_in_force_after_a_reload(end: End, folder: Path) -> None:
    models, manifest = "gateway/config/models/data.yaml", ".manifest"
    before = {name: (folder / name).read_bytes() for name in (models, manifest)}
    try:
        change(folder, replaced(folder, models, '"512x512", ', ""))
        change(folder, replaced(folder, manifest, "2026.11.1", "2026.11.2"))
        await end.reload()
        decision = await end.policy.decide(image())
        assert codes(decision) == {"size.not-permitted"}
        assert decision.revision.startswith("2026.11.2")
    finally:
        change(folder, before)
        await end.reload()
    assert (await end.policy.decide(image())).effect is Effect.ALLOW


async def test_both_ends_decide_a_thousand_made_up_questions_alike(ends: dict[str, End]) -> None:
    """Not only the effect: every reason and obligation. The seed is in the message of a failure."""
    effects: Counter[str] = Counter()
    for seed in range(1_000):
        document, is_spoilt = made_up(random.Random(seed))
        embedded, remote = [await outcome(ends[name], document) for name in ("embedded", "opa")]
        if is_spoilt and "failed" in (embedded, remote):
            # A value of a wrong type, which the gateway never sends: an engine may stumble over it, and that is a no.
            continue
        assert embedded == remote != "failed", f"seed {seed}"
        effects[effect_of(embedded)] += 1
    assert min(effects[effect] for effect in Effect) >= 20, f"too lopsided to prove anything: {effects}"


async def outcome(end: End, document: dict[str, Any]) -> object:
    """The answer with its lists in order, or `failed`."""
    entry = EntryPoint.IMAGE if "resource" in document else EntryPoint.ADMIN
    try:
        return in_order((await end.engine.evaluate(entry, document)).result)
    except EngineFailed:
        return "failed"


def effect_of(answer: object) -> str:
    return str(answer["effect"]) if isinstance(answer, dict) else str(answer)


async def test_opa_passes_every_test_of_the_rules(opa: OpaProcess, ends: dict[str, End]) -> None:
    modules = {p.relative_to(SHIPPED).as_posix(): p.read_text() for p in SHIPPED.rglob("*.rego")}
    tests = RegoTests(Rego(modules)).tests
    engine = ends["opa"].engine
    assert isinstance(engine, OpaEngine)
    packages = {test.name.rpartition(".")[0] for test in tests}
    answers = {package: await _package(engine, package) for package in packages}
    failed = [t.name for t in tests if answers[t.name.rpartition(".")[0]].get(t.name.rpartition(".")[2]) is not True]
    assert failed == []


async def _package(engine: OpaEngine, package: str) -> dict[str, Any]:
    """Every rule of a package, answered."""
    assert engine._client is not None
    parent, _, name = package.rpartition(".")
    body = await engine._client.query_rule({}, parent, name, {})
    assert isinstance(body, dict)
    result: dict[str, Any] = body["result"]
    return result


def in_order(answer: object) -> object:
    """`answer` with its lists sorted: engines order sets of objects differently, and order says nothing."""
    if isinstance(answer, dict):
        return {key: in_order(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return sorted((in_order(member) for member in answer), key=repr)
    return answer


async def test_the_other_end_is_a_real_opa(opa: OpaProcess) -> None:
    """Without OPA as a library the suite still runs, against the embedded engine behind OPA's wire."""
    if opa.engine != "oracle":
        pytest.skip("opa-golib-python-bindings is not installed: OPA's answers were not compared")
