"""The list of rollouts on both databases: of two that decide at once one loses, and what comes into force wins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.rollouts import RolloutStore, Stage, Step, StepKind
from gateway.lifecycle.store import Activation, Kind, RevisionStore
from gateway.policy.bundle import bundle_of
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.support.scim import database as fresh

pytestmark = pytest.mark.xdist_group("identity-storage")

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OLD, NEW, OTHER = (bundle_of({"a.rego": body}) for body in (b"package a", b"package b", b"package c"))
STAGE = Stage(groups=("pilots",), percent=5, steps=(25, 50, 100))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh(request.param, tmp_path_factory.mktemp("rollouts")) as url:
        yield url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(table.delete())
    yield database
    await database.aclose()


@pytest.fixture
async def active(database: Database) -> Activation:
    """The old rules in force, and two candidates."""
    store = RevisionStore(database, lambda: NOW)
    async with database.transaction() as tx:
        for bundle in (OLD, NEW, OTHER):
            await store.add(tx, bundle, parent=None, author="ann", message="x")
        return await store.activate(tx, OLD.digest, after=0, kind=Kind.SEED, actor="x", reason="x")


async def started(database: Database, active: Activation, digest: str = NEW.digest, proposal: str = "p1") -> Step:
    rollouts = RolloutStore(database, lambda: NOW)
    async with rollouts.transaction() as tx:
        return await rollouts.start(
            tx, active=active, digest=digest, stage=STAGE, proposal=proposal, approved_by="bea", reason="x"
        )


async def test_what_is_written_is_read_again(database: Database, active: Activation) -> None:
    rollouts = RolloutStore(database, lambda: NOW)
    assert (await rollouts.last(), await rollouts.running(active)) == (None, None)
    step = await started(database, active)
    assert (await rollouts.last(), await rollouts.running(active)) == (step, step)
    assert step.stage == STAGE
    assert step.audience.groups == {"pilots"}


async def test_of_many_that_decide_upon_the_same_line_one_wins(database: Database, active: Activation) -> None:
    seen = await started(database, active)

    async def act(kind: StepKind, percent: float | None) -> Step:
        rollouts = RolloutStore(database, lambda: NOW)
        async with rollouts.transaction() as tx:
            return await rollouts.follow_with(tx, seen, kind, actor="bea", reason="x", percent=percent)

    acts = [(StepKind.WIDEN, 25.0), (StepKind.WIDEN, 50.0), (StepKind.WITHDRAW, None)] * 3
    done = await asyncio.gather(*(act(kind, percent) for kind, percent in acts), return_exceptions=True)
    steps = [one for one in done if isinstance(one, Step)]
    assert len(steps) == 1
    assert all(isinstance(one, Conflict) for one in done if one not in steps)
    assert await RolloutStore(database, lambda: NOW).last() == steps[0]


async def test_another_revision_waits_and_the_same_goes_on_under_its_name(
    database: Database, active: Activation
) -> None:
    first = await started(database, active)
    with pytest.raises(Conflict, match="already"):
        await started(database, active, OTHER.digest, "p2")
    again = await started(database, active, proposal="p3")
    assert (again.number, again.rollout, again.proposal) == (2, first.rollout, "p3")


async def test_what_comes_into_force_ends_it_before_anybody_writes_that_down(
    database: Database, active: Activation
) -> None:
    rollouts, store = RolloutStore(database, lambda: NOW), RevisionStore(database, lambda: NOW)
    await started(database, active)
    async with database.transaction() as tx:
        now = await store.activate(tx, OTHER.digest, after=1, kind=Kind.APPROVAL, actor="x", reason="x")
    assert await rollouts.running(now) is None
    again = await started(database, now, OTHER.digest, "p2")
    assert (again.number, again.rollout) == (2, "p2"), "the line that nobody wrote is not waited for"
