"""Replays that people asked for: one at a time in each gateway, with progress, until somebody cancels it.

Where a job stands is in the database (`jobs`), so that every gateway tells and cancels what any of them runs. The work
itself, and the files that are tried, are in the memory of the gateway that was asked: with it the job ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.errors import NotFound
from gateway.policy.bundle import Bundle, BundleRefused, Rules
from gateway.policy.trial import try_out
from gateway.replay import runner
from gateway.replay.jobs import LOST, End, Job, JobStore, Standing, State
from gateway.replay.journal import Journal
from gateway.replay.runner import ReplayFailed
from gateway.replay.sealing import PageUnreadable

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 1.0
"""How often a running job tells how far it is, and reads whether somebody wants it cancelled."""
LOOK_SECONDS: Final = 0.2
LOOKS: Final = 20
"""How often whoever cancels a job of another gateway looks for its end before answering."""
TRIES_TO_END: Final = 10
"""An end that can't be written is tried again with each heartbeat; after these the job counts as lost."""
TRIAL_DECISION_SECONDS: Final = 5.0
"""A candidate is not refused for being slow here: the report's reader sees how long it took."""


@dataclass(slots=True)
class _Run:
    """One job that this gateway runs. Changed by its own task only."""

    id: str
    standing: Standing = field(default_factory=Standing)
    is_ending: bool = False
    """Its end is known and is being written: nothing may interrupt that."""
    task: asyncio.Task[None] | None = None


