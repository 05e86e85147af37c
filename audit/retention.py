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

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from audit.errors import AuditUnavailable
from audit.keys.destroyed import PurgeStep
from audit.keys.ring import KeyRing
from audit.record import Entry, RecordRef, Subject
from audit.store.port import Store
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


def days_past_retention(days: Sequence[date], ring: KeyRing, now: datetime, retention_days: int) -> list[date]:
    """Of the store's ``days``, those that are due: too old with records or a key left, or begun and not finished."""
    newest_kept = now.astimezone(UTC).date() - timedelta(days=retention_days)
    finished = {day for day in days if ring.destroyed.steps(day) == set(PurgeStep)}
    with_keys = set(ring.days())  # a key file of a finished day was restored from somewhere: it goes again
    overdue = {day for day in [*days, *with_keys] if day < newest_kept}
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
    """Purges days of one store. ``record`` writes the purge record, given day and number of records."""

    def __init__(self, store: Store, record: Callable[[date, int], Awaitable[RecordRef]]) -> None:
        self._store = store
        self._ring = store.ring
        self._record = record

    async def day(self, day: date, now: datetime) -> PurgeReceipt:
        """Do what is left to do for a day. Raises ``OSError`` or ``AuditError`` if its keys are not destroyed."""
        # Records that are not in the tree yet are checked with the day's keys at the next start: not without them.
        await asyncio.to_thread(self._store.take_in_day, day)
        destroyed = await asyncio.to_thread(self._ring.destroy, day, now)
        await asyncio.to_thread(self._store.release_day, day)
        records = await asyncio.to_thread(self._store.count, day)
        reference = await self._try_record(day, records, now)
        freed = await asyncio.to_thread(self._store.free, day, None, frozenset(), now)
        if freed:
            await asyncio.to_thread(self._mark, day, PurgeStep.FREED, now)
        if reference is None and PurgeStep.RECORDED not in self._ring.destroyed.steps(day):
            reference = await self._try_record(day, records, now)  # the disk was full; now it may not be
        return PurgeReceipt(day=day, keys_destroyed=destroyed, records=records, space_freed=freed, record=reference)

    async def _try_record(self, day: date, records: int, now: datetime) -> RecordRef | None:
        if PurgeStep.RECORDED in self._ring.destroyed.steps(day):
            return None
        try:
            reference = await self._record(day, records)
            self._ring.mark(day, PurgeStep.RECORDED, now)
        except (AuditUnavailable, OSError):
            return None
        return reference

    def _mark(self, day: date, step: PurgeStep, now: datetime) -> None:
        with suppress(OSError):  # noted by the next purge
            self._ring.mark(day, step, now)
