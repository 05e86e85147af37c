"""Whoever is shut out is stopped in the middle: at once where it waits for the model, at the next step elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy.exc import OperationalError

from gateway.errors import Stopped
from gateway.exchange import ActorId
from gateway.running import WATCH_SECONDS, Running
from gateway.vocabulary import Code

ALICE, BOB = ActorId("company|alice"), ActorId("company|bob")


class Model:
    """Gives one step, then thinks for ever. Knows whether it was told to stop."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self.thinks = asyncio.Event()

    async def steps(self):
        yield "accepted"
        self.thinks.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise


async def consume(running: Running, actor: ActorId, model: Model, seen: list[str]) -> None:
    async with running.job(actor) as job:
        async for step in job.each(model.steps()):
            seen.append(step)


async def test_what_waits_for_the_model_ends_at_once_and_says_why():
    running, model, seen = Running(), Model(), []
    task = asyncio.create_task(consume(running, ALICE, model, seen))
    await model.thinks.wait()
    assert running.stop(ALICE, Code.SUBJECT_DEPROVISIONED) == 1
    with pytest.raises(Stopped) as stopped:
        await asyncio.wait_for(task, 1)
    assert [reason.code for reason in stopped.value.reasons] == [Code.SUBJECT_DEPROVISIONED]
    assert model.is_cancelled
    assert seen == ["accepted"]
    assert task.cancelling() == 0


async def test_who_reads_the_steps_is_never_cancelled_in_the_middle_of_an_answer():
    running, sent = Running(), []

    async def steps():
        yield 1
        yield 2

    async def answer():
        async with running.job(ALICE) as job:
            async for step in job.each(steps()):
                await asyncio.sleep(0.05)  # sending it
                sent.append(step)

    task = asyncio.create_task(answer())
    await asyncio.sleep(0.01)
    running.stop(ALICE, Code.SUBJECT_SUSPENDED)
    with pytest.raises(Stopped):
        await task
    assert sent == [1]


async def test_a_client_that_hangs_up_is_still_a_cancellation():
    running, model = Running(), Model()
    task = asyncio.create_task(consume(running, ALICE, model, []))
    await model.thinks.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_others_go_on():
    running, model = Running(), Model()
    task = asyncio.create_task(consume(running, BOB, model, []))
    await model.thinks.wait()
    assert running.stop(ALICE, Code.SUBJECT_SUSPENDED) == 0
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_has_ended_is_forgotten():
    running = Running()
    async with running.job(ALICE), running.job(ALICE):
        assert running.stop(ALICE, Code.SUBJECT_SUSPENDED) == 2
    assert running.stop(ALICE, Code.SUBJECT_SUSPENDED) == 0


async def test_no_picture_leaves_after_the_model_is_done_either():
    async with Running().job(ALICE) as job:
        job.check()
        job.stop(Code.SUBJECT_SUSPENDED)
        with pytest.raises(Stopped):
            job.check()


async def test_what_another_replica_did_is_found_within_half_a_second_and_a_bit():
    running, model, asked = Running(), Model(), []

    async def lookup(ids):
        asked.append(ids)
        if len(asked) == 1:
            raise OperationalError("select", None, Exception("the database is away"))
        return {ALICE: Code.SUBJECT_SUSPENDED}

    watching = asyncio.create_task(running.watch(lookup))
    task = asyncio.create_task(consume(running, ALICE, model, []))
    with pytest.raises(Stopped):
        await asyncio.wait_for(task, 3 * WATCH_SECONDS)
    assert asked == [frozenset({ALICE})] * 2
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def test_nobody_is_looked_up_while_nothing_runs():
    running, asked = Running(), []

    async def lookup(ids):
        asked.append(ids)
        return {}

    watching = asyncio.create_task(running.watch(lookup))
    await asyncio.sleep(WATCH_SECONDS * 1.3)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert asked == []
