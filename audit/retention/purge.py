"""Day 30: keys first, then space.

A class of a day is past retention once the day is more than its number of whole days old (UTC). For each such day,
oldest first:

1. the day takes no more records, and no hold is placed until 2. is done; records under a hold get their keys into
   escrow, durably, or that class is not purged;
2. day and class go on the durable list of destroyed days, their key files are overwritten and unlinked: from here on
   nobody can read content, subjects or the blind index, with the database, its backups and its WAL in hand;
3. a purge record that names them becomes durable in the log, and signed if the disk lets it, so that ``verify`` knows
   that what is missing was meant to go;
4. the day's sealed parts are left behind in the store, but for held records. Envelopes, digests, commitments and
   leaves stay: every proof verifies as before. A later purge takes what a hold has released.

Each step is noted on the list, so a purge that a crash or a full disk cut short is finished by the next one. A day or
a key that comes back from a backup is due again, and goes again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import date, datetime

from audit.errors import AuditError, AuditUnavailable
from audit.keys.destroyed import PurgeStep, Scope, ScopeState
from audit.record import Effect, Entry, RecordRef, Subject
from audit.retention.due import Due, DueFinder, ListedRetention
from audit.retention.receipts import PurgeReceipt, Receipts
from audit.retention.rules import RetentionRules
from audit.store.port import ClassFigures, Store
from audit.store.purges import all_purges
from audit.vocabulary import LogEvent, LogReason

_log = logging.getLogger("audit.retention")
_SYSTEM = Subject(actor="system:retention", display="retention")

Escrow = Callable[[date, str], frozenset[int]]
"""Puts the keys of a day and class's held records where the hold keeps them; returns the sequence numbers of these
records. They are safe, durably, when it returns. Asked again once the day's keys are gone, it answers from what it
has. Blocks; whatever it raises stops the purge of that class."""

RecordPurge = Callable[[Entry, str], Awaitable[RecordRef]]
"""Writes a purge record, given the entry and what it is about."""


def nothing_held(_day: date, _class: str) -> frozenset[int]:
    """The escrow of a log without holds."""
    return frozenset()


def purge_entry(scope: Scope, records: int, held: int, tenant: str) -> Entry:
    """What the log says about a purge."""
    return Entry(
        action=LogEvent.PURGE,
        subject=_SYSTEM,
        tenant=tenant,
        effect=Effect.ALLOW,
        reasons=(LogReason.RETENTION_EXPIRED,),
        content={"day": scope.day.isoformat(), "class": scope.class_, "records": records, "held": held},
    )


@dataclass(slots=True)
class _DayWork:
    """The purge of one day, while it runs."""

    due: Due
    figures: dict[str, ClassFigures] = field(default_factory=dict)
    held: dict[str, frozenset[int]] = field(default_factory=dict)  # class -> sequence numbers
    keys: dict[Scope, int] = field(default_factory=dict)
    records: dict[Scope, RecordRef] = field(default_factory=dict)

    def classes_of(self, scope: Scope) -> set[str]:
        return {class_ for class_ in self.figures if scope.class_ in (None, class_)}

    def count(self, scope: Scope) -> int:
        return sum(self.figures[class_].records for class_ in self.classes_of(scope))

    def held_of(self, scope: Scope) -> frozenset[int]:
        return frozenset().union(*(seqs for class_, seqs in self.held.items() if scope.class_ in (None, class_)))


class Retention:
    """Purges what is due in one store. One call at a time."""

    def __init__(
        self,
        store: Store,
        rules: Callable[[], RetentionRules],
        record: RecordPurge,
        tenant: str,
        escrow: Escrow = nothing_held,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``alone`` keeps holds from being placed inside its block, by any process; it may block, or raise an
        ``AuditError``."""
        self._store = store
        self._ring = store.ring
        self._rules = rules
        self._record = record
        self._tenant = tenant
        self._due = DueFinder(store, rules)
        self._receipts = Receipts(self._ring.folder.receipts, self._ring.disk)
        self._known: set[Scope] = set()  # purges that the log was seen to hold
        self._kept: dict[Scope, frozenset[int]] = {}  # held records as of the last purge of a scope by this process
        self._alone = alone
        self.escrow = escrow  # set by whoever opens the holds
        self.failures = 0  # scopes that could not be purged, since the start
        self.is_clock_trusted = True  # set by the worker

    def due(self, now: datetime, *, is_thorough: bool = True) -> list[Due]:
        """What is past retention, or back from a backup, oldest first. Blocks; a look that is not thorough asks the
        store at most once a minute about a day that was gone."""
        return self._due.find(now, is_thorough=is_thorough)

    def listed(self, now: datetime) -> ListedRetention:
        """Figures that need no look at the records. Blocks."""
        return ListedRetention.of(self._ring.folder.classes_by_day(), self._ring.states(), self._rules(), now)

    def records_past(self, due: list[Due]) -> int:
        """Records that should be gone and whose sealed parts are here, holds apart. Blocks."""
        past = 0
        for one in due:
            figures = self._store.class_figures(one.day)
            sealed = sum(found.sealed for name, found in figures.items() if one.classes is None or name in one.classes)
            past += max(0, sealed - sum(self._ring.states().get(scope, _NEW).held for scope in one.scopes()))
        return past

    async def run(self, now: datetime) -> list[PurgeReceipt]:
        """Purge all that is due. Every day gets its try; then the first failure is raised: ``OSError`` or an
        ``AuditError`` if the keys of a scope are not destroyed."""
        due = await asyncio.to_thread(self.due, now)
        due += await asyncio.to_thread(self._released, {scope for one in due for scope in one.scopes()})
        receipts: list[PurgeReceipt] = []
        failures: list[Exception] = []
        for one in sorted(due, key=lambda one: one.day):
            try:
                receipts += await self._purge_day(_DayWork(one), now, failures)
            except (OSError, sqlite3.Error, AuditError) as error:
                self._failed(one.scopes(), error, failures)
        if failures:
            raise failures[0]
        return receipts

    async def _purge_day(self, work: _DayWork, now: datetime, failures: list[Exception]) -> list[PurgeReceipt]:
        store, day = self._store, work.due.day
        if not await asyncio.to_thread(self._keep_and_destroy, work, now, failures):  # 1., 2.
            return []
        await self._record_all(work, now)  # 3.
        await asyncio.to_thread(self._cover, work)
        keep = frozenset().union(*work.held.values())
        freed = await asyncio.to_thread(store.free, day, work.due.classes, keep, now)  # 4.
        await self._record_all(work, now)  # the disk was full; now it may not be
        left = await asyncio.to_thread(store.class_figures, day) if freed else work.figures
        return [await asyncio.to_thread(self._conclude, work, scope, left, freed, now) for scope in work.due.scopes()]

    def _keep_and_destroy(self, work: _DayWork, now: datetime, failures: list[Exception]) -> bool:
        """Keep what is held, destroy the keys; ``False`` if the holds of all that is due failed. In between no hold is
        placed and no record of the day comes: it would be told to be safe, and its keys would go."""
        store, day = self._store, work.due.day
        with self._alone():
            try:
                # Records that are not in the tree yet are checked with the day's keys at the next start.
                store.take_in_day(day)
                work.figures = store.class_figures(day)
                self._put_in_escrow(work, failures)
                is_left = work.due.classes is None or bool(work.due.classes)
                if is_left:
                    self._destroy(work, now)
            except BaseException:
                with suppress(OSError, sqlite3.Error, AuditError):
                    store.release_day(day, frozenset())  # take records again: the next round tries again
                raise
            store.release_day(day, work.due.classes)
        return is_left

    def _put_in_escrow(self, work: _DayWork, failures: list[Exception]) -> None:
        """Ask the holds, class by class; a class whose holds fail is not purged."""
        day = work.due.day
        on_disk = self._ring.folder.classes_by_day().get(day, set())
        known = on_disk | work.figures.keys()
        for class_ in sorted(known if work.due.classes is None else work.due.classes):
            try:
                work.held[class_] = self.escrow(day, class_)
            except Exception as error:  # whatever is wrong with a hold, its records must not go
                stopped = AuditUnavailable(f"{Scope(day, class_)} is not purged: its holds cannot be put in escrow")
                stopped.__cause__ = error
                self._failed([Scope(day, class_)], stopped, failures)
                others = known if work.due.classes is None else work.due.classes
                work.due = Due(day, frozenset(others - {class_}))

    def _destroy(self, work: _DayWork, now: datetime) -> None:
        failure: OSError | None = None
        for scope in work.due.scopes():
            try:
                classes = None if scope.class_ is None else {scope.class_}
                work.keys[scope] = self._ring.destroy(scope.day, now, classes)
            except OSError as error:  # this one's files are gone all the same; let the others' go too
                failure = error
        if failure is not None:
            raise failure

    async def _record_all(self, work: _DayWork, now: datetime) -> None:
        for scope in work.due.scopes():
            if scope in work.records or await self._is_recorded(scope):
                continue
            entry = purge_entry(scope, work.count(scope), len(work.held_of(scope)), self._tenant)
            with suppress(AuditUnavailable, OSError):  # the next purge tries again
                reference = await self._record(entry, str(scope))
                work.records[scope] = reference
                self._known.add(scope)
                await asyncio.to_thread(
                    self._ring.mark, scope, PurgeStep.RECORDED, now, event_id=reference.event_id, seq=reference.seq
                )

    def _cover(self, work: _DayWork) -> None:
        """Have the purge records signed before anything goes that only they explain: ``verify`` takes no unsigned
        word for it. A tree that cannot be written (a full disk) keeps nothing here: it catches up later."""
        seqs = [reference.seq for reference in work.records.values()]
        if not seqs:
            return
        try:
            self._store.prove(seqs)
        except Exception as error:  # the keys are gone already, and the space must follow
            _log.warning("audit.retention.unsigned", extra={"cause": type(error).__name__})

    async def _is_recorded(self, scope: Scope) -> bool:
        """Does the list say so, and does the log hold it? A log put back to before its purge does not."""
        if PurgeStep.RECORDED not in self._ring.states().get(scope, _NEW).steps:
            return False
        if scope not in self._known:
            for about, _ in await self._store.read(all_purges):
                with suppress(ValueError):
                    self._known.add(Scope.parse(about))
        return scope in self._known

    def _conclude(
        self, work: _DayWork, scope: Scope, left: Mapping[str, ClassFigures], freed: bool, now: datetime
    ) -> PurgeReceipt:
        held = work.held_of(scope)
        classes = work.classes_of(scope)
        before = sum(work.figures[class_].sealed_bytes for class_ in classes)
        receipt = PurgeReceipt(
            day=scope.day,
            class_=scope.class_,
            keys_destroyed=work.keys.get(scope, 0),
            records=work.count(scope),
            held=len(held),
            bytes_freed=before - sum(left[class_].sealed_bytes for class_ in classes if class_ in left),
            space_freed=freed,
            record=work.records.get(scope),
            at=now,
        )
        state = self._ring.states().get(scope, _NEW)
        with suppress(OSError):  # a full disk: the step stays open, and the next purge comes by here again
            is_news = freed and (PurgeStep.FREED not in state.steps or state.held != len(held))
            if is_news or receipt.did_something:
                self._receipts.add(receipt, keys=state.keys, event_id=state.event_id, seq=state.seq)
            if is_news:
                self._ring.mark(scope, PurgeStep.FREED, now, held=len(held))
        if freed:
            self._kept[scope] = held
        return receipt

    def _released(self, already: set[Scope]) -> list[Due]:
        """Purged scopes in which fewer records are held than were kept."""
        found = []
        for scope, state in self._ring.states().items():
            if not state.held or not state.is_finished or scope in already:
                continue
            try:
                classes = [scope.class_] if scope.class_ else sorted(self._store.class_figures(scope.day))
                now_held = frozenset().union(*(self.escrow(scope.day, class_) for class_ in classes))
            except Exception as error:  # kept until it can be asked
                _log.error("audit.retention.holds-failed", extra={"scope": str(scope), "cause": type(error).__name__})
                self.failures += 1
                continue
            if now_held != self._kept.get(scope):
                found.append(Due(scope.day, None if scope.class_ is None else frozenset({scope.class_})))
        return found

    def _failed(self, scopes: list[Scope], error: Exception, failures: list[Exception]) -> None:
        self.failures += len(scopes)
        failures.append(error)
        named = ", ".join(map(str, scopes))
        _log.error("audit.retention.purge-failed", extra={"scopes": named, "cause": type(error).__name__})


_NEW = ScopeState()
