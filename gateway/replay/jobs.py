"""Jobs of replays in the database, which gateways share: who asked for what, how far it is, what came out.

One gateway runs a job and says every moment that it still does; every other one shows it, and cancels it by a wish that
the running one reads. A job that nobody spoke of for a while is *lost*: its gateway died.

A report names people, so it is kept as the inputs are that it was made of: sealed, under the key of the oldest day that
it speaks of. It goes when that day goes, and when anything was erased from the log since it was begun.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from gateway.errors import NotFound, RateLimited
from gateway.policy.bundle import Problem
from gateway.replay.sealing import Sealer
from gateway.replay.tables import replay_jobs
from gateway.storage.database import Database

MAX_KEPT: Final = 100
MAX_WAITING: Final = 5
LOST_SECONDS: Final = 15.0
"""Many heartbeats (`desk.HEARTBEAT_SECONDS`): a busy gateway is late, and clocks of machines differ a little."""
MAX_PROBLEMS: Final = 200
LOST: Final = "The gateway that ran it stopped. Start it again."
DAY_GONE: Final = "The oldest of its days went while it ran: start it again."
UNKNOWN: Final = (
    "There is no such replay. Its time may be over, or something that it spoke of was erased: start it again."
)


class State(StrEnum):
    """Where a job is. All but the first two are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Whoever ran it is gone."""


GOING: Final = (State.WAITING, State.RUNNING)
ENDS: Final = tuple(state for state in State if state not in GOING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One replay, as it was when somebody looked."""

    id: str
    by: str
    days: int
    created_at: datetime
    candidate_digest: str
    against_digest: str
    """Empty = the rules in force."""
    baseline_digest: str = ""
    """What it was held against, once that is known."""
    ended_at: datetime | None = None
    state: State = State.WAITING
    done: int = 0
    total: int = 0
    is_cancel_asked: bool = False
    report: Mapping[str, Any] | None = None
    """Of one that is done, where a single job was asked for."""
    problems: tuple[Problem, ...] = ()
    failure: str = ""

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS


