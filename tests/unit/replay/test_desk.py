"""Jobs of replays: one at a time, told and cancelled wherever they run, forgotten in time."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select

from gateway.errors import NotFound, RateLimited
from gateway.policy.bundle import bundle_of, read_bundle
from gateway.policy.engine import EntryPoint
from gateway.replay import jobs
from gateway.replay.desk import Replays
from gateway.replay.jobs import LOST_SECONDS, End, JobStore, Standing, State
from gateway.replay.sealing import PageUnreadable
from gateway.replay.tables import replay_jobs
from tests.unit.replay.conftest import SHIPPED, decided, document, journal_on, sealer_on

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


def store_on(database, clock, secret: bytes = b"k" * 32) -> JobStore:
    return JobStore(database, sealer_on(database, secret), clock, keep_days=14)


def gateway_on(database, clock, gate, erased) -> Replays:
    return Replays(
        journal_on(database, clock),
        store_on(database, clock),
        in_force=gate,
        erased=lambda: erased,
        clock=clock,
        minutes_per_review=3,
        max_seconds=60,
    )


@pytest.fixture
async def house(database, clock, shipped):
    """One gateway, and what its rules wait for."""
    gate, erased = Gate(), []
    journal = journal_on(database, clock)
    for n in range(10):
        asked = document(str(uuid.UUID(int=n)), subject={"id": f"idp|person-{n}"})
        journal.saw(EntryPoint.IMAGE, asked, decided(shipped, asked))
    await journal.flush()
    replays = gateway_on(database, clock, gate, erased)
    yield replays, gate, erased
    await replays.aclose()


@pytest.fixture
async def elsewhere(house, database, clock):
    """Another gateway over the same database."""
    other = gateway_on(database, clock, Gate(), house[2])
    yield other
    await other.aclose()


async def ended(replays, job):
    """As `replays` sees it."""
    for _ in range(600):
        seen = await replays.get(job.id)
        if seen.has_ended:
            return seen
        await asyncio.sleep(0.1)
    raise AssertionError(f"it is {seen.state} for a minute")


async def running(gate):
    for _ in range(600):
        if gate.asked:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not begin")


async def test_a_job_goes_from_waiting_to_its_report(house):
    replays, gate, _ = house
    job = await replays.start(RULES, None, days=7, by="idp|author")
    assert job.state is State.WAITING
    gate.opened.set()
    seen = await ended(replays, job)
    assert (seen.state, seen.done, seen.total) == (State.DONE, 10, 10), seen.failure
    assert seen.report["decisions"] == 10
    assert (seen.by, seen.candidate_digest, seen.baseline_digest) == ("idp|author", RULES.digest, RULES.digest)
    (listed,) = await replays.list()
    assert (listed.id, listed.state, listed.report) == (job.id, State.DONE, None)


async def test_another_gateway_tells_how_far_it_is_and_what_came_out(house, elsewhere):
    replays, gate, _ = house
    job = await replays.start(RULES, None, days=7, by="idp|author")
    await running(gate)
    for _ in range(100):
        if (seen := await elsewhere.get(job.id)).state is State.RUNNING:
            break
        await asyncio.sleep(0.05)
    assert (seen.state, seen.baseline_digest, seen.report) == (State.RUNNING, "", None)
    assert [one.id for one in await elsewhere.list()] == [job.id]
    gate.opened.set()
    assert (await ended(elsewhere, job)).report == (await replays.get(job.id)).report


async def test_another_gateway_cancels_it(house, elsewhere):
    replays, gate, _ = house
    job = await replays.start(RULES, None, days=7, by="idp|author")
    await running(gate)
    assert (await elsewhere.cancel(job.id)).state is State.CANCELLED
    assert (await replays.get(job.id)).state is State.CANCELLED
    assert replays._runs == {}, "the work itself has ended, not only its row"
    gate.opened.set()
    assert (await replays.get(job.id)).report is None


async def test_what_a_gateway_leaves_behind_when_it_stops_says_so(house, elsewhere):
    replays, gate, _ = house
    jobs = [await replays.start(RULES, None, days=7, by="idp|author") for _ in range(2)]
    await running(gate)
    await replays.aclose()
    for job in jobs:
        seen = await elsewhere.get(job.id)
        assert (seen.state, "stopped" in seen.failure) == (State.LOST, True)
        assert (await elsewhere.cancel(job.id)).state is State.LOST


async def test_a_job_that_nobody_speaks_of_is_lost(house, database, clock):
    store = store_on(database, clock)
    job = jobs.Job(id="a" * 16, by="x", days=7, created_at=clock(), candidate_digest="c", against_digest="")
    await store.add(job)
    assert await store.beat(job.id, Standing(state=State.RUNNING))
    clock.now += timedelta(seconds=LOST_SECONDS - 1)
    assert (await store.get(job.id)).state is State.RUNNING
    assert await store.beat(job.id, Standing(state=State.RUNNING, done=3, total=9))
    clock.now += timedelta(seconds=LOST_SECONDS - 1)
    assert (await store.get(job.id)).done == 3
    clock.now += timedelta(seconds=1)
    assert (await store.get(job.id)).state is State.LOST
    await store.sweep()
    assert not await store.beat(job.id, Standing(state=State.RUNNING)), "given up: whoever still runs it ends it"
    await store.end(job.id, Standing(), End(state=State.DONE, report={}))
    assert (await store.get(job.id)).state is State.LOST


async def test_what_was_erased_is_not_replayed(house):
    replays, gate, erased = house
    erased.append(uuid.UUID(int=3).bytes)
    gate.opened.set()
    job = await ended(replays, await replays.start(RULES, None, days=7, by="x"))
    assert job.report["decisions"] == 9


async def test_a_report_goes_when_something_is_erased_that_it_may_speak_of(house, elsewhere):
    replays, gate, erased = house
    gate.opened.set()
    job = await ended(replays, await replays.start(RULES, None, days=7, by="x"))
    assert (await elsewhere.get(job.id)).report
    erased.append(uuid.UUID(int=3).bytes)
    for one in (elsewhere, replays):
        with pytest.raises(NotFound, match="erased"):
            await one.get(job.id)
    again = await ended(replays, await replays.start(RULES, None, days=7, by="x"))
    await replays.sweep()
    assert (await elsewhere.get(again.id)).report["decisions"] == 9


async def test_a_report_goes_with_the_oldest_day_that_it_speaks_of(house, database, clock):
    replays, gate, _ = house
    gate.opened.set()
    clock.pass_(3)
    job = await ended(replays, await replays.start(RULES, None, days=7, by="x"))
    failed = await ended(replays, await replays.start(BROKEN, None, days=7, by="x"))
    clock.pass_(11)
    await replays.sweep()
    assert (await replays.get(job.id)).report, "its oldest day is the last that is kept"
    clock.pass_(1)
    await journal_on(database, clock).sweep()
    with pytest.raises(NotFound):  # the key went; so nobody reads it from here on
        await replays.get(job.id)
    await replays.sweep()
    assert [one.id for one in await replays.list()] == [failed.id]
    clock.pass_(3)
    await replays.sweep()
    assert await replays.list() == []


async def test_a_report_of_days_that_went_meanwhile_is_not_kept_under_another_key(house, database, clock):
    store, day = store_on(database, clock), clock().date() - timedelta(days=3)
    job = jobs.Job(id="a" * 16, by="x", days=7, created_at=clock(), candidate_digest="c", against_digest="")
    await store.add(job)
    await store.end(job.id, Standing(), End(state=State.DONE, report={"a": 1}, oldest_day=day))
    seen = await store.get(job.id)
    assert (seen.state, "oldest of its days" in seen.failure, seen.report) == (State.FAILED, True, None)


async def test_a_report_lies_sealed_and_opens_as_no_other(house, database, clock):
    replays, gate, _ = house
    gate.opened.set()
    # Nobody may make anything: each of the ten people would have been refused.
    files = {**RULES.files, "gateway/config/limits/data.yaml": b"images_per_request: {}\n"}
    job = await ended(replays, await replays.start(bundle_of(files), None, days=7, by="x"))
    assert job.state is State.DONE, (job.failure, job.problems)
    assert "idp|person-3" in str(job.report)
    async with database.reading() as tx:
        row = (await tx.execute(select(replay_jobs))).one()
    assert b"person-3" not in bytes(row.sealed)
    assert "person-3" not in str({name: value for name, value in row._mapping.items() if name != "sealed"})
    with pytest.raises(PageUnreadable):
        await store_on(database, clock, b"o" * 32).get(job.id)
    other = await ended(replays, await replays.start(RULES, None, days=7, by="x"))
    async with database.transaction() as tx:
        await tx.execute(replay_jobs.update().where(replay_jobs.c.id == other.id).values(sealed=row.sealed))
    with pytest.raises(PageUnreadable):
        await replays.get(other.id)


async def test_only_one_runs_at_a_time_and_the_rest_wait_their_turn(house):
    replays, gate, _ = house
    started = [await replays.start(RULES, None, days=7, by="x") for _ in range(3)]
    await running(gate)
    await asyncio.sleep(1.5)  # more than a heartbeat
    assert [(await replays.get(job.id)).state for job in started] == [State.RUNNING, State.WAITING, State.WAITING]
    assert (await replays.cancel(started[1].id)).state is State.CANCELLED
    assert (await replays.cancel(started[0].id)).state is State.CANCELLED
    gate.opened.set()
    assert (await ended(replays, started[2])).state is State.DONE
    assert (await replays.cancel(started[2].id)).state is State.DONE


async def test_a_queue_that_is_long_enough_takes_no_more_from_anybody(house, elsewhere, clock):
    replays, _, _ = house
    for number in range(jobs.MAX_WAITING):
        await (replays, elsewhere)[number % 2].start(RULES, None, days=7, by="x")
    for one in (replays, elsewhere):
        with pytest.raises(RateLimited):
            await one.start(RULES, None, days=7, by="x")


async def test_lost_jobs_keep_nobody_waiting(house, database, clock):
    replays, gate, _ = house
    gate.opened.set()
    store = store_on(database, clock)
    for number in range(jobs.MAX_WAITING):
        made = jobs.Job(id=f"{number}", by="x", days=7, created_at=clock(), candidate_digest="c", against_digest="")
        await store.add(made)
    with pytest.raises(RateLimited):
        await replays.start(RULES, None, days=7, by="x")
    clock.now += timedelta(seconds=LOST_SECONDS)
    await replays.start(RULES, None, days=7, by="x")


async def test_rules_that_do_not_load_end_the_job_with_their_problems(house):
    replays, gate, _ = house
    gate.opened.set()
    job = await ended(replays, await replays.start(BROKEN, None, days=7, by="x"))
    assert job.state is State.FAILED
    assert job.problems[0].path == ".manifest"
    assert job.report is None


async def test_old_jobs_are_forgotten_and_running_ones_are_not(house, clock, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_KEPT", 3)
    replays, gate, _ = house
    going = await replays.start(RULES, None, days=7, by="x")
    over = []
    for _ in range(4):
        clock.now += timedelta(seconds=1)
        over.append(await replays.cancel((await replays.start(RULES, None, days=7, by="x")).id))
    assert (await replays.get(going.id)).state in (State.WAITING, State.RUNNING)
    assert (await replays.get(over[-1].id)).state is State.CANCELLED
    with pytest.raises(NotFound):
        await replays.get(over[0].id)
    gate.opened.set()


async def test_an_input_is_found_before_it_is_written_and_not_after_it_was_erased(house):
    replays, _, erased = house
    wanted = str(uuid.UUID(int=4))
    assert (await replays.input_of(wanted))["request_id"] == wanted
    erased.append(uuid.UUID(int=4).bytes)
    with pytest.raises(NotFound):
        await replays.input_of(wanted)


async def test_a_database_that_is_away_for_a_moment_ends_no_job(house, monkeypatch):
    replays, gate, _ = house
    job = await replays.start(RULES, None, days=7, by="x")
    store, beat, end = replays._jobs, replays._jobs.beat, replays._jobs.end
    failures = []

    async def away(*_):
        failures.append(1)
        raise OSError("no database")

    async def end_later(*told):
        monkeypatch.setattr(store, "end", end)
        await away()

    monkeypatch.setattr(store, "beat", away)
    monkeypatch.setattr(store, "end", end_later)
    await running(gate)
    await asyncio.sleep(1.5)
    monkeypatch.setattr(store, "beat", beat)
    gate.opened.set()
    assert (await ended(replays, job)).state is State.DONE
    assert len(failures) >= 2
