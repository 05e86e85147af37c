"""Jobs of replays: one at a time, cancelled when asked, forgotten in time."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from gateway.errors import NotFound, RateLimited
from gateway.policy.bundle import bundle_of, read_bundle
from gateway.policy.engine import EntryPoint
from gateway.replay import desk as desks
from gateway.replay.desk import Replays, State
from tests.unit.replay.conftest import SHIPPED, decided, document, journal_on

pytestmark = pytest.mark.timeout(180)

RULES = read_bundle(SHIPPED)
BROKEN = bundle_of({"a.rego": b"package a\n"})


class Gate:
    """The rules in force, which are not given out before it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        await self.opened.wait()
        return RULES


@pytest.fixture
async def house(database, clock, shipped):
    journal, gate, erased = journal_on(database, clock), Gate(), []
    for n in range(10):
        asked = document(str(uuid.UUID(int=n)))
        journal.saw(EntryPoint.IMAGE, asked, decided(shipped, asked))
    replays = Replays(journal, in_force=gate, erased=lambda: erased, clock=clock, minutes_per_review=3, max_seconds=60)
    yield replays, gate, erased
    await replays.aclose()


async def ended(job):
    await asyncio.wait([job.task], timeout=60)
    return job


async def test_a_job_goes_from_waiting_to_its_report(house):
    replays, gate, _ = house
    job = replays.start(RULES, None, days=7, by="idp|author")
    assert job.state is State.WAITING
    gate.opened.set()
    await ended(job)
    assert (job.state, job.done, job.total) == (State.DONE, 10, 10), job.failure
    assert job.report["decisions"] == 10
    assert replays.get(job.id) is job


async def test_what_was_erased_is_not_replayed(house):
    replays, gate, erased = house
    erased.append(uuid.UUID(int=3).bytes)
    gate.opened.set()
    job = await ended(replays.start(RULES, None, days=7, by="x"))
    assert job.report["decisions"] == 9


async def test_only_one_runs_at_a_time_and_the_rest_wait_their_turn(house):
    replays, gate, _ = house
    jobs = [replays.start(RULES, None, days=7, by="x") for _ in range(3)]
    for _ in range(200):
        if gate.asked:
            break
        await asyncio.sleep(0.05)
    assert [job.state for job in jobs] == [State.RUNNING, State.WAITING, State.WAITING]
    assert (await replays.cancel(jobs[1].id)).state is State.CANCELLED
    assert (await replays.cancel(jobs[0].id)).state is State.CANCELLED
    gate.opened.set()
    assert (await ended(jobs[2])).state is State.DONE
    assert (await replays.cancel(jobs[2].id)).state is State.DONE


async def test_a_queue_that_is_long_enough_takes_no_more(house):
    replays, _, _ = house
    for _ in range(desks.MAX_WAITING):
        replays.start(RULES, None, days=7, by="x")
    with pytest.raises(RateLimited):
        replays.start(RULES, None, days=7, by="x")


async def test_rules_that_do_not_load_end_the_job_with_their_problems(house):
    replays, gate, _ = house
    gate.opened.set()
    job = await ended(replays.start(BROKEN, None, days=7, by="x"))
    assert job.state is State.FAILED
    assert job.problems[0].path == ".manifest"
    assert job.report is None


async def test_old_jobs_are_forgotten_and_running_ones_are_not(house, monkeypatch):
    monkeypatch.setattr(desks, "MAX_KEPT", 2)
    replays, gate, _ = house
    running = replays.start(RULES, None, days=7, by="x")
    first, second = [await ended_by_cancel(replays) for _ in range(2)]
    assert replays.get(running.id) is running
    assert replays.get(second.id) is second
    with pytest.raises(NotFound):
        replays.get(first.id)
    gate.opened.set()


async def ended_by_cancel(replays):
    return await replays.cancel(replays.start(RULES, None, days=7, by="x").id)


async def test_an_input_is_found_before_it_is_written_and_not_after_it_was_erased(house):
    replays, _, erased = house
    wanted = str(uuid.UUID(int=4))
    assert (await replays.input_of(wanted))["request_id"] == wanted
    erased.append(uuid.UUID(int=4).bytes)
    with pytest.raises(NotFound):
        await replays.input_of(wanted)
