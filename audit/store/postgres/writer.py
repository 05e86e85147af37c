"""The threads of one process that write records, each through a connection of its own.

While one batch waits for the sequence or its commit, the other thread seals the next. When the connection breaks or a
statement fails, every caller of the batch hears ``AuditUnavailable``; whether the rows are there is then unknown, and
the integrator takes in what it finds, like any other record. Callers are never told later that it worked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date

import psycopg

from audit.errors import AuditError, AuditUnavailable, EntryInvalid, StoreError, StoreRolledBack, TicketConcluded
from audit.record import Phase, Ticket
from audit.row import Row
from audit.store.compose import Composer, Job, Prepared
from audit.store.postgres.batch import AlreadyThere, CannotFinish, DaysMoved, commit_batch, find_used
from audit.store.postgres.claims import Claims
from audit.store.postgres.connection import Connection, check_durability, describe, execute, has_news, unavailable
from audit.store.postgres.tables import make_tables, record_table
from audit.store.postgres.tickets import ticket_from
from audit.store.queue import WriteQueue, reference, refusal, settle, ticket_of

_log = logging.getLogger("audit.writer")

THREADS = 2
# A batch that others change the ground of (a day closed and opened, an event id used) is tried again this often.
_TRIES = 5


class Writer:
    """Writes batches. ``connect`` opens a connection for writing; ``check`` raises if nothing may be written."""

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        composer: Composer,
        claims: Claims,
        next_seq: int,
        check: Callable[[], None],
        max_pending: int,
        max_batch: int,
    ) -> None:
        self._connect = connect
        self._composer = composer
        self._claims = claims
        self._check = check
        self._lock = threading.Lock()  # guards the four below
        self._lowest_next = next_seq
        self._generations: dict[date, int] = {}
        self._scopes: set[tuple[date, str]] = set()
        self.failures = 0
        self.failed_at: float | None = None  # monotonic; of the newest failure
        self.wrote_at = 0.0  # monotonic; of the newest batch that is durable
        self.rolled_back: StoreRolledBack | None = None  # for good: nothing is written on an older database
        self._own = threading.local()  # .connection, one a thread
        self._connections: list[Connection] = []
        self._queue: WriteQueue[Job] = WriteQueue(
            self._write,
            failed=self._crashed,
            finish=self._disconnect_all,
            max_pending=max_pending,
            max_batch=max_batch,
            threads=THREADS,
        )

    def start(self) -> None:
        self._queue.start()

    def submit(self, job: Job) -> None:
        """Queue a job. Raises ``AuditUnavailable`` when full, closed, or stopped."""
        self._check()
        self._queue.submit(job)

    def close(self) -> None:
        """Write what is queued, then stop. Blocks."""
        self._queue.close()

    @property
    def is_closing(self) -> bool:
        return self._queue.is_closing

    @property
    def lowest_next(self) -> int:
        """The next sequence number is at least this."""
        return self._lowest_next

    def backlog(self) -> int:
        """Records waiting to be written."""
        return len(self._queue)

    def saw_next(self, next_seq: int) -> None:
        """Somebody read the sequence: it never goes back."""
        with self._lock:
            self._lowest_next = max(self._lowest_next, next_seq)

    def _crashed(self, batch: list[Job]) -> None:
        self._failed()
        self._disconnect()
        self._refuse(batch, AuditUnavailable("the audit log failed"))

    def _write(self, batch: list[Job]) -> None:
        left: list[Job] = batch
        try:
            self._check()
            connection = self._connection()
            left = self._admit(connection, left)
            for _ in range(_TRIES):
                if not left:
                    return
                left = self._try(connection, left)
            self._refuse(left, AuditUnavailable("the record could not be written: the day it belongs to is changing"))
        except psycopg.Error as error:
            self._failed()
            _log.error("audit.write.failed", extra={"records": len(left), "cause": describe(error)})
            self._disconnect()
            self._refuse(left, unavailable(error, "the record could not be written"))
        except AuditUnavailable as error:
            self._refuse(left, error)
        except StoreError as error:
            self._failed()
            if isinstance(error, StoreRolledBack):
                self.rolled_back = error
            _log.error("audit.write.refused", extra={"records": len(left), "cause": str(error)})
            refused = AuditUnavailable(str(error))
            refused.__cause__ = error
            self._refuse(left, refused)

    def _try(self, connection: Connection, jobs: list[Job]) -> list[Job]:
        """Write what can be written now; returns the jobs to try again."""
        batch = self._prepare(connection, jobs)
        if not batch:
            return []
        try:
            rows = commit_batch(connection, self._composer, batch, self._generations, self._lowest_next)
        except DaysMoved:
            return self._look_at_days(connection, batch)
        except CannotFinish as error:
            self._refuse([error.prepared.job], refusal(error.cause, error.prepared.job))
            return [prepared.job for prepared in batch if prepared is not error.prepared]
        except AlreadyThere:
            return self._refuse_used(connection, batch)
        self._took(rows)
        settle((prepared.job, reference(prepared.job, row)) for prepared, row in zip(batch, rows, strict=True))
        return []

    def _prepare(self, connection: Connection, jobs: Sequence[Job]) -> list[Prepared]:
        """Seal, and make the tables that are lacking; whatever is wrong with one record, the others go on."""
        batch: list[Prepared] = []
        for job in jobs:
            try:
                batch.append(self._composer.prepare(job))
            except Exception as error:
                if not isinstance(error, AuditError):
                    _log.error("audit.compose.failed", extra={"cause": type(error).__name__})
                    self.failures += 1
                self._refuse([job], refusal(error, job))
        wanted = {(prepared.job.day, prepared.job.entry.class_) for prepared in batch}
        if not wanted <= self._scopes:
            make_tables(connection, sorted(wanted - self._scopes))
            self._read_generations(connection, [day for day, _ in wanted])
            with self._lock:
                self._scopes |= wanted
        return batch

    def _admit(self, connection: Connection, batch: list[Job]) -> list[Job]:
        """Refuse outcomes without an open intent, and event ids that come twice in the batch."""
        admitted: list[Job] = []
        foreign: list[Job] = []
        seen: set[bytes] = set()
        for job in batch:
            if job.ticket is not None:
                (admitted if self._claims.is_own(job.ticket) else foreign).append(job)
            elif job.event_id.bytes in seen:
                self._refuse([job], EntryInvalid(f"event id {job.event_id} was used before"))
            else:
                seen.add(job.event_id.bytes)
                admitted.append(job)
        if not foreign:
            return admitted
        open_tickets = self._look_up([job.ticket for job in foreign if job.ticket is not None], connection)
        for job in foreign:
            if job.ticket in open_tickets:
                admitted.append(job)
            else:
                self._refuse([job], TicketConcluded(f"ticket {job.event_id} is not open"))
        return admitted

    def _look_up(self, tickets: Sequence[Ticket], connection: Connection) -> list[Ticket]:
        """Those that the database knows as they are, without an outcome."""
        found: list[Ticket] = []
        for day in {ticket.day for ticket in tickets}:
            known = connection.execute("select 1 from audit.day where day = %s", [day.isoformat()]).fetchone()
            if known is None:
                continue
            rows = execute(
                connection,
                f"select seq, event_id, recorded_at, tenant, class_, action from {record_table(day)} i"  # noqa: S608
                " where seq = any(%s::bigint[]) and phase = 'intent' and octet_length(event_id) = 16 and not exists"
                f" (select from {record_table(day)} o where o.head_seq = i.seq and o.phase = 'outcome')",
                [[ticket.seq for ticket in tickets if ticket.day == day]],
            )
            found += [ticket_from(*values) for values in rows]
        return found

    def _look_at_days(self, connection: Connection, batch: Sequence[Prepared]) -> list[Job]:
        """A purge closed some days meanwhile: refuse those records that came too late, prepare the others anew."""
        closed = self._read_generations(connection, {prepared.job.day for prepared in batch})
        for prepared in batch:
            day = prepared.job.day
            if day in closed:
                error = AuditUnavailable(f"{day.isoformat()} is being purged; try again in a minute")
                self._refuse([prepared.job], error)
        return [prepared.job for prepared in batch if prepared.job.day not in closed]

    def _read_generations(self, connection: Connection, days: Iterable[date]) -> set[date]:
        """Remember the newest state of days; returns those that are closed."""
        wanted = [day.isoformat() for day in days]
        rows = connection.execute(
            "select day, generation, is_closed from audit.day where day = any(%s)", [wanted]
        ).fetchall()
        with self._lock:
            self._generations.update({date.fromisoformat(day): generation for day, generation, _ in rows})
        return {date.fromisoformat(day) for day, _, is_closed in rows if is_closed}

    def _refuse_used(self, connection: Connection, batch: Sequence[Prepared]) -> list[Job]:
        """Somebody else was first with some of these; the others are written after all."""
        used = {id(prepared) for prepared in find_used(connection, batch)}
        for prepared in batch:
            if id(prepared) not in used:
                continue
            job = prepared.job
            if job.ticket is None:
                self._refuse([job], EntryInvalid(f"event id {job.event_id} was used before"))
            else:
                self._claims.concluded(job.ticket.event_id)
                self._refuse([job], TicketConcluded(f"ticket {job.ticket.event_id} is not open"))
        return [prepared.job for prepared in batch if id(prepared) not in used]

    def _took(self, rows: Sequence[Row]) -> None:
        """Rows are durable: keep the tickets."""
        self.wrote_at = time.monotonic()
        self.saw_next(rows[-1].seq + 1)
        for row in rows:
            if row.phase == Phase.INTENT:
                self._claims.opened(ticket_of(row))
            elif row.phase == Phase.OUTCOME:
                self._claims.concluded(ticket_of(row).event_id)

    def _refuse(self, jobs: Iterable[Job], error: AuditError) -> None:
        jobs = list(jobs)
        for job in jobs:
            if job.ticket is not None:
                self._claims.release(job.ticket.event_id)
        settle((job, error) for job in jobs)

    def _failed(self) -> None:
        self.failures += 1
        self.failed_at = time.monotonic()

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None and not connection.closed and has_news(connection):
            connection.close()  # ended by the server while nothing was asked: no batch has to fail for that
        if connection is None or connection.closed:
            connection = self._connect()
            check_durability(connection)
            self._own.connection = connection
            with self._lock:
                self._connections = [one for one in self._connections if not one.closed] + [connection]
        return connection

    def _disconnect(self) -> None:
        """The next batch begins with a fresh connection, and looks at the tables again."""
        with self._lock:
            self._scopes.clear()
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _disconnect_all(self) -> None:
        for connection in self._connections:
            with suppress(psycopg.Error):
                connection.close()
