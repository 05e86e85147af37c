"""The store on one machine, as the log uses it: a directory that one process writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TypeVar

from audit.checkpoint import Checkpoint
from audit.errors import AuditUnavailable, StoreError
from audit.keys.ring import KeyRing
from audit.note import VerifierKey
from audit.record import Ticket
from audit.settings import AuditSettings
from audit.store.compose import Composer, Job
from audit.store.disk import Disk
from audit.store.files.day_file import DayReader, forget_below
from audit.store.files.erasing import erasable, erase_records
from audit.store.files.integrator import Integrator
from audit.store.files.layout import Layout, StoreLock
from audit.store.files.opening import OpenedStore, open_store
from audit.store.files.reader import Reader
from audit.store.files.residue import leave_wal_mode, write_residue
from audit.store.files.writer import Writer
from audit.store.port import ClassFigures, StoreReader
from audit.witness import FileWitness

T = TypeVar("T")


class FilesStore:
    """See ``audit.store.port.Store`` for what each method promises."""

    def __init__(
        self, settings: AuditSettings, clock: Callable[[], datetime], disk: Disk, lock: StoreLock, opened: OpenedStore
    ) -> None:
        """Use ``open``."""
        self._settings = settings
        self._disk = disk
        self._lock = lock
        self._layout = Layout(settings.directory)
        self._tickets = opened.tickets
        self.ring: KeyRing = opened.ring
        self.is_snapshot = opened.identity.snapshot_taken_at is not None
        self.verifier_key: VerifierKey = opened.identity.verifier_key
        self._integrator = Integrator(
            layout=self._layout,
            disk=disk,
            file=opened.tree,
            signer=opened.signer,
            witness=FileWitness(settings.witness_path, disk) if settings.witness_path else None,
            latest=opened.latest,
            is_witnessed=opened.is_witnessed,
            clock=clock,
            interval_seconds=settings.checkpoint_interval_seconds,
        )
        self._integrator.add(opened.new_rows)
        self._writer = Writer(
            layout=self._layout,
            disk=disk,
            composer=Composer(opened.ring, settings.node),
            authenticate=opened.authenticate,
            tickets=opened.tickets,
            next_seq=opened.next_seq,
            on_durable=self._integrator.add,
            max_pending=settings.max_pending,
            max_batch=settings.max_batch,
        )
        self._reader = Reader(self._layout, settings.read_timeout_seconds)
        # What each day file said of its purges, and the state of the file when it did.
        self._purges: dict[date, tuple[tuple[int, int, int], frozenset[str | None]]] = {}

    @classmethod
    def open(
        cls, settings: AuditSettings, clock: Callable[[], datetime], disk: Disk, *, read_snapshot: bool
    ) -> FilesStore:
        """Open or create; everything that can refuse has been asked when this returns, and the newest checkpoint is
        signed. Blocks. Raises ``StoreError``, ``KeyRefused`` or ``AuditUnavailable``."""
        layout = Layout(settings.directory)
        layout.make_folders()
        lock = StoreLock(layout.lock)
        try:
            opened = open_store(settings, layout, disk, clock, read_snapshot=read_snapshot)
            try:
                store = cls(settings, clock, disk, lock, opened)
                store._integrator.advance()
            except BaseException:
                opened.tree.close()
                raise
        except (sqlite3.Error, OSError) as error:
            lock.release()
            raise AuditUnavailable("the audit log cannot be opened") from error
        except BaseException:
            lock.release()
            raise
        return store

    def start(self) -> None:
        self._integrator.start()
        self._writer.start()

    def close(self) -> None:
        self._writer.close()
        self._integrator.close()
        self._reader.close()
        self.ring.wipe()
        self._lock.release()

    def submit(self, job: Job) -> None:
        self._writer.submit(job)

    def claim(self, ticket: Ticket) -> None:
        self._tickets.begin(ticket)

    def unclaim(self, ticket: Ticket) -> None:
        self._tickets.release(ticket.event_id)

    def open_tickets(self, before: datetime) -> list[Ticket]:
        return self._tickets.opened_before(before)

    def open_count(self) -> int:
        return len(self._tickets)

    @property
    def latest(self) -> tuple[Checkpoint, datetime] | None:
        return self._integrator.latest

    def behind(self) -> int:
        return self._integrator.behind()

    def prove(self, seqs: Sequence[int]) -> tuple[Checkpoint, list[list[bytes]]]:
        try:
            return self._integrator.prove(seqs)
        except (sqlite3.Error, OSError) as error:
            raise StoreError("no checkpoint can be signed: the disk of the audit log fails or is full") from error

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        return self._integrator.prove_consistency(old_size, new_size)

    def read_tile(self, level: int, index: int) -> bytes:
        return self._integrator.read_tile(level, index)

    async def read(self, work: Callable[[StoreReader], T]) -> T:
        return await self._reader.run(work)

    def days(self) -> list[date]:
        return self._layout.days()

    def count(self, day: date) -> int:
        return self._look(day, DayReader.count, 0)

    def take_in_day(self, day: date) -> None:
        self._writer.pause_day(day)
        self._integrator.take_in(self._look(day, DayReader.newest_seq, -1))

    def class_figures(self, day: date) -> dict[str, ClassFigures]:
        return self._look(day, DayReader.class_figures, {})

    def release_day(self, day: date, classes: frozenset[str] | None = None) -> list[Ticket]:
        gone = self._tickets.drop_day(day, classes)
        if gone:
            self._integrator.drop_tickets(gone)
        self._close_day(day)
        self._writer.resume_day(day)
        return gone

    def is_freed(self, day: date, classes: frozenset[str] | None) -> bool:
        path = self._layout.day_path(day)
        try:
            status = path.stat()
        except FileNotFoundError:
            return True
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._purges.get(day)
        if known is None or known[0] != seen:
            known = self._purges[day] = (seen, self._look(day, _purged_classes, frozenset()))
        return None in known[1] or (classes is not None and classes <= known[1])

    def free(self, day: date, classes: frozenset[str] | None, keep: frozenset[int], at: datetime) -> bool:
        path = self._layout.day_path(day)
        if self.is_freed(day, classes):
            nothing: frozenset[int] = frozenset()
            if self._look(day, lambda reader: reader.sealed_seqs(classes), nothing) <= keep:
                return True
        fresh = path.with_name(path.name + ".purged")
        self._writer.pause_day(day)  # a record that came while the file is copied would be lost with the old one
        try:
            self._reader.forget(day)
            leave_wal_mode(path)
            write_residue(path, fresh, classes, keep, at, self._disk)
            self._disk.replace(fresh, path)
        except (sqlite3.OperationalError, OSError):
            fresh.unlink(missing_ok=True)
            return False
        finally:
            self._writer.resume_day(day)
        self._reader.forget(day)  # a search may have opened the old file meanwhile, and would keep its space
        with suppress(sqlite3.OperationalError, OSError):  # housekeeping: not worth another purge of the day
            first = self._look(day, DayReader.oldest_seq, 0)
            self._integrator.thin_checkpoints(first, self._look(day, DayReader.newest_seq, -1) + 1)
        return True

    def first_seq(self, day: date) -> int:
        return self._look(day, DayReader.oldest_seq, 0)

    def prune(self, minimum_index: int) -> None:
        self._integrator.prune(minimum_index)
        for day in self._layout.days():
            if self._look(day, DayReader.count, 0) == 0 or self.first_seq(day) >= minimum_index:
                continue
            self._close_day(day)
            path = self._layout.day_path(day)
            if self._look(day, DayReader.newest_seq, -1) < minimum_index:
                path.unlink()
                self._disk.sync_folder(path.parent)
            else:
                forget_below(path, minimum_index, self._disk)

    def erase(self, seqs: Sequence[int]) -> None:
        if not seqs:
            return
        try:
            self._integrator.take_in(max(seqs))  # a record without its parts could not be checked any more
        except (sqlite3.Error, OSError) as error:
            raise AuditUnavailable("the tree cannot be written: erase again") from error
        for day in self._layout.days():
            try:
                nothing: list[int] = []
                there = self._look(day, lambda reader: erasable(reader, seqs), nothing)
                if there:
                    erase_records(self._layout.day_path(day), day, there, self._disk)
            except (sqlite3.Error, OSError) as error:
                raise AuditUnavailable(f"records of {day.isoformat()} could not be erased: erase again") from error

    def lease(self, name: str, seconds: float) -> bool:
        return True  # nobody else has the directory open

    @property
    def is_writable(self) -> bool:
        return self._writer.is_open

    def backlog(self) -> int:
        return self._writer.backlog()

    def free_fraction(self) -> float:
        return self._disk.free_fraction(self._settings.directory)

    def failures(self) -> tuple[int, int, int]:
        return self._writer.failures, self._integrator.failures, self._integrator.witness_failures

    def _close_day(self, day: date) -> None:
        self._writer.release(day)
        self._reader.forget(day)

    def _look(self, day: date, read: Callable[[DayReader], T], absent: T) -> T:
        path = self._layout.day_path(day)
        if not path.exists():
            return absent
        reader = DayReader(path, day)
        try:
            return read(reader)
        finally:
            reader.close()


def _purged_classes(reader: DayReader) -> frozenset[str | None]:
    return frozenset(reader.purges())
