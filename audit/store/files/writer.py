"""The one thread that writes records into the day files, and the one before it that seals them.

While a batch is on its way to the disk the next one is sealed, which takes longer than the rest of the work together.
Records keep the order they came in.

When a commit fails, every caller of the batch hears ``AuditUnavailable``. Whether the rows are on disk is then
unknown, so the thread reads the files again before it writes on: rows that are there are taken into the tree (the
sequence stays dense), and their intents show up as open tickets. Callers are never told later that it worked.
"""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from audit.errors import AuditError, AuditUnavailable, EntryInvalid, TicketConcluded
from audit.record import Phase
from audit.row import Row
from audit.store.compose import Composer, Job, Prepared
from audit.store.disk import Disk
from audit.store.files.day_file import DayFile
from audit.store.files.layout import Layout
from audit.store.files.recovery import read_new_rows
from audit.store.queue import WriteQueue, reference, refusal, settle, ticket_of
from audit.tickets import OpenTickets

_log = logging.getLogger("audit.writer")
_OPEN_FILES = 2  # today's, and yesterday's around midnight
# So few that the disk has something to do while the rest of a crowd is sealed, so many that each commit has a crowd.
_SEALED_AT_A_TIME = 32

Authenticate = Callable[[Row], None]
_Sealed = tuple[Job, Prepared | Exception]


