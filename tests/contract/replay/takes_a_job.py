"""A gateway's part that runs replays, as a process of its own: it takes a job, tells its id, and never ends it."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from gateway.policy.bundle import Bundle, read_bundle
from gateway.replay.desk import Replays
from gateway.replay.jobs import JobStore
from gateway.replay.journal import Journal
from gateway.replay.sealing import Sealer
from gateway.storage.database import Database


def now() -> datetime:
    return datetime.now(UTC)


async def never() -> Bundle:
    """The rules in force, for which a replay waits."""
    await asyncio.Event().wait()
    raise AssertionError


def replays_on(url: str, keys: Path) -> tuple[Database, Replays]:
    """Over a database that others use too."""
    database, sealer = Database(url), Sealer(b"k" * 32, keys)
    journal = Journal(database, sealer, now, keep_days=14, keeps_for=lambda _: 30)
    jobs = JobStore(database, sealer, now, keep_days=14)
    made = Replays(journal, jobs, in_force=never, erased=list, clock=now, minutes_per_review=3, max_seconds=60)
    return database, made


async def main(url: str, keys: Path, rules: Path) -> None:
    """Until somebody kills it."""
    _, replays = replays_on(url, keys)
    job = await replays.start(read_bundle(rules), None, days=7, by="idp|author")
    print(job.id, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
