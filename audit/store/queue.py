"""The queue in front of a store: group commit without lingering, and waking whoever waits.

A batch is what queued up while the last one was committing, so one caller alone waits for one fsync, and many callers
share one. Nothing is acknowledged before its commit returned.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from audit.errors import AuditError, AuditUnavailable, ContentDestroyed, EntryInvalid, TicketConcluded, TicketExpired
from audit.record import RecordRef, Ticket, from_micros
from audit.row import Row
from audit.store.compose import Job

_log = logging.getLogger("audit.writer")
T = TypeVar("T")


@dataclass(slots=True)
class _Errand:
    """Something else to do in a writer thread, between two batches."""

    work: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)


class WriteQueue(Generic[T]):
    """Jobs on their way to ``write``, which one or more threads call with a batch and which settles every job in it
    or hands it on.

    ``failed`` is called with the batch if ``write`` raises: a thread must outlive any mistake, for a dead one would
    hang every caller.
    """

    def __init__(
        self,
        write: Callable[[list[T]], None],
        *,
        failed: Callable[[list[T]], None],
        finish: Callable[[], None] = lambda: None,
        max_pending: int,
        max_batch: int,
        threads: int = 1,
        name: str = "audit-writer",
        handed_on: Callable[[], int] = lambda: 0,
    ) -> None:
        """``handed_on`` tells how many wait in a queue behind this one: they count as pending, too."""
        self._write = write
        self._failed = failed
        self._finish = finish
        self._max_pending = max_pending
        self._max_batch = max_batch
        self._handed_on = handed_on
        lock = threading.Lock()
        self._wake = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._jobs: deque[T] = deque()  # guarded by _wake, like the two below
        self._errands: deque[_Errand] = deque()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, job: T) -> None:
        """Queue a job. Raises ``AuditUnavailable`` when full or closed."""
        with self._wake:
            if self._closing:
                raise AuditUnavailable("the audit log is closed")
            if len(self._jobs) + self._handed_on() >= self._max_pending:
                raise AuditUnavailable(f"the audit log is busy: {self._max_pending} records are waiting")
            self._jobs.append(job)
            self._wake.notify()

    def hand_over(self, jobs: Sequence[T]) -> None:
        """Queue jobs that another queue took already, when there is room. Blocks; nothing is refused."""
        with self._wake:
            self._room.wait_for(lambda: len(self._jobs) < self._max_pending)
            self._jobs.extend(jobs)
            self._wake.notify()

    @property
    def is_closing(self) -> bool:
        return self._closing

    def __len__(self) -> int:
        with self._wake:
            return len(self._jobs)

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work`` in a writer thread between two batches. Blocks; does nothing once closing."""
        errand = _Errand(work)
        with self._wake:
            if self._closing:
                return
            self._errands.append(errand)
            self._wake.notify()
        errand.done.wait()

    def close(self) -> None:
        """Write what is queued, then stop. Blocks."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self._finish()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except BaseException:
                _log.exception("audit.writer.failed")
                self._failed(batch)

    def _next_batch(self) -> list[T]:
        with self._wake:
            while True:
                while self._errands:
                    errand = self._errands.popleft()
                    try:
                        errand.work()
                    finally:
                        errand.done.set()
                if self._jobs or self._closing:
                    break
                self._wake.wait()
            self._room.notify_all()
            return [self._jobs.popleft() for _ in range(min(len(self._jobs), self._max_batch))]


Outcome = RecordRef | AuditError


def settle(outcomes: Iterable[tuple[Job, Outcome]]) -> None:
    """Wake the callers: one call into each event loop, however many wait there."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[RecordRef], Outcome]]] = {}
    for job, outcome in outcomes:
        by_loop.setdefault(job.loop, []).append((job.future, outcome))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_apply, settled)
        except RuntimeError:  # the loop is closed: nobody waits any more; the records stand
            _log.warning("audit.caller.gone", extra={"records": len(settled)})


def _apply(settled: Sequence[tuple[asyncio.Future[RecordRef], Outcome]]) -> None:
    for future, outcome in settled:
        if future.done():  # the caller was cancelled meanwhile
            continue
        if isinstance(outcome, AuditError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def refusal(error: Exception, job: Job) -> AuditError:
    """What the caller of a job that could not be composed hears."""
    if isinstance(error, TicketConcluded | EntryInvalid | AuditUnavailable):
        return error
    if isinstance(error, ContentDestroyed) and job.ticket is not None:
        return TicketExpired(f"ticket {job.ticket.event_id} is past retention")
    if isinstance(error, ContentDestroyed):
        return AuditUnavailable(f"the clock says {job.day.isoformat()}, a day that was purged already")
    refused = AuditUnavailable("the record could not be sealed: its day's key or file cannot be used")
    refused.__cause__ = error
    return refused


def reference(job: Job, row: Row) -> RecordRef:
    """Where the row of a job is, for whoever wrote it."""
    return RecordRef(event_id=str(job.event_id), seq=row.seq, phase=job.phase, recorded_at=from_micros(row.recorded_at))


def ticket_of(row: Row) -> Ticket:
    """The ticket that an intent's row stands for."""
    return Ticket(
        event_id=str(uuid.UUID(bytes=row.event_id)),
        seq=row.seq,
        opened_at=from_micros(row.recorded_at),
        tenant=row.tenant,
        class_=row.class_,
        action=row.action,
    )