class Writer:
    """Owns the sequence numbers and the day files. ``on_durable`` is called in this thread, in order of ``seq``."""

    def __init__(
        self,
        *,
        layout: Layout,
        disk: Disk,
        composer: Composer,
        authenticate: Authenticate,
        tickets: OpenTickets,
        next_seq: int,
        on_durable: Callable[[Sequence[Row]], None],
        max_pending: int,
        max_batch: int,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._composer = composer
        self._authenticate = authenticate
        self._tickets = tickets
        self._next_seq = next_seq
        self._on_durable = on_durable
        self._files: dict[date, DayFile] = {}  # owned by the thread
        self._paused: set[date] = set()  # days whose files are being replaced; owned by the thread
        self._in_doubt: set[date] = set()  # days whose files must be read again; owned by the thread
        self.failures = 0
        self._queue: WriteQueue[_Sealed] = WriteQueue(
            self._write, failed=self._crashed, finish=self._close_files, max_pending=max_batch, max_batch=max_batch
        )
        self._unsealed: WriteQueue[Job] = WriteQueue(
            self._seal,
            failed=lambda jobs: self._refuse(jobs, AuditUnavailable("the audit log failed")),
            max_pending=max_pending,
            max_batch=min(_SEALED_AT_A_TIME, max_batch),
            name="audit-sealer",
            handed_on=self._queue.__len__,
        )

    def start(self) -> None:
        self._queue.start()
        self._unsealed.start()

    def submit(self, job: Job) -> None:
        """Queue a job. Raises ``AuditUnavailable`` when full or closed."""
        self._unsealed.submit(job)

    def close(self) -> None:
        """Write what is queued, then stop. Blocks."""
        self._unsealed.close()
        self._queue.close()

    @property
    def is_open(self) -> bool:
        """False once closing, and while a failed write could not be cleared up."""
        return not self._unsealed.is_closing and not self._in_doubt

    def backlog(self) -> int:
        """Records waiting to be written."""
        return len(self._unsealed) + len(self._queue)

    def release(self, day: date) -> None:
        """Close a day's file if it is open, because it is about to be replaced. Blocks until done."""
        self._queue.run(lambda: self._close_file(day))

    def pause_day(self, day: date) -> None:
        """Close a day's file and refuse records of that day until ``resume_day``. Blocks until done."""
        self._queue.run(lambda: self._pause(day))

    def resume_day(self, day: date) -> None:
        """Take records of that day again. Blocks until done."""
        self._queue.run(lambda: self._paused.discard(day))

    def _pause(self, day: date) -> None:
        self._paused.add(day)
        self._close_file(day)

    def _close_file(self, day: date) -> None:
        file = self._files.pop(day, None)
        if file is not None:
            file.close()

    def _close_files(self) -> None:
        for day in list(self._files):
            self._close_file(day)

    def _seal(self, jobs: list[Job]) -> None:
        """In the sealing thread. What is wrong with one record is told when its turn comes."""
        self._queue.hand_over([(job, self._prepare(job)) for job in jobs])

    def _prepare(self, job: Job) -> Prepared | Exception:
        try:
            return self._composer.prepare(job)
        except Exception as error:
            return error

    def _crashed(self, batch: list[_Sealed]) -> None:
        self.failures += 1
        self._in_doubt.update(job.day for job, _ in batch)
        self._refuse([job for job, _ in batch], AuditUnavailable("the audit log failed"))

    def _write(self, batch: list[_Sealed]) -> None:
        by_day: dict[date, list[_Sealed]] = {}
        for sealed in batch:
            by_day.setdefault(sealed[0].day, []).append(sealed)
        # One transaction for each file, in the order of their sequence numbers: if a later one fails, what is lost is
        # the end of the sequence, never its middle.
        for day in sorted(by_day):
            jobs = [job for job, _ in by_day[day]]
            if day in self._paused:  # past its shortest retention: late outcomes at most
                self._refuse(jobs, AuditUnavailable(f"{day.isoformat()} is being purged; try again in a minute"))
                continue
            if self._in_doubt and not self._recover():
                self._refuse(jobs, AuditUnavailable("the audit log cannot be written"))
                continue
            self._write_day(day, by_day[day])

    def _write_day(self, day: date, batch: list[_Sealed]) -> None:
        rows: list[Row] = []
        written: list[Job] = []
        for job, prepared in batch:
            try:
                if job.ticket is not None and job.ticket.event_id not in self._tickets:
                    # Two outcomes were in flight, or an earlier one turned out to be on disk after all.
                    raise TicketConcluded(f"ticket {job.ticket.event_id} is not open")
                if job.is_foreign_id:
                    self._check_unused(job, written)
                if isinstance(prepared, Exception):
                    raise prepared
                rows.append(self._composer.finish(prepared, self._next_seq + len(rows)))
                written.append(job)
            except Exception as error:  # whatever is wrong with one record, the others of the batch go on
                if not isinstance(error, AuditError):
                    _log.error("audit.compose.failed", extra={"cause": type(error).__name__})
                    self.failures += 1
                self._refuse([job], refusal(error, job))
        if not rows:
            return
        try:
            self._file(day).write(rows)
        except (sqlite3.Error, OSError, AuditError) as error:
            _log.error("audit.write.failed", extra={"day": day.isoformat(), "records": len(rows), "cause": str(error)})
            self.failures += 1
            self._in_doubt.add(day)
            self._recover()
            self._refuse(written, AuditUnavailable("the record could not be written"))
            return
        self._took(rows)
        settle((job, reference(job, row)) for job, row in zip(written, rows, strict=True))

    def _check_unused(self, job: Job, written: Sequence[Job]) -> None:
        # Here, not at the commit: there one caller's mistake would fail everybody in the batch.
        if any(other.event_id == job.event_id for other in written) or self._file(job.day).has_event(
            job.event_id.bytes
        ):
            raise EntryInvalid(f"event id {job.event_id} was used before")

    def _took(self, rows: Sequence[Row]) -> None:
        """Rows are durable: count them, keep the tickets, hand the leaves to the tree."""
        self._next_seq = rows[-1].seq + 1
        for row in rows:
            if row.phase == Phase.INTENT:
                self._tickets.opened(ticket_of(row))
            elif row.phase == Phase.OUTCOME:
                self._tickets.concluded(str(uuid.UUID(bytes=row.event_id)))
        self._on_durable(rows)

    def _recover(self) -> bool:
        """Find out what a failed write left behind. False while the files still cannot be read."""
        if self._in_doubt & self._paused:
            return False  # what is read now may be replaced in the next moment
        for day in self._in_doubt:
            file = self._files.pop(day, None)
            if file is not None:
                file.close()
        try:
            days = [day for day in sorted(self._in_doubt) if self._layout.day_path(day).exists()]
            rows = read_new_rows(self._layout, days, self._next_seq, self._authenticate)
            for day in days:
                self._file(day)  # can it be written again?
        except (sqlite3.Error, OSError, AuditError) as error:
            _log.error("audit.recovery.failed", extra={"cause": str(error)})
            return False
        if rows:
            _log.warning("audit.recovery.found", extra={"records": len(rows)})
            self._took(rows)
        self._in_doubt.clear()
        return True

    def _file(self, day: date) -> DayFile:
        if day not in self._files:
            while len(self._files) >= _OPEN_FILES:
                self._files.pop(min(self._files)).close()
            self._files[day] = DayFile(self._layout.day_path(day), day, self._disk)
        return self._files[day]

    def _refuse(self, jobs: Iterable[Job], error: AuditError) -> None:
        jobs = list(jobs)
        for job in jobs:
            if job.ticket is not None:
                self._tickets.release(job.ticket.event_id)
        settle((job, error) for job in jobs)
