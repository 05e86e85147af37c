"""A rollout in other processes: those that run, those that start, those that can't, and those with another engine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.errors import InvalidRequest
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.rollouts import RolloutStore, Step
from gateway.lifecycle.stage_follower import StageFollower, TryOut
from gateway.lifecycle.staged import Staged
from gateway.lifecycle.store import RevisionStore
from gateway.policy.bundle import Bundle, BundleRefused, Problem, Rules
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import EntryPoint
from gateway.policy.trial import try_out
from gateway.screening.facade import Screening
from gateway.vocabulary import Permission
from tests.contract.lifecycle.staging import (
    BREATH_SECONDS,
    PILOT,
    act,
    decided,
    go_back,
    in_force,
    mark_of,
    marked,
    revision_for,
    start,
    withdraw,
)
from tests.support.policy import ALICE, admin
from tests.support.rule_desk import LIMITS, RuleDesk, open_rule_desk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

PROMISED_SECONDS = 2.0
TRIAL: TryOut = partial(try_out, decision_seconds=5)
BUSY = 5
"""A machine that runs other tests takes longer than a gateway's."""


@asynccontextmanager
async def other_process(desk: RuleDesk, trial: TryOut = TRIAL) -> AsyncIterator[Follower]:
    """The parts of a second gateway that follow, with the shipped intervals."""
    clock, database = desk.services.clock, desk.services.database
    store = RevisionStore(database, clock)
    follower = Follower(store, clock)
    await follower.first(desk.services.settings.policy.directory)
    engine = EmbeddedEngine(follower.rules, clock=clock, decision_seconds=5, on_swap=follower.on_swap)
    staged = Staged(engine, decision_seconds=5)
    await staged.start()
    screening = Screening(directory=follower.detectors, secret=b"s" * 32)

    async def note_end(_: Step, __: str) -> None: ...

    stages = StageFollower(store, RolloutStore(database, clock), staged, try_out=trial, note_end=note_end, clock=clock)
    follower.attach([engine.reloader], screening, stages)
    follower.engine = staged  # type: ignore[attr-defined]
    await follower.look()
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await staged.aclose()
        await screening.aclose()
        await follower.aclose()


async def revision_there(follower: Follower, actor=PILOT) -> str:
    document = admin(actor, Permission.AUDIT_SEARCH)
    evaluation = await follower.engine.evaluate(EntryPoint.ADMIN, document)  # type: ignore[attr-defined]
    return evaluation.revision[-12:]


async def until_there(follower: Follower, revision: str, actor=PILOT) -> float:
    began = time.monotonic()
    while await revision_there(follower, actor) != revision[:12]:
        assert time.monotonic() - began < PROMISED_SECONDS * BUSY, (follower.error, follower.stages.error)
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_another_process_follows_each_step_within_two_seconds(desk: RuleDesk) -> None:
    before = await in_force(desk)
    async with other_process(desk) as follower:
        assert await revision_there(follower) == before[:12]
        revision, running = await start(desk, 17)
        seconds = [await until_there(follower, revision)]
        assert await revision_there(follower, ALICE) == before[:12]
        assert (await act(desk, "withdraw", after=running["number"])).status_code == 200
        seconds.append(await until_there(follower, before))
        print(f"\nanother process followed within {max(seconds):.2f} s of this one")
    revision, running = await start(desk, 16)
    async with other_process(desk) as follower:
        assert await revision_there(follower) == revision[:12], "one that starts has it before its first request"
        await go_back(desk, await _other_rules(desk, before))
        await until_there(follower, before)
        assert (await desk.get("rollout"))["history"][0]["kind"] == "end"


async def _other_rules(desk: RuleDesk, before: str) -> str:
    """Something else comes into force, which ends the rollout; where to go back to."""
    await desk.change({LIMITS: desk.text(LIMITS) + "# came in between\n"})
    return before


async def test_a_process_that_can_not_take_the_candidate_says_so_and_tries_again(desk: RuleDesk) -> None:
    before = await in_force(desk)
    is_broken = True

    async def trial(bundle: Bundle) -> Rules:
        if is_broken:
            raise BundleRefused(Problem("", 0, 0, "too slow here"))
        return await try_out(bundle, decision_seconds=5)

    revision, _ = await start(desk, 15)
    async with other_process(desk, trial) as follower:
        assert follower.stages is not None
        assert ("too slow here" in follower.stages.error, follower.stages.step) == (True, None)
        assert follower.stages.behind_since is not None
        assert await revision_there(follower) == before[:12]
        is_broken = False
        await until_there(follower, revision)
        assert (follower.stages.error, follower.stages.behind_since) == ("", None)
    await withdraw(desk)


async def test_no_decision_mixes_two_revisions_while_a_rollout_goes_its_way(desk: RuleDesk) -> None:
    """Each decision bears its mark twice, out of two files: a mixture of any two revisions shows."""
    before, expected = await in_force(desk), {}
    expected[before[:12]] = (30, "")
    seen: Counter[tuple[str, int | None, str]] = Counter()
    people = [ALICE, PILOT]
    is_over = asyncio.Event()

    async def ask(number: int) -> None:
        while not is_over.is_set():
            seen[mark_of(await decided(desk, people[number % 2]))] += 1
            await asyncio.sleep(BREATH_SECONDS)

    askers = [asyncio.create_task(ask(number)) for number in range(20)]
    try:
        for days in (14, 13):
            revision, running = await start(desk, days)
            expected[revision[:12]] = (days, str(days))
            answer = await act(desk, "widen", after=running["number"], percent=25)
            if days == 14:
                assert (await act(desk, "withdraw", after=answer.json()["number"])).status_code == 200
            else:
                assert (await act(desk, "finish", after=answer.json()["number"])).status_code == 200
                await desk.until(revision)
        await go_back(desk, before)
        assert await revision_for(desk, ALICE) == before[:12]
    finally:
        is_over.set()
        await asyncio.gather(*askers)
    print(f"\n{sum(seen.values())} decisions meanwhile")
    assert {revision: (days, said) for revision, days, said in seen} == expected
    assert len(seen) == len(expected)


async def test_a_restart_goes_on_with_it(tmp_path: Path) -> None:
    async with open_rule_desk(tmp_path) as first:
        revision, running = await start(first, 12)
        before = await in_force(first)
    async with open_rule_desk(tmp_path) as second:
        assert (await second.get("rollout"))["running"] == running
        assert (await revision_for(second, PILOT), await revision_for(second, ALICE)) == (revision[:12], before[:12])


async def test_with_an_opa_server_a_stage_is_refused_with_what_to_do(desk: RuleDesk) -> None:
    """Such a gateway has nothing that follows stages: one set of rules decides for everybody there."""
    draft = await desk.draft(marked(desk, 11))
    assert (await desk.post(f"drafts/{draft['id']}/check"))["passed"]
    policy_desk, stages = desk.services.policy_desk, desk.follower.stages
    found = await policy_desk.drafts.get(draft["id"])
    desk.follower.stages = None
    try:
        with pytest.raises(InvalidRequest, match="OPA server"):
            await policy_desk.proposal(found, version=1, note="x", by=ALICE, impact=None, stage={"percent": 5})
        assert (await desk.get("rollout"))["here"]["can_stage"] is False
    finally:
        desk.follower.stages = stages
