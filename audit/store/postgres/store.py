"""The store of many processes, as the log uses it: a database, and a key folder that all of them see."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TypeVar

import psycopg

from audit.checkpoint import Checkpoint
from audit.errors import AuditUnavailable, SnapshotRefused, StoreError
from audit.keys.ring import KeyRing
from audit.note import VerifierKey
from audit.record import Ticket
from audit.settings import AuditSettings
from audit.store.authenticity import RowAuthenticator
from audit.store.compose import Composer, Job
from audit.store.disk import Disk
from audit.store.port import ClassFigures, StoreReader
from audit.store.postgres import freeing
from audit.store.postgres.announcing import Announcer
from audit.store.postgres.claims import Claims
from audit.store.postgres.connection import Connection, connect, database_url, plan_once, unavailable
from audit.store.postgres.day_view import PostgresDay
from audit.store.postgres.integration import next_number
from audit.store.postgres.integrator import Integrator
from audit.store.postgres.lease import Lease
from audit.store.postgres.opening import Opened, checkpoint_path, open_identity
from audit.store.postgres.reader import Reader
from audit.store.postgres.tickets import open_tickets
from audit.store.postgres.tree_table import prune, thin_checkpoints
from audit.store.postgres.writer import Writer
from audit.store.purges import all_purges
from audit.witness import FileWitness

T = TypeVar("T")

# An auditor's forgotten transaction, or a purge that waits for one, must not hold anything up for long.
_IDLE_READER_SECONDS = 30.0
# How long a failed write is held against the store while nobody tries another.
_HOLD_OFF_SECONDS = 5.0


class PostgresStore:
    """See ``audit.store.port.Store`` for what each method promises."""

    is_snapshot = False

    def __init__(
        self,
        settings: AuditSettings,
        clock: Callable[[], datetime],
        disk: Disk,
        opened: Opened,
        next_seq: int,
    ) -> None:
        """Use ``open``."""
        self._settings = settings
        self._url = database_url(settings)
        self.ring: KeyRing = opened.ring
        self.verifier_key: VerifierKey = opened.identity.verifier_key
        self._claims = Claims()
        composer = Composer(opened.ring, settings.node)
        self._holder = f"{settings.node}/{composer.boot}"
        witness = FileWitness(settings.witness_path, disk) if settings.witness_path else None
        self._announcer = Announcer(checkpoint_path(settings.directory), witness, self.verifier_key, disk)
        self._writer = Writer(
            connect=self._connect_writer,
            composer=composer,
            claims=self._claims,
            next_seq=next_seq,
            check=self._check_writable,
            max_pending=settings.max_pending,
            max_batch=settings.max_batch,
        )
        self._integrator = Integrator(
            settings=settings,
            connect=self._connect_integrator,
            signer=opened.signer,
            authenticate=RowAuthenticator(opened.ring),
            announcer=self._announcer,
            clock=clock,
            holder=self._holder,
            saw_next=self._writer.saw_next,
        )
        self._reader = Reader(
            self._connect_reader,
            threads=settings.database_reader_connections,
            timeout_seconds=settings.read_timeout_seconds,
        )

    @classmethod
    def open(
        cls, settings: AuditSettings, clock: Callable[[], datetime], disk: Disk, *, read_snapshot: bool
    ) -> PostgresStore:
        """Open or create; everything that can refuse has been asked when this returns. Blocks. Raises ``StoreError``,
        ``KeyRefused`` or ``AuditUnavailable``."""
        if read_snapshot:
            raise SnapshotRefused("a database is no snapshot: open the directory that `python -m audit snapshot` made")
        try:
            with _short(settings, "opening") as connection:
                opened = open_identity(settings, connection, disk, clock)
                store = cls(settings, clock, disk, opened, next_number(connection))
            try:
                store._integrator.open()
                store.ring.destroyed.require(store._reader.run_here(all_purges))
            except BaseException:
                store._integrator.disconnect()
                raise
        except psycopg.Error as error:
            raise unavailable(error, "the audit log cannot be opened") from error
        except OSError as error:
            raise AuditUnavailable("the audit log cannot be opened") from error
        return store

    def start(self) -> None:
        self._integrator.start()
        self._writer.start()

    def close(self) -> None:
        self._writer.close()
        self._integrator.close(self._writer.lowest_next)
        self._reader.close()
        self.ring.wipe()

    # -- writing

    def submit(self, job: Job) -> None:
        self._writer.submit(job)

    def claim(self, ticket: Ticket) -> None:
        self._claims.begin(ticket)

    def unclaim(self, ticket: Ticket) -> None:
        self._claims.release(ticket.event_id)

    def open_tickets(self, before: datetime) -> list[Ticket]:
        return [
            ticket
            for ticket in self._ask(open_tickets)
            if ticket.opened_at < before and not self._claims.is_concluding(ticket.event_id)
        ]

    def open_count(self) -> int:
        return len(self._ask(open_tickets))

    # -- the tree

    @property
    def latest(self) -> tuple[Checkpoint, datetime] | None:
        return self._integrator.latest

    def behind(self) -> int:
        return max(0, self._writer.lowest_next - self._integrator.size)

    def prove(self, seqs: Sequence[int]) -> tuple[Checkpoint, list[list[bytes]]]:
        try:
            return self._integrator.prove(seqs)
        except psycopg.Error as error:
            raise StoreError("no proof can be had: the audit database cannot be used") from error

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        return self._integrator.prove_consistency(old_size, new_size)

    def read_tile(self, level: int, index: int) -> bytes:
        return self._integrator.read_tile(level, index)

    # -- reading

    async def read(self, work: Callable[[StoreReader], T]) -> T:
        return await self._reader.run(work)

    # -- retention

    def days(self) -> list[date]:
        return self._reader.run_here(lambda reader: reader.days())

    def count(self, day: date) -> int:
        return self._look(day, PostgresDay.count, 0)

    def class_figures(self, day: date) -> dict[str, ClassFigures]:
        return self._look(day, PostgresDay.class_figures, {})

    def take_in_day(self, day: date) -> None:
        newest = self._ask(lambda connection: freeing.close_day(connection, day))
        if newest >= 0:
            self._take_in(newest)

    def release_day(self, day: date, classes: frozenset[str] | None = None) -> list[Ticket]:
        gone = self._ask(lambda connection: freeing.forget_tickets(connection, day, classes))
        self._claims.drop_day(day, classes)
        if classes is not None:
            self._ask(lambda connection: freeing.open_day(connection, day))
        return gone

    def is_freed(self, day: date, classes: frozenset[str] | None) -> bool:
        return self._ask(lambda connection: freeing.is_freed(connection, day, classes))

    def free(self, day: date, classes: frozenset[str] | None, keep: frozenset[int], at: datetime) -> bool:
        try:
            is_done = self._ask(lambda connection: freeing.free(connection, day, classes, keep, at))
        except AuditUnavailable:
            return False
        if is_done:
            first = self._look(day, PostgresDay.oldest_seq, 0)
            end = self._look(day, PostgresDay.newest_seq, -1) + 1
            with suppress(AuditUnavailable):  # housekeeping: not worth another purge of the day
                self._ask(lambda connection: thin_checkpoints(connection, first, end))
        return is_done

    def first_seq(self, day: date) -> int:
        return self._look(day, PostgresDay.oldest_seq, 0)

    def prune(self, minimum_index: int) -> None:
        self._ask(lambda connection: prune(connection, minimum_index))
        for day in self.days():
            if self.first_seq(day) < minimum_index:
                self._forget_below(day, minimum_index)

    def _forget_below(self, day: date, minimum_index: int) -> None:
        self._ask(lambda connection: freeing.forget_below(connection, day, minimum_index))

    def erase(self, seqs: Sequence[int]) -> None:
        if seqs:
            self._take_in(max(seqs))  # a record without its parts could not be checked any more
            self._ask(lambda connection: freeing.erase(connection, seqs))

    def lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease for this process: at most one process holds it. Blocks. Raises ``AuditUnavailable``."""
        return self._ask(lambda connection: Lease(name, self._holder, seconds).hold(connection)) is not None

    # -- figures

    @property
    def is_writable(self) -> bool:
        return (
            not self._writer.is_closing
            and self._writer.rolled_back is None
            and self._integrator.stopped is None
            and not self._has_just_failed()
            and time.monotonic() - self._integrator.last_contact < self._longest_silence()
        )

    def backlog(self) -> int:
        return self._writer.backlog()

    def free_fraction(self) -> float:
        return 1.0  # the server's disk is not ours to see; a full one refuses writes, which are refused in turn

    def failures(self) -> tuple[int, int, int]:
        return self._writer.failures, self._integrator.failures, self._announcer.failures

    def _has_just_failed(self) -> bool:
        """The newest write failed. A full disk still answers questions: only a write, or some time, takes that back."""
        failed_at = self._writer.failed_at
        if failed_at is None or self._writer.wrote_at > failed_at:
            return False
        return self._integrator.last_contact < failed_at or time.monotonic() - failed_at < _HOLD_OFF_SECONDS

    def _longest_silence(self) -> float:
        return 2 * self._settings.database_lease_seconds + self._settings.database_statement_timeout_seconds

    def _check_writable(self) -> None:
        if self._writer.rolled_back is not None:
            raise AuditUnavailable(str(self._writer.rolled_back))
        if self._integrator.stopped is not None:
            raise AuditUnavailable(f"the audit log is stopped: {self._integrator.stopped}")

    def _take_in(self, seq: int) -> None:
        try:
            self._integrator.cover(seq)
        except StoreError as error:
            raise AuditUnavailable(str(error)) from error

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """On a connection of its own: these are rare, and may wait for locks."""
        try:
            with _short(self._settings, "retention") as connection:
                return question(connection)
        except psycopg.Error as error:
            raise unavailable(error, "the audit database cannot be used") from error

    def _look(self, day: date, read: Callable[[PostgresDay], T], absent: T) -> T:
        def work(reader: StoreReader) -> T:
            view = reader.day(day)
            return read(view) if isinstance(view, PostgresDay) else absent

        return self._reader.run_here(work)

    def _connect_writer(self) -> Connection:
        seconds = self._settings.database_statement_timeout_seconds
        return connect(
            self._url,
            "writer",
            lock_timeout=self._settings.database_lock_timeout_seconds,
            statement_timeout=seconds,
            # A process that stands still with the sequence locked would hold up all others.
            idle_in_transaction_session_timeout=seconds,
        )

    def _connect_integrator(self) -> Connection:
        return connect(
            self._url,
            "integrator",
            lock_timeout=self._settings.database_lock_timeout_seconds,
            statement_timeout=self._settings.database_statement_timeout_seconds,
            # One that stands still with the tree locked would hold up its successor.
            idle_in_transaction_session_timeout=self._settings.database_statement_timeout_seconds,
        )

    def _connect_reader(self) -> Connection:
        connection = connect(
            self._url,
            "reader",
            statement_timeout=self._settings.read_timeout_seconds,
            idle_in_transaction_session_timeout=_IDLE_READER_SECONDS,
        )
        plan_once(connection)
        return connection


def _short(settings: AuditSettings, what_for: str) -> Connection:
    """A connection for one question, to be used in a ``with``."""
    return connect(
        database_url(settings),
        what_for,
        lock_timeout=settings.database_lock_timeout_seconds,
        statement_timeout=10 * settings.database_statement_timeout_seconds,  # a day's sealed parts are copied here
    )
