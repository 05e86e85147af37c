"""Replays that people asked for: one at a time, with progress, until somebody cancels it or the process ends.

A job lives in the memory of one gateway: its report names people, so it is kept nowhere, and forgotten with the next
`MAX_KEPT` jobs. Whoever shares several gateways asks the one that took the job.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from gateway.errors import NotFound, RateLimited
from gateway.policy.bundle import Bundle, BundleRefused, Problem, Rules
from gateway.policy.trial import try_out
from gateway.replay import runner
from gateway.replay.journal import Journal
from gateway.replay.runner import ReplayFailed
from gateway.replay.sealing import PageUnreadable

_log = logging.getLogger(__name__)

MAX_KEPT: Final = 20
MAX_WAITING: Final = 5
TRIAL_DECISION_SECONDS: Final = 5.0
"""A candidate is not refused for being slow here: the report's reader sees how long it took."""


class State(StrEnum):
    """Where a job is. The last three are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS: Final = (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(slots=True)
class Job:
    """One replay. Changed by its own task only."""

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
    """When its report was there."""
    state: State = State.WAITING
    done: int = 0
    total: int = 0
    report: Mapping[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    failure: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Replays:
    """Starts, shows and cancels replays; explains single decisions."""

    def __init__(
        self,
        journal: Journal,
        *,
        in_force: Callable[[], Awaitable[Bundle]],
        erased: Callable[[], list[bytes]],
        clock: Callable[[], datetime],
        minutes_per_review: float,
        max_seconds: float,
    ) -> None:
        """`in_force` gives the files of the rules that decide now; `erased` the events erased from the log."""
        self._journal = journal
        self._in_force = in_force
        self._erased = erased
        self._clock = clock
        self._minutes = minutes_per_review
        self._max_seconds = max_seconds
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._one = asyncio.Semaphore(1)

    def start(self, candidate: Bundle, against: Bundle | None, *, days: int, by: str) -> Job:
        """Replay the last `days` against `candidate`, beside `against` or the rules in force. Returns at once. Raises
        RateLimited when enough are waiting."""
        if sum(job.state not in ENDS for job in self._jobs.values()) >= MAX_WAITING:
            raise RateLimited(
                "Enough replays are waiting. Try again when one has ended, or cancel one.", retry_after_seconds=30
            )
        job = Job(
            id=secrets.token_hex(8),
            by=by,
            days=days,
            created_at=self._clock(),
            candidate_digest=candidate.digest,
            against_digest="" if against is None else against.digest,
        )
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_KEPT:
            oldest = next((one for one in self._jobs.values() if one.state in ENDS), None)
            if oldest is None:
                break
            del self._jobs[oldest.id]
        job.task = asyncio.create_task(self._run(job, candidate, against), name=f"replay-{job.id}")
        return job

    def get(self, job_id: str) -> Job:
        """Raises NotFound."""
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound("There is no such replay here. It may have been forgotten: start it again.")
        return job

    def list(self) -> list[Job]:
        """The newest first."""
        return list(reversed(self._jobs.values()))

    async def cancel(self, job_id: str) -> Job:
        """End it now, its child too. Nothing changes for one that has ended. Raises NotFound."""
        job = self.get(job_id)
        if job.state not in ENDS and job.task is not None:
            job.task.cancel()
            await asyncio.wait([job.task])
            job.state = State.CANCELLED
        return job

    async def preview(self, candidate: Bundle, document: Mapping[str, Any]) -> dict[str, Any]:
        """One input under `candidate` and under the rules in force, explained. Raises BundleRefused, ReplayFailed."""
        rules, baseline = await self._tried(candidate), await self._tried(await self._in_force())
        return await runner.preview(rules, baseline, document)

    async def input_of(self, request_id: str, stage: str = "") -> Mapping[str, Any]:
        """What the rules saw of a past request, at its last stage unless one is named. Raises NotFound."""
        await self.forget_erased()
        await self._journal.flush()
        kept = await self._journal.find(request_id, stage)
        if kept is None:
            raise NotFound("What the rules saw of this request is not kept: it is too old, or was never kept.")
        document: Mapping[str, Any] = kept["document"]
        return document

    async def forget_erased(self) -> int:
        """Take out of the journal what was erased from the log. Returns how many decisions went."""
        return await self._journal.forget_erased(self._erased)

    async def aclose(self) -> None:
        """End every replay."""
        for job in list(self._jobs.values()):
            await self.cancel(job.id)

    async def _run(self, job: Job, candidate: Bundle, against: Bundle | None) -> None:
        try:
            async with self._one:
                job.state = State.RUNNING
                await self._replay(job, candidate, against)
                job.state = State.DONE
        except BundleRefused as refused:
            job.state, job.problems = State.FAILED, refused.problems
            job.failure = "These rules could not come into force, so there is nothing to replay."
        except (ReplayFailed, PageUnreadable) as error:
            job.state, job.failure = State.FAILED, str(error)
        except asyncio.CancelledError:
            job.state = State.CANCELLED
            raise
        except Exception as error:
            job.state, job.failure = State.FAILED, "Something went wrong in the gateway. Tell your operators."
            _log.error("replay.failed", extra={"fields": {"cause": type(error).__name__}})

    async def _replay(self, job: Job, candidate: Bundle, against: Bundle | None) -> None:
        rules = await self._tried(candidate)
        against = against if against is not None else await self._in_force()
        job.baseline_digest = against.digest
        baseline = await self._tried(against)
        await self.forget_erased()
        await self._journal.flush()
        job.total = await self._journal.count(job.days)

        def progress(done: int) -> None:
            job.done = done

        report = await runner.replay(
            rules,
            baseline,
            self._journal.pages(job.days),
            minutes_per_review=self._minutes,
            seconds=self._max_seconds,
            progress=progress,
        )
        job.done = report["decisions"]
        kept = {"left_out_short_retention": self._journal.left_out, "lost": self._journal.lost}
        job.report = {"days": job.days, **report, "not_kept_since_start": kept}
        job.ended_at = self._clock()

    async def _tried(self, bundle: Bundle) -> Rules:
        return await try_out(bundle, decision_seconds=TRIAL_DECISION_SECONDS)
