"""Another process follows the same database: within two seconds, or not at all and it says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from gateway.lifecycle.follower import Follower
from gateway.lifecycle.store import RevisionStore
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.reload import OnReload, Reload, ignore
from gateway.screening.facade import Screening
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

PROMISED_SECONDS = 2.0
BUSY = 5
"""A machine that runs other tests takes longer than a gateway's."""


@asynccontextmanager
async def other_process(desk: RuleDesk, on_reload: OnReload = ignore) -> AsyncIterator[tuple[Follower, EmbeddedEngine]]:
    """The parts of a second gateway that follow, with the shipped intervals."""
    clock = desk.services.clock
    follower = Follower(RevisionStore(desk.services.database, clock), clock)
    await follower.first(desk.services.settings.policy.directory)
    engine = EmbeddedEngine(
        follower.rules, clock=clock, decision_seconds=5, on_reload=on_reload, on_swap=follower.on_swap
    )
    await engine.start()
    screening = Screening(directory=follower.detectors, secret=b"s" * 32)
    follower.attach([engine.reloader], screening)
    task = asyncio.create_task(follower.run())
    try:
        yield follower, engine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.aclose()
        await screening.aclose()
        await follower.aclose()
        assert not follower.rules.parent.exists()


async def test_another_process_runs_a_change_within_two_seconds(desk: RuleDesk) -> None:
    before = (await desk.get("status"))["in_force"]["revision"]
    async with other_process(desk) as (follower, engine):
        assert follower.digest == before
        proposal = await desk.proposed({LIMITS: desk.text(LIMITS) + "# followed\n"})
        revision = proposal["payload"]["revision"]
        began = time.monotonic()
        assert (await desk.decide(proposal)).status_code == 200
        while follower.digest != revision:
            assert time.monotonic() - began < PROMISED_SECONDS * BUSY, follower.error
            await asyncio.sleep(0.02)
        print(f"\nanother process ran it {time.monotonic() - began:.2f} s after the approval was sent")
        assert engine.revision.endswith(revision[:12])
        back = {"revision": before, "reason": "end of the test"}
        await desk.post("rollback", back, by="bea", role="policy-approver")


async def test_a_process_that_can_not_record_the_change_keeps_the_old_rules_whole_and_says_so(desk: RuleDesk) -> None:
    before = (await desk.get("status"))["in_force"]["revision"]
    is_broken = False

    async def record(_: Reload) -> None:
        if is_broken:
            raise OSError("the log is full")

    async with other_process(desk, record) as (follower, engine):
        is_broken = True
        changed = await desk.change({LIMITS: desk.text(LIMITS) + "# unrecorded\n"})
        while not follower.error:
            await asyncio.sleep(0.02)
        assert follower.behind_since is not None
        assert follower.behind() == (pytest.approx(follower.behind()[0], abs=1), follower.error)
        assert follower.behind()[0] > 0
        assert (follower.digest, engine.revision[-12:]) == (before, before[:12])
        is_broken = False
        while follower.digest != changed:
            await asyncio.sleep(0.05)
        assert (follower.error, follower.behind_since, engine.revision[-12:]) == ("", None, changed[:12])
        assert follower.behind() == (0.0, "")
        back = {"revision": before, "reason": "end of the test"}
        await desk.post("rollback", back, by="bea", role="policy-approver")


async def test_operators_see_a_process_that_does_not_follow(desk: RuleDesk) -> None:
    async def told() -> tuple[int, str, float]:
        ready = await desk.client.get("/readyz")
        lines = (await desk.client.get("/metrics")).text.splitlines()
        seconds = next(line for line in lines if line.startswith("imprimatur_policy_behind_seconds "))
        return ready.status_code, ready.json()["parts"]["policy_in_force"], float(seconds.split()[1])

    assert (await told())[1:] == ("ok", 0.0)
    follower = desk.follower
    now = desk.services.clock()
    async with follower._looking:  # it looks again, and finds that it is current
        follower.behind_since, follower.error = now - timedelta(seconds=40), "the engine did not take them"
        status, part, seconds = await told()
    assert (part, seconds) == ("behind for 40 s: the engine did not take them", pytest.approx(40, abs=5))
    assert status == (await desk.client.get("/readyz")).status_code, "the old rules decide: it is no less ready"
    await follower.look()
    assert (await told())[1:] == ("ok", 0.0)