class Replays:
    """Starts, shows and cancels replays; explains single decisions."""

    def __init__(
        self,
        journal: Journal,
        jobs: JobStore,
        *,
        in_force: Callable[[], Awaitable[Bundle]],
        erased: Callable[[], list[bytes]],
        clock: Callable[[], datetime],
        minutes_per_review: float,
        max_seconds: float,
    ) -> None:
        """`in_force` gives the files of the rules that decide now; `erased` the events erased from the log."""
        self._journal = journal
        self._jobs = jobs
        self._in_force = in_force
        self._erased = erased
        self._clock = clock
        self._minutes = minutes_per_review
        self._max_seconds = max_seconds
        self._runs: dict[str, _Run] = {}
        self._one = asyncio.Semaphore(1)
        self._is_closing = False

    async def start(self, candidate: Bundle, against: Bundle | None, *, days: int, by: str) -> Job:
        """Replay the last `days` against `candidate`, beside `against` or the rules in force. Returns when the job is
        known to every gateway. Raises RateLimited when enough are waiting."""
        job = Job(
            id=secrets.token_hex(8),
            by=by,
            days=days,
            created_at=self._clock(),
            candidate_digest=candidate.digest,
            against_digest="" if against is None else against.digest,
        )
        await self._jobs.add(job)
        run = self._runs[job.id] = _Run(job.id)
        run.task = asyncio.create_task(self._life(run, candidate, against, days), name=f"replay-{job.id}")
        return job

    async def get(self, job_id: str) -> Job:
        """With its report, once it is done. Raises NotFound."""
        job = await self._jobs.get(job_id)
        if job.report is None:
            return job
        await self.forget_erased()
        return await self._jobs.get(job_id)

    async def list(self) -> Sequence[Job]:
        """The newest first, without their reports."""
        return await self._jobs.list()

    async def cancel(self, job_id: str) -> Job:
        """End it, its child too, wherever it runs. One of another gateway may still be going on when this returns: it
        ends with its next heartbeat. Nothing changes for one that has ended. Raises NotFound."""
        run = self._runs.get(job_id)
        if run is not None:
            await self._stop(run)
            return await self.get(job_id)
        job = await self.get(job_id)
        if job.has_ended:
            return job
        await self._jobs.ask_to_cancel(job_id)
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            if (job := await self.get(job_id)).has_ended:
                break
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
        """Take out of the journal what was erased from the log, and forget reports that may speak of it. Returns how
        many decisions went."""
        gone = await self._journal.forget_erased(self._erased)
        await self._jobs.forget_outdated(self._journal.erased_seen)
        return gone

    async def sweep(self) -> None:
        """Forget jobs that are past their days, and reports of what was erased."""
        await self._jobs.sweep()
        await self.forget_erased()

    async def aclose(self) -> None:
        """End every replay that runs here: they are lost, and say so."""
        self._is_closing = True
        for run in list(self._runs.values()):
            await self._stop(run)

    async def _stop(self, run: _Run) -> None:
        """End it, or wait for the end that is being written."""
        if run.task is None:
            return
        if not run.is_ending:
            run.task.cancel()
        await asyncio.wait([run.task])
        if self._runs.pop(run.id, None) is not None:  # cancelled before its first step, it wrote nothing
            await self._write_end(run, self._cancelled())

    async def _life(self, run: _Run, candidate: Bundle, against: Bundle | None, days: int) -> None:
        beats = asyncio.create_task(self._beats(run), name=f"replay-{run.id}-beats")
        try:
            end = await self._end_of(run, candidate, against, days)
        except asyncio.CancelledError:
            end = self._cancelled()
        run.is_ending = True
        beats.cancel()
        await asyncio.wait([beats])
        try:
            await self._write_end(run, end)
        finally:
            self._runs.pop(run.id, None)

    async def _beats(self, run: _Run) -> None:
        """Tell how far it is, until it ends or somebody wants it to."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                may_go_on = await self._jobs.beat(run.id, run.standing)
            except Exception as error:
                # Drivers have errors of their own while a database starts. The replay goes on: it may be back soon.
                _log.warning("replay.untold", extra={"fields": {"cause": type(error).__name__}})
                continue
            if not may_go_on and not run.is_ending and run.task is not None:
                run.task.cancel()
                return

    async def _write_end(self, run: _Run, end: End) -> None:
        for _ in range(TRIES_TO_END):
            try:
                await self._jobs.end(run.id, run.standing, end)
                return
            except PageUnreadable as error:
                end = End(state=State.FAILED, failure=str(error))
            except Exception as error:
                _log.warning("replay.untold", extra={"fields": {"cause": type(error).__name__}})
                await asyncio.sleep(HEARTBEAT_SECONDS)
        _log.error("replay.lost", extra={"fields": {"state": end.state.value}})

    async def _end_of(self, run: _Run, candidate: Bundle, against: Bundle | None, days: int) -> End:
        try:
            async with self._one:
                run.standing.state = State.RUNNING
                return await self._replay(run.standing, candidate, against, days)
        except BundleRefused as refused:
            failure = "These rules could not come into force, so there is nothing to replay."
            return End(state=State.FAILED, failure=failure, problems=tuple(refused.problems))
        except (ReplayFailed, PageUnreadable) as error:
            return End(state=State.FAILED, failure=str(error))
        except Exception as error:
            _log.error("replay.failed", extra={"fields": {"cause": type(error).__name__}})
            return End(state=State.FAILED, failure="Something went wrong in the gateway. Tell your operators.")

    async def _replay(self, standing: Standing, candidate: Bundle, against: Bundle | None, days: int) -> End:
        rules = await self._tried(candidate)
        against = against if against is not None else await self._in_force()
        standing.baseline_digest = against.digest
        baseline = await self._tried(against)
        await self.forget_erased()
        erased = self._journal.erased_seen
        await self._journal.flush()
        oldest_day = await self._journal.oldest_day(days)
        standing.total = await self._journal.count(days)

        def progress(done: int) -> None:
            standing.done = done

        report = await runner.replay(
            rules,
            baseline,
            self._journal.pages(days),
            minutes_per_review=self._minutes,
            seconds=self._max_seconds,
            progress=progress,
        )
        standing.done = report["decisions"]
        kept = {"left_out_short_retention": self._journal.left_out, "lost": self._journal.lost}
        report = {"days": days, **report, "not_kept_since_start": kept}
        return End(state=State.DONE, report=report, oldest_day=oldest_day, erased=erased)

    def _cancelled(self) -> End:
        return End(state=State.LOST, failure=LOST) if self._is_closing else End(state=State.CANCELLED)

    async def _tried(self, bundle: Bundle) -> Rules:
        return await try_out(bundle, decision_seconds=TRIAL_DECISION_SECONDS)
