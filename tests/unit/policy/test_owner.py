"""Who may touch an engine, how long it may take, and what may be said of an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.policy.bundle import Rules
from gateway.policy.engine import EngineFailed, EntryPoint
from gateway.policy.owner import Owner, make_rego
from gateway.policy.rego import Rego
from tests.support.policy import UNHURRIED_SECONDS

SLOW = Rules(
    revision="slow",
    modules={
        "gateway/image/authz/authz.rego": "package gateway.image.authz\n\n"
        + f"l := [{', '.join(['1'] * 300)}]\n\n"
        + "decision := count([1 | input.slow; some a, _ in l; some b, _ in l; some c in input.slow; a + b + c < 0])\n"
    },
    data_json="{}",
)


async def test_a_question_that_takes_too_long_is_a_failure_and_the_next_is_answered(
    owner_of: Callable[[Rules], Awaitable[Owner]],
) -> None:
    """The interpreter holds the GIL, so the time limit can't stop it; what comes too late does not count."""
    owner = await owner_of(SLOW)
    slow = json.dumps({"slow": [0] * 12})
    results = await asyncio.gather(
        owner.ask(EntryPoint.IMAGE, slow, seconds=0.05),
        owner.ask(EntryPoint.IMAGE, slow, seconds=0.05),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["EngineFailed"] * 2
    assert await owner.ask(EntryPoint.IMAGE, "{}", seconds=UNHURRIED_SECONDS) == 0


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ('net.cidr_contains("10.0.0.0/8", input.secret)', "stumbled at x.rego:3:"),
        ("time.parse_rfc3339_ns(input.secret)", "stumbled and did not say where"),
    ],
)
async def test_a_rule_that_stumbles_is_told_by_its_place_and_never_by_what_it_was_asked(
    owner_of: Callable[[Rules], Awaitable[Owner]], expression: str, says: str
) -> None:
    module = f"package gateway.image.authz\n\ndecision := {expression}\n"
    owner = await owner_of(Rules(revision="r", modules={"x.rego": module}, data_json="{}"))
    with pytest.raises(EngineFailed) as caught:
        await owner.ask(EntryPoint.IMAGE, '{"secret": "canary-7f3a"}', seconds=UNHURRIED_SECONDS)
    assert str(caught.value).startswith(says)
    assert "canary" not in repr(caught.value) + repr(caught.value.__context__) + repr(caught.value.__cause__)


async def test_a_thread_that_asks_gets_an_engine_of_its_own(owner_of: Callable[[Rules], Awaitable[Owner]]) -> None:
    """An engine panics under another thread's hands."""
    owner = await owner_of(SLOW)
    with ThreadPoolExecutor(1) as other:
        for _ in range(2):
            asked = other.submit(lambda: asyncio.run(owner.ask(EntryPoint.IMAGE, "{}", seconds=UNHURRIED_SECONDS)))
            assert await asyncio.wrap_future(asked) == 0
    assert await owner.ask(EntryPoint.IMAGE, "{}", seconds=UNHURRIED_SECONDS) == 0


async def test_who_asks_again_and_again_lets_others_have_a_turn(
    owner_of: Callable[[Rules], Awaitable[Owner]],
) -> None:
    owner, turns = await owner_of(SLOW), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(5):
        await owner.ask(EntryPoint.IMAGE, "{}", seconds=UNHURRIED_SECONDS)
    task.cancel()
    assert turns >= 4


async def test_whoever_ends_the_program_is_not_held_up() -> None:
    class Ended(Rego):
        def ask(self, path: str, document_json: str) -> object:
            if document_json != "{}":
                raise KeyboardInterrupt
            return super().ask(path, document_json)

    owner = Owner(SLOW, lambda rules: Ended(rules.modules, rules.data_json))
    await owner.begin()
    question = owner.ask(EntryPoint.IMAGE, '{"a": 1}', seconds=UNHURRIED_SECONDS)
    with pytest.raises(KeyboardInterrupt):
        question.send(None)


async def test_the_shipped_make_is_a_plain_engine() -> None:
    assert type(make_rego(SLOW)) is Rego
