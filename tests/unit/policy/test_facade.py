"""The door of policy: every doubt is a no, and the no says which."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import PolicyUnavailable
from gateway.policy import Policy
from gateway.policy.engine import UNDEFINED, EngineFailed, EngineHealth, EntryPoint, Evaluation
from gateway.policy.facade import MAX_FINDINGS
from gateway.vocabulary import Effect, Permission
from tests.support.policy import ALICE, EMAIL, admin, image

CANARY = "canary-7f3a"


class Scripted:
    """A PolicyEngine that answers what it was told to, and remembers what it was asked."""

    def __init__(self, result: object = UNDEFINED, error: Exception | None = None) -> None:
        self.result, self.error = result, error
        self.asked: list[EntryPoint] = []
        self.revision = "r1"

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def health(self) -> EngineHealth:
        return EngineHealth(ready=self.error is None, engine="e", revision="r1")

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        self.asked.append(entry)
        if self.error is not None:
            raise self.error
        return Evaluation(result=self.result, engine="e", revision="r1")


ALLOW = {"effect": "allow", "reasons": [], "obligations": {}}


async def test_each_door_asks_its_own_entry_point() -> None:
    engine = Scripted(ALLOW)
    assert (await Policy(engine).decide(image())).effect is Effect.ALLOW
    assert (await Policy(engine).decide_admin(admin(ALICE, Permission.MODEL_LIST))).effect is Effect.ALLOW
    assert engine.asked == [EntryPoint.IMAGE, EntryPoint.ADMIN]


@pytest.mark.parametrize("result", [UNDEFINED, None, True, "allow", {"effect": "allow"}, {**ALLOW, "x": 1}])
async def test_what_is_no_decision_is_a_denial_that_says_so(result: object) -> None:
    decision = await Policy(Scripted(result)).decide(image())
    assert decision.effect is Effect.DENY
    assert [r.code for r in decision.reasons] == ["policy.undefined" if result is UNDEFINED else "policy.invalid"]
    assert (decision.engine, decision.revision) == ("e", "r1")


async def test_an_engine_that_fails_is_503_and_not_a_yes() -> None:
    with pytest.raises(PolicyUnavailable) as caught:
        await Policy(Scripted(error=EngineFailed("down"))).decide(image())
    assert caught.value.status == 503
    assert caught.value.retry_after_seconds
    with pytest.raises(PolicyUnavailable):
        await Policy(Scripted(error=EngineFailed("down"))).decide_admin(admin(ALICE, Permission.MODEL_LIST))


async def test_too_many_findings_are_refused_without_asking() -> None:
    engine = Scripted(ALLOW)
    many = [replace(EMAIL, id=f"f{n}") for n in range(MAX_FINDINGS + 1)]
    decision = await Policy(engine).decide(image(ALICE, *many))
    assert (decision.effect, [r.code for r in decision.reasons]) == (Effect.DENY, ["policy.too-many-findings"])
    assert engine.asked == []
    await Policy(engine).decide(image(ALICE, *many[:-1]))
    assert engine.asked == [EntryPoint.IMAGE]


async def test_an_answer_s_text_never_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await Policy(Scripted({**ALLOW, CANARY: CANARY, "effect": CANARY, "reasons": [{CANARY: CANARY}]})).decide(image())
    assert [record.message for record in caplog.records] == ["policy.no_decision"]
    assert CANARY not in repr([record.__dict__ for record in caplog.records])


async def test_readiness_is_the_engine_s() -> None:
    assert await Policy(Scripted()).ready()
    assert not await Policy(Scripted(error=EngineFailed("down"))).ready()
