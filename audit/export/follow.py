"""Following a log: covered records in the order of the sequence, at least once each, without a gap.

Only records that a signed checkpoint covers are handed out: what a SIEM holds can be proven against the log, and a log
rolled back behind what was handed out is found by its followers. A record purged meanwhile is handed out too, without
its person.

A follower trusts the store no more than a verifier does. It stops, with ``StoreDamaged``, at a record that is missing
below the checkpoint, at one that does not give the leaf that the tree has for it, and, going on after a pause, if the
last record it took has another leaf now. With ``StoreRolledBack``, if the log ends before the cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime

from audit.errors import StoreDamaged, StoreRolledBack
from audit.export.cursor import Cursor
from audit.export.record import ExportRecord, export_record
from audit.export.source import Covered, FollowSource, Stretch
from audit.row import Row, leaf_of

# Called before the first record is read, and again when a new UTC day begins; returns when the access is durable.
RecordAccess = Callable[[Cursor], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to hand over together, and where to go on once they were accepted. Without records if all were of other
    tenants."""

    records: tuple[ExportRecord, ...]
    cursor: Cursor
    last_leaf: bytes  # leaf of the last record before the cursor


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a follower is behind the newest checkpoint."""

    records: int
    seconds: float  # age of the oldest covered record that was not taken; 0 if there is none


class Follow:
    """Reads one log from a cursor on. One caller at a time."""

    def __init__(
        self,
        source: FollowSource,
        cursor: Cursor,
        *,
        clock: Callable[[], datetime],
        last_leaf: bytes | None = None,
        record_access: RecordAccess | None = None,
        tenants: Collection[str] = (),
    ) -> None:
        """``last_leaf`` is that of the record before the cursor, if the follower kept it: see the module's page.

        ``record_access`` is None only where no record can be written and no person is opened: beside a log that
        another process has open. Of other tenants than ``tenants`` (none: all) nothing is opened or handed out; their
        records are checked all the same, and the cursor goes past them.
        """
        self._source = source
        self._cursor = cursor
        self._clock = clock
        self._last_leaf = last_leaf
        self._record_access = record_access
        self._tenants = frozenset(tenants)
        self._recorded_day: date | None = None

    @property
    def cursor(self) -> Cursor:
        return self._cursor

    async def next_batch(self, limit: int) -> Batch | None:
        """The next records, at most ``limit``; ``None`` if no more are covered yet. The same again until ``accept``.

        Raises ``StoreDamaged``, ``StoreRolledBack``, ``AuditUnavailable`` (also if the access cannot be recorded).
        """
        await self._record()
        position = self._cursor.position
        covered = await self._source.covered()
        size = covered.size if covered else 0
        if position > size:
            raise StoreRolledBack(
                f"{position} records of {self._cursor.origin} were taken, but its newest checkpoint covers {size}: "
                "the log was rolled back"
            )
        if self._last_leaf is not None and position:
            await self._check_last(position - 1, self._last_leaf)
            self._last_leaf = None  # held once since the start: from here on we watch the records themselves
        if position == size:
            return None
        stretch = await self._source.read_after(position - 1, min(limit, size - position))
        self._check(stretch, position)
        if not stretch.rows:
            raise StoreDamaged(f"record {position} is missing though a checkpoint covers it; run verify")
        records = await asyncio.to_thread(self._open, stretch.rows, size)
        last = stretch.rows[-1]
        return Batch(records, Cursor(self._cursor.origin, last.seq + 1), last.leaf)

    def accept(self, batch: Batch) -> None:
        """Go on behind a batch. Call it when the receiver has the records, and after that was stored."""
        self._cursor = batch.cursor

    async def lag(self) -> Lag:
        """How far behind; reads one record. Raises like ``next_batch``."""
        covered = await self._source.covered()
        return await self._lag(covered)

    async def _lag(self, covered: Covered | None) -> Lag:
        behind = (covered.size if covered else 0) - self._cursor.position
        if behind <= 0:
            return Lag(0, 0.0)
        stretch = await self._source.read_after(self._cursor.position - 1, 1)
        if not stretch.rows:
            return Lag(behind, 0.0)
        age = self._clock() - stretch.rows[0].envelope().recorded_at
        return Lag(behind, max(age.total_seconds(), 0.0))

    async def _record(self) -> None:
        if self._record_access is None:
            return
        today = self._clock().date()
        if self._recorded_day != today:
            await self._record_access(self._cursor)
            self._recorded_day = today

    async def _check_last(self, seq: int, leaf: bytes) -> None:
        stretch = await self._source.read_after(seq - 1, 1)
        if not stretch.rows or stretch.rows[0].seq != seq or stretch.rows[0].leaf != leaf:
            raise StoreDamaged(f"record {seq} is not the one that was taken: the log was rewritten; run verify")
        self._check(stretch, seq)

    def _check(self, stretch: Stretch, position: int) -> None:
        for expected, (row, leaf) in enumerate(zip(stretch.rows, stretch.leaves, strict=True), position):
            if row.seq != expected:
                raise StoreDamaged(f"record {expected} is missing though a checkpoint covers it; run verify")
            # A pruned tree has no leaf to compare with any more; the row must still agree with its own.
            if leaf_of(row) != row.leaf or leaf not in (None, row.leaf):
                raise StoreDamaged(f"record {row.seq} is not the one that the tree holds; run verify")

    def _open(self, rows: tuple[Row, ...], size: int) -> tuple[ExportRecord, ...]:
        origin = self._cursor.origin
        wanted = (row for row in rows if not self._tenants or row.tenant in self._tenants)
        return tuple(export_record(origin, row, size, self._source.open_subject) for row in wanted)
