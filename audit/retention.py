"""Day 30: keys first, then space.

A day is past retention once it is more than ``retention_days`` whole days old (UTC): a record stays readable for at
least that many days and at most one more. For each such day, oldest first:

1. the day goes on the durable list of destroyed days, its key files are overwritten and unlinked: from here on nobody
   can read content, subjects or the blind index, with the database, its backups and its WAL in hand;
2. a purge record that names the day becomes durable in the log, so that ``verify`` knows that what is missing was
   meant to go;
3. the day file is replaced by one without ciphertexts, tokens and salts. Envelopes, digests, commitments and leaves
   stay: every proof verifies as before.

Each step is noted on the list, so a purge that a crash or a full disk cut short is finished by the next one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from audit.errors import AuditUnavailable
from audit.keys.destroyed import PurgeStep
from audit.keys.ring import KeyRing
from audit.record import Entry, RecordRef, Subject, Ticket
from audit.store.files.day_file import DayReader, write_residue
from audit.store.disk import Disk
from audit.store.files.integrator import Integrator
from audit.store.files.layout import Layout
from audit.vocabulary import LogEvent, LogReason

_SYSTEM = Subject(actor="system:retention", display="retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeReceipt:
    """What was done about one day in one call."""

    day: date
    keys_destroyed: int  # files of this call; 0 if an earlier one had destroyed them
    records: int  # in the day file
    space_freed: bool  # False if something still reads the old file, or the disk refused: the next purge tries again
    record: RecordRef | None  # the purge record; None if the log could not be written (the next purge tries again)


def days_past_retention(layout: Layout, ring: KeyRing, now: datetime, retention_days: int) -> list[date]:
    """Days that are due: too old with a file or a key left, or begun and not finished."""
    newest_kept = now.astimezone(UTC).date() - timedelta(days=retention_days)
    finished = {day for day in layout.days() if ring.destroyed.steps(day) == set(PurgeStep)}
    with_keys = set(ring.days())  # a key file of a finished day was restored from somewhere: it goes again
    overdue = {day for day in [*layout.days(), *with_keys] if day < newest_kept}
    return sorted((overdue - (finished - with_keys)) | set(ring.destroyed.unfinished()))


def purge_entry(day: date, records: int, tenant: str) -> Entry:
    """What the log says about the purge of a day."""
    return Entry(
        action=LogEvent.PURGE,
        subject=_SYSTEM,
        tenant=tenant,
        effect="allow",
        reasons=(LogReason.RETENTION_EXPIRED,),
        content={"day": day.isoformat(), "records": records},
    )


class Purge:
    """Purges days of one store. ``record`` writes the purge record; ``release_day`` drops what holds a day open."""

    def __init__(
        self,
        *,
        layout: Layout,
        ring: KeyRing,
        disk: Disk,
        record: Callable[[date, int], Awaitable[RecordRef]],
        integrator: Integrator,
        release_day: Callable[[date], Awaitable[Sequence[Ticket]]],
        run: Callable[[Callable[[], int]], Awaitable[int]],
    ) -> None:
        self._layout = layout
        self._ring = ring
        self._disk = disk
        self._record = record
        self._integrator = integrator
        self._release_day = release_day
        self._run = run

    async def day(self, day: date, now: datetime) -> PurgeReceipt:
        """Do what is left to do for a day. Raises ``OSError`` or ``sqlite3.Error`` if its keys are not destroyed."""
        await self._run(lambda: self._take_in_day(day))
        destroyed = await self._run(lambda: self._ring.destroy(day, now))
        await self._release_day(day)
        path = self._layout.day_path(day)
        records = count_records(path, day)
        reference = await self._try_record(day, records, now)
        freed = bool(await self._run(lambda: int(self._free(day, now))))
        await self._release_day(day)  # a search may have opened the old file meanwhile, and would keep its space
        if reference is None and PurgeStep.RECORDED not in self._ring.destroyed.steps(day):
            reference = await self._try_record(day, records, now)  # the disk was full; now it may not be
        return PurgeReceipt(day=day, keys_destroyed=destroyed, records=records, space_freed=freed, record=reference)

    def _take_in_day(self, day: date) -> int:
        """Records that are not in the tree yet are checked with the day's keys at the next start: not without them."""
        newest = seq_range(self._layout.day_path(day), day)[1] - 1
        self._integrator.take_in(newest)
        return newest

    async def _try_record(self, day: date, records: int, now: datetime) -> RecordRef | None:
        if PurgeStep.RECORDED in self._ring.destroyed.steps(day):
            return None
        try:
            reference = await self._record(day, records)
            self._ring.mark(day, PurgeStep.RECORDED, now)
        except (AuditUnavailable, OSError):
            return None
        return reference

    def _free(self, day: date, now: datetime) -> bool:
        path = self._layout.day_path(day)
        if not path.exists():
            self._ring.mark(day, PurgeStep.FREED, now)
            return True
        fresh = path.with_name(path.name + ".purged")
        try:
            if not is_purged(path, day):
                leave_wal_mode(path)
                write_residue(path, fresh, day, now)
                self._disk.replace(fresh, path)
            self._ring.mark(day, PurgeStep.FREED, now)
        except (sqlite3.OperationalError, OSError):
            fresh.unlink(missing_ok=True)
            return False
        with suppress(sqlite3.OperationalError, OSError):  # housekeeping: not worth another purge of the day
            self._integrator.thin_checkpoints(*seq_range(path, day))
        return True


def leave_wal_mode(path: Path) -> None:
    """Fold the WAL into the file and drop it. Raises ``sqlite3.OperationalError`` while anybody has the file open:
    a WAL left behind would be taken for the new file's."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
    try:
        mode = connection.execute("pragma journal_mode=delete").fetchone()[0]
        if mode != "delete":
            raise sqlite3.OperationalError("the day file is being read")
    finally:
        connection.close()


def count_records(path: Path, day: date) -> int:
    """Records in a day file; 0 if there is none."""
    if not path.exists():
        return 0
    reader = DayReader(path, day)
    try:
        return reader.count()
    finally:
        reader.close()


def seq_range(path: Path, day: date) -> tuple[int, int]:
    """First record of a day file, and the one after its last; equal if there is none."""
    if not path.exists():
        return 0, 0
    reader = DayReader(path, day)
    try:
        return reader.oldest_seq(), reader.newest_seq() + 1
    finally:
        reader.close()


def is_purged(path: Path, day: date) -> bool:
    reader = DayReader(path, day)
    try:
        return reader.purged_at() is not None
    finally:
        reader.close()
