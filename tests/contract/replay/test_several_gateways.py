"""Replays behind several gateways and one address: whoever is asked knows what any of them runs. Both databases."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.migrations.migrate import upgrade as migrate_records
from gateway.policy.bundle import Bundle
from gateway.replay.jobs import LOST_SECONDS, JobStore, State
from gateway.replay.sealing import Sealer
from gateway.storage.migrate import downgrade, upgrade
from tests.authz.bed import Bed, open_bed
from tests.contract.replay.takes_a_job import now, replays_on
from tests.contract.replay.test_replay_api import LIMITS, SHIPPED, ask, call, one_picture
from tests.support.postgres import fresh_database
from tests.support.rule_desk import RuleDesk
from tests.support.scim import database as fresh

pytestmark = [pytest.mark.xdist_group("identity-storage"), pytest.mark.timeout(300)]

MANAGED: dict[str, Any] = {"source": "managed", "poll_seconds": 0.1, "require_replay": True}


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    with fresh(kind, tmp_path) as url:
        yield url


@contextmanager
def records(kind: str, state: Path) -> Iterator[Path | None]:
    """A file with the address of the log's database, where two gateways share that too. Day files have one writer, so
    there each gateway has a log of its own."""
    if kind == "sqlite":
        yield None
        return
    with fresh_database(migrate_records) as url:
        path = state / "records.url"
        path.write_text(url)
        path.chmod(0o600)
        yield path


@pytest.fixture
async def gateways(kind: str, url: str, tmp_path: Path) -> AsyncIterator[tuple[Bed, Bed]]:
    """Two, over one database and one folder of replays' keys."""
    shutil.copytree(SHIPPED, tmp_path / "policies")
    states = [tmp_path] * 2
    if kind == "sqlite":
        states = [tmp_path / "one", tmp_path / "two"]
        (tmp_path / "keys").mkdir()
        for state in states:
            (state / "audit").mkdir(parents=True)
            (state / "audit" / "replay-keys").symlink_to(tmp_path / "keys")
    policy = {**MANAGED, "directory": tmp_path / "policies"}
    with records(kind, tmp_path) as at:
        async with (
            open_bed(states[0], policy, database_url=url, records_url=at) as one,
            open_bed(states[1], policy, database_url=url, records_url=at) as two,
        ):
            yield one, two


@asynccontextmanager
async def held(bed: Bed) -> AsyncIterator[None]:
    """Replays that begin here do not end meanwhile: the rules in force are not handed out."""
    replays = bed.services.replaying.replays
    opened, in_force = asyncio.Event(), replays._in_force

    async def waits() -> Bundle:
        await opened.wait()
        return await in_force()

    replays._in_force = waits
    try:
        yield
    finally:
        opened.set()
        replays._in_force = in_force


async def seen(bed: Bed, job: str, *states: str) -> dict[str, Any]:
    """The job as this gateway tells it, once it is in one of `states`."""
    for _ in range(600):
        told = await call(bed, "GET", f"/replays/{job}")
        assert told.status_code == 200, told.text
        if told.json()["status"] in states:
            return dict(told.json())
        await asyncio.sleep(0.1)
    raise AssertionError(f"it is not {states}: {told.text}")


async def test_what_one_gateway_runs_the_other_tells_cancels_and_reports(gateways: tuple[Bed, Bed]) -> None:
    one, two = gateways
    for bed in gateways:  # each saw another request: the replay reads both
        await ask(bed, "ann", 2)
        await bed.services.replaying.journal.flush()
    async with held(one):
        started = (await call(one, "POST", "/replays", {"files": one_picture()})).json()
        told = await seen(two, started["id"], "running")
        assert (told["by"], told["report"]) == ("company|policy-author", None)
        assert [job["id"] for job in (await call(two, "GET", "/replays")).json()["data"]] == [started["id"]]
        cancelled = (await call(two, "DELETE", f"/replays/{started['id']}")).json()
        assert cancelled["status"] == "cancelled"
        assert (await seen(one, started["id"], "cancelled"))["report"] is None
        assert one.services.replaying.replays._runs == {}
    started = (await call(one, "POST", "/replays", {"files": one_picture()})).json()
    told = await seen(two, started["id"], "done")
    assert told["report"]["newly_denied"] == 2
    assert [row["id"] for row in told["report"]["people"]] == ["company|ann"]
    assert told == await seen(one, started["id"], "done")
    assert (await call(two, "GET", f"/replays/{started['id']}", who="auditor")).status_code == 403


async def test_an_impact_report_made_at_one_gateway_stands_in_a_proposal_made_at_the_other(
    gateways: tuple[Bed, Bed],
) -> None:
    one, two = gateways
    await ask(one, "ann", 2)
    await one.services.replaying.journal.flush()
    limits = yaml.safe_load((SHIPPED / LIMITS).read_text())
    limits["images_per_request"] = dict.fromkeys(limits["images_per_request"], 1)
    async with one.client() as here, two.client() as there:
        first, second = RuleDesk(one, here), RuleDesk(two, there)
        draft = await first.draft({LIMITS: yaml.safe_dump(limits)})
        assert (await first.post(f"drafts/{draft['id']}/check"))["passed"]
        asked = {"version": 1, "note": "one is enough"}
        refused = await second.ask("POST", f"drafts/{draft['id']}/propose", asked)
        assert (refused.status_code, "policy.require_replay" in refused.text) == (400, True), refused.text
        replay = (await first.post("replays", {"draft": draft["id"], "days": 7}))["id"]
        await seen(two, replay, "done")
        answer = await second.ask("POST", f"drafts/{draft['id']}/propose", {**asked, "impact": replay})
        assert answer.status_code == 202, answer.text
        assert answer.json()["payload"]["impact"]["newly_denied"] == 1


async def test_a_gateway_that_stops_leaves_no_job_that_seems_to_go_on(gateways: tuple[Bed, Bed]) -> None:
    one, two = gateways
    async with held(one):
        started = (await call(one, "POST", "/replays", {"files": one_picture()})).json()
        await seen(two, started["id"], "running")
        await one.services.replaying.aclose()
    told = await seen(two, started["id"], "lost")
    assert "Start it again" in told["failure"]


async def test_a_job_whose_gateway_was_killed_is_lost(url: str, tmp_path: Path) -> None:
    arguments = (url, str(tmp_path / "keys"), str(SHIPPED))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.replay.takes_a_job", *arguments, stdout=asyncio.subprocess.PIPE
    )
    database, replays = replays_on(url, tmp_path / "keys")
    try:
        assert process.stdout is not None
        job = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        for _ in range(300):
            if (await replays.get(job)).state is State.RUNNING:
                break
            await asyncio.sleep(0.1)
    finally:
        process.kill()
        await process.wait()
    assert (await replays.get(job)).state is State.RUNNING, "nobody knows it yet"
    later = JobStore(
        database, Sealer(b"k" * 32, tmp_path / "keys"), lambda: now() + timedelta(seconds=LOST_SECONDS), keep_days=14
    )
    assert (await later.get(job)).state is State.LOST
    assert [one.state for one in await later.list()] == [State.LOST]
    assert await later.sweep() == 0
    assert (await replays.cancel(job)).state is State.LOST, "written down by the sweep"
    await database.aclose()


def test_the_migration_can_be_taken_back_and_made_again(url: str) -> None:
    assert downgrade(url, "0007") == "0007"
    assert upgrade(url) >= "0008"