@dataclass(slots=True, kw_only=True)
class Standing:
    """How far a running job is. Changed by whoever runs it."""

    state: State = State.WAITING
    baseline_digest: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What became of a job."""

    state: State
    failure: str = ""
    problems: tuple[Problem, ...] = ()
    report: Mapping[str, Any] | None = None
    oldest_day: date | None = None
    """The oldest day that the report speaks of; None when it speaks of nothing."""
    erased: int = 0
    """How many events had been erased from the log when its inputs were read."""


class JobStore:
    """Keeps jobs. What is written is durable, and seen by every gateway, when a method returns."""

    def __init__(self, database: Database, sealer: Sealer, clock: Callable[[], datetime], *, keep_days: int) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._keep_days = keep_days

    async def add(self, job: Job) -> None:
        """Keep a new job, and forget the oldest ended ones above `MAX_KEPT`. Raises RateLimited when enough wait."""
        now, table = self._clock(), replay_jobs
        async with self._database.transaction() as tx:
            going = select(func.count()).select_from(table).where(self._going(), table.c.heartbeat_at > self._lost())
            if (await tx.execute(going)).scalar_one() >= MAX_WAITING:
                raise RateLimited(
                    "Enough replays are waiting. Try again when one has ended, or cancel one.", retry_after_seconds=30
                )
            values = {
                "id": job.id,
                "by": job.by,
                "days": job.days,
                "created_at": job.created_at,
                "candidate": job.candidate_digest,
                "against": job.against_digest,
                "baseline": job.baseline_digest,
                "state": job.state.value,
                "done": 0,
                "total": 0,
                "heartbeat_at": now,
                "cancel_asked": False,
                "failure": "",
                "problems": [],
                "day": now.astimezone(UTC).date(),
                "erased": 0,
            }
            await tx.execute(insert(table).values(**values))
            ids = select(table.c.id).order_by(table.c.created_at.desc(), table.c.id).offset(MAX_KEPT)
            too_many = list((await tx.execute(ids)).scalars())
            await tx.execute(delete(table).where(table.c.id.in_(too_many), ~self._going()))

    async def get(self, job_id: str) -> Job:
        """With its report. Raises NotFound, also when the key of its days is gone, and PageUnreadable."""
        async with self._database.reading() as tx:
            row = (await tx.execute(select(replay_jobs).where(replay_jobs.c.id == job_id))).one_or_none()
        if row is None:
            raise NotFound(UNKNOWN)
        if row.sealed is None:
            return self._job(row)
        key = await asyncio.to_thread(self._sealer.key, row.day)
        if key is None:
            raise NotFound(UNKNOWN)
        opened = Sealer.open(key, row.day, bytes(row.sealed), what=f"report {row.id}")
        return self._job(row, json.loads(zlib.decompress(opened)))

    async def list(self) -> Sequence[Job]:
        """The newest first, without their reports."""
        wanted = [column for column in replay_jobs.c if column.name != "sealed"]
        query = select(*wanted).order_by(replay_jobs.c.created_at.desc(), replay_jobs.c.id).limit(MAX_KEPT)
        async with self._database.reading() as tx:
            return [self._job(row) for row in (await tx.execute(query)).all()]

    async def beat(self, job_id: str, standing: Standing) -> bool:
        """Say that it goes on, and how far it is. Returns whether it may: False when somebody wants it cancelled, or
        it is given up or forgotten."""
        this = and_(replay_jobs.c.id == job_id, self._going())
        values = {
            "state": standing.state.value,
            "baseline": standing.baseline_digest,
            "done": standing.done,
            "total": standing.total,
            "heartbeat_at": self._clock(),
        }
        async with self._database.transaction() as tx:
            if (await tx.execute(update(replay_jobs).where(this).values(**values))).rowcount == 0:
                return False
            is_asked = (await tx.execute(select(replay_jobs.c.cancel_asked).where(this))).scalar_one()
        return not is_asked

    async def end(self, job_id: str, standing: Standing, end: End) -> None:
        """Keep what became of it. Nothing changes for one that has ended. Raises PageUnreadable."""
        now = self._clock()
        day = end.oldest_day or now.astimezone(UTC).date()
        sealed = None if end.report is None else await self._sealed(job_id, end, day)
        if sealed is None and end.report is not None:
            end = End(state=State.FAILED, failure=DAY_GONE)
        values = {
            "state": end.state.value,
            "baseline": standing.baseline_digest,
            "done": standing.done,
            "total": standing.total,
            "heartbeat_at": now,
            "ended_at": now,
            "failure": end.failure,
            "problems": [asdict(problem) for problem in end.problems[:MAX_PROBLEMS]],
            "day": day,
            "erased": end.erased,
            "sealed": sealed,
        }
        async with self._database.transaction() as tx:
            await tx.execute(update(replay_jobs).where(replay_jobs.c.id == job_id, self._going()).values(**values))

    async def _sealed(self, job_id: str, end: End, day: date) -> bytes | None:
        # A day that has gone meanwhile gets no second key: what is past its days is not kept under any.
        find = self._sealer.key if end.oldest_day else self._sealer.make_key
        key = await asyncio.to_thread(find, day)
        if key is None:
            return None
        packed = zlib.compress(json.dumps(end.report, separators=(",", ":")).encode(), 6)
        return Sealer.seal(key, day, packed, what=f"report {job_id}")

    async def ask_to_cancel(self, job_id: str) -> None:
        """Whoever runs it ends it at its next heartbeat."""
        this = and_(replay_jobs.c.id == job_id, self._going())
        async with self._database.transaction() as tx:
            await tx.execute(update(replay_jobs).where(this).values(cancel_asked=True))

    async def forget_outdated(self, erased: int) -> int:
        """Forget reports whose inputs were read before `erased` events were erased from the log. Returns how many."""
        this = and_(replay_jobs.c.sealed.is_not(None), replay_jobs.c.erased < erased)
        async with self._database.reading() as tx:
            found = (await tx.execute(select(func.count()).select_from(replay_jobs).where(this))).scalar_one()
        if found:
            async with self._database.transaction() as tx:
                await tx.execute(delete(replay_jobs).where(this))
        return int(found)

    async def sweep(self) -> int:
        """Forget what is past its days, and write down which jobs are lost. Returns how many were forgotten."""
        oldest = self._clock().astimezone(UTC).date() - timedelta(days=self._keep_days)
        is_lost = and_(self._going(), replay_jobs.c.heartbeat_at <= self._lost())
        lost = {"state": State.LOST.value, "failure": LOST, "ended_at": self._clock()}
        async with self._database.transaction() as tx:
            await tx.execute(update(replay_jobs).where(is_lost).values(**lost))
            gone = await tx.execute(delete(replay_jobs).where(replay_jobs.c.day < oldest, ~self._going()))
        return gone.rowcount

    def _lost(self) -> datetime:
        return self._clock() - timedelta(seconds=LOST_SECONDS)

    @staticmethod
    def _going() -> Any:
        return or_(*(replay_jobs.c.state == state.value for state in GOING))

    def _job(self, row: Row[Any], report: Mapping[str, Any] | None = None) -> Job:
        state, failure = State(row.state), row.failure
        if state in GOING and row.heartbeat_at <= self._lost():
            state, failure = State.LOST, LOST
        return Job(
            id=row.id,
            by=row.by,
            days=row.days,
            created_at=row.created_at,
            candidate_digest=row.candidate,
            against_digest=row.against,
            baseline_digest=row.baseline,
            ended_at=row.ended_at,
            state=state,
            done=row.done,
            total=row.total,
            is_cancel_asked=row.cancel_asked,
            report=report,
            problems=tuple(Problem(**problem) for problem in row.problems),
            failure=failure,
        )
