"""The log as its users see it. See ``docs/explanation/life-of-a-record.md`` for what happens behind each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from audit.canonical import JSON
from audit.errors import (
    AuditError,
    AuditUnavailable,
    EntryInvalid,
    RecordNotFound,
    TicketConcluded,
    TicketExpired,
    TicketUnknown,
)
from audit.governance.facade import Governance
from audit.governance.officer import MfaRule
from audit.governance.rewrap import NotedRewraps, Rewrapped, rewrap_entry, rewrap_on_record
from audit.health import DiskState, Gauge, Health, disk_state
from audit.ids import new_event_uuid, parse_event_id
from audit.keys.services.opening import open_key_service
from audit.reading import LogReader
from audit.record import Entry, OpenTicket, Phase, RecordRef, Subject, Ticket
from audit.retention import PurgeReceipt, Retention, RetentionRules, RetentionWorker, newest_record
from audit.settings import AuditSettings
from audit.store.compose import Job, encode_bodies
from audit.store.disk import Disk
from audit.store.opening import open_store
from audit.store.port import MAX_BEHIND, Store, StoreReader
from audit.store.search import subject_of
from audit.witness.board import WitnessBoard, WitnessFigures
from audit.witness.opening import open_witnesses
from audit.witness.watch import CheckpointWatch

Clock = Callable[[], datetime]

_log = logging.getLogger("audit.log")

_RETENTION_LEASE_SECONDS = 90.0  # longer than a turn of the worker
NOT_KEPT = Subject(actor="-", display="not kept")  # whose records hold no content, to whoever concludes them


class AuditLog(LogReader):
    """An open log. Use it from one event loop or several. Reading it is in ``reading.py``."""

    def __init__(
        self,
        settings: AuditSettings,
        clock: Clock,
        store: Store,
        rules: Callable[[], RetentionRules] | None = None,
        newest: datetime | None = None,
    ) -> None:
        """Use ``open``."""
        self.newest_record_at_start = newest
        self._settings = settings
        self._clock = clock
        governance = Governance.open(
            store,
            record=self.note,
            clock=clock,
            directory=settings.directory,
            wrapper=store.ring.service,
            database_url=settings.database_url.get_secret_value() if settings.database_url else None,
            mfa=MfaRule(
                max_age_seconds=settings.opening_mfa_seconds, accepts_no_evidence=settings.accept_no_mfa_evidence
            ),
        )
        store.ring.erased = governance.erased
        super().__init__(store, governance, self._write)
        self._purging = asyncio.Lock()
        self.retention = Retention(
            store,
            rules or settings.retention_rules,
            self._record_purge,
            settings.tenant,
            governance.escrow,
            governance.settling.alone,
        )
        self._gauge = Gauge(store, settings, self.retention)
        self._watch = _watch(settings, clock, store)
        self._closed = False

    @classmethod
    async def open(
        cls,
        settings: AuditSettings,
        *,
        clock: Clock,
        disk: Disk | None = None,
        read_snapshot: bool = False,
        rules: Callable[[], RetentionRules] | None = None,
    ) -> AuditLog:
        """Open or create a log; returns when it may be written and its newest checkpoint is signed.

        Raises ``StoreInUse``, ``KeyRefused``, ``SnapshotRefused``, ``StoreRolledBack``, ``StoreDamaged``, or
        ``AuditUnavailable`` if the disk fails. Keys are created only with ``create_keys`` and only for a new store.
        ``read_snapshot`` opens a snapshot for reading: accesses are recorded in the copy, intents are refused,
        nothing is signed. ``rules`` tells how long each class is kept, asked anew for each purge; by default it is what
        the settings say.
        """
        store = await asyncio.to_thread(open_store, settings, clock, disk or Disk(), read_snapshot=read_snapshot)
        try:
            newest = await store.read(newest_record)  # before anybody writes by a clock that may be wrong
        except BaseException:
            await asyncio.to_thread(store.close)
            raise
        log = cls(settings, clock, store, rules, newest)
        await log._record_noted_rewraps()
        return log

    async def aclose(self) -> None:
        """Write what is queued, sign it, close. Safe to repeat."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        self.governance.close()
        self._store.close()

    def now(self) -> datetime:
        """The time by this log's clock."""
        return self._clock()

    @property
    def store(self) -> Store:
        """The store underneath, for feeds and commands of this package."""
        return self._store

    def witness_figures(self) -> dict[str, WitnessFigures]:
        """How each witness over the network is doing; empty in a process that does not talk to them."""
        return self._watch.figures() if self._watch is not None else {}

    async def intend(self, entry: Entry, *, event_id: str | None = None) -> Ticket:
        """Record that something is about to happen. Durable (fsynced) when it returns.

        ``event_id`` is the caller's request id, if it made one already (``new_event_id``); never use one twice.

        Raises ``AuditUnavailable`` if it cannot be made durable, and then nothing may happen; ``EntryInvalid``.
        A caller cancelled here leaves an open ticket behind, which ``open_tickets`` lists.
        """
        if entry.effect:
            raise EntryInvalid("an intent has no effect yet")
        if self._store.is_snapshot:
            raise AuditUnavailable("a snapshot takes no intents")
        if self._disk_state() is DiskState.REFUSING:
            raise AuditUnavailable("the disk of the audit log is nearly full")
        if self._store.behind() > MAX_BEHIND:
            raise AuditUnavailable("the tree of the audit log cannot keep up")
        reference = await self._write(Phase.INTENT, entry, event_id=event_id)
        return Ticket(
            event_id=reference.event_id,
            seq=reference.seq,
            opened_at=reference.recorded_at,
            tenant=entry.tenant,
            class_=entry.class_,
            action=entry.action,
        )

    async def conclude(self, ticket: Ticket, entry: Entry) -> RecordRef:
        """Record what came of an intent. Durable when it returns; call it before anybody sees the result.

        Raises ``TicketConcluded`` for a second outcome, ``TicketExpired`` past retention, ``AuditUnavailable`` if it
        is not durable (the ticket may be concluded again), ``EntryInvalid``.
        """
        if not entry.effect:
            raise EntryInvalid("an outcome needs an effect")
        if (entry.tenant, entry.action) != (ticket.tenant, ticket.action):
            raise EntryInvalid("an outcome has its intent's tenant and action")
        job = self._job(Phase.OUTCOME, entry, ticket=ticket)
        try:
            self._store.claim(ticket)
            try:
                self._store.submit(job)
            except AuditUnavailable:
                self._store.unclaim(ticket)
                raise
            return await job.future
        except TicketConcluded:  # known at once, or only by the store that all processes share
            await self._explain(ticket)
            raise

    async def note(self, entry: Entry, phase: Phase = Phase.ADMIN, *, about: str = "") -> RecordRef:
        """Record an event of one phase. Durable when it returns. ``about`` is plain: an id or a digest, never a name.

        Raises ``AuditUnavailable``, ``EntryInvalid``.
        """
        if phase in (Phase.INTENT, Phase.OUTCOME):
            raise EntryInvalid("intents and outcomes go through intend and conclude")
        return await self._write(phase, entry, about=about)

    async def open_tickets(self, older_than: timedelta) -> list[OpenTicket]:
        """Intents without an outcome that are older than this: crashes, for the sweeper to conclude as unknown."""
        found = await asyncio.to_thread(self._store.open_tickets, self._clock() - older_than)

        def read(reader: StoreReader) -> list[OpenTicket]:
            opened = []
            for ticket in found:
                file = reader.day(ticket.day)
                row = file.row(ticket.seq) if file else None
                if row is None:
                    continue
                subject = subject_of(row, self._ring) or NOT_KEPT
                opened.append(OpenTicket(ticket=ticket, envelope=row.envelope(), subject=subject))
            return opened

        return await self._store.read(read)

    def checkpoint(self) -> str:
        """The newest signed checkpoint, as a signed note."""
        latest = self._store.latest
        return latest[0].note(self.verifier_key) if latest else ""

    def checkpoint_size(self) -> int:
        """How many records the newest checkpoint covers."""
        latest = self._store.latest
        return latest[0].size if latest else 0

    async def purge(self, now: datetime | None = None) -> list[PurgeReceipt]:
        """Destroy what is past retention; keys first. Safe to repeat, and catches up after downtime.

        Whoever calls this vouches for the clock; ``RetentionWorker`` watches it first. Raises ``OSError`` or an
        ``AuditError`` if the keys of a day cannot be destroyed, after every other day had its try.
        """
        async with self._purging:
            await self._record_noted_rewraps()
            return await self.retention.run(now or self._clock())

    async def rewrap_keys(self, by: Subject, *, everything: bool = False) -> Rewrapped:
        """Wrap every living day key, and the keys of cases and holds, under the key that the settings' key service
        wraps with now. On record before and after. Safe to repeat and to interrupt; the keys themselves do not change.

        ``everything``: also what that key wraps already. Raises ``AuditUnavailable``, ``StoreInUse`` while another
        rewrap runs, ``KeyRefused`` for a key of cases or holds that does not open, and what the key service raises.
        """

        async def note(content: dict[str, JSON]) -> RecordRef:
            return await self.note(rewrap_entry(by.actor, content, self._settings.tenant))

        disk = self._ring.disk
        service = await asyncio.to_thread(open_key_service, self._settings.key_service_settings(), disk)
        try:
            return await rewrap_on_record(self._ring.folder.path, service, disk, note, everything=everything)
        finally:
            await asyncio.to_thread(service.close)

    async def _record_noted_rewraps(self) -> None:
        """Put rewraps on record that a command did beside this log. Whatever fails here waits for the next turn."""
        if self._store.is_snapshot:
            return
        try:
            await NotedRewraps(self._ring.folder.path, self._ring.disk).put_on_record(self.note, self._settings.tenant)
        except (AuditError, OSError) as error:
            _log.error("audit.rewrap.unrecorded", extra={"cause": type(error).__name__})

    def retention_worker(self, lease: Callable[[], bool] | None = None) -> RetentionWorker:
        """The worker that purges by itself: run it as a task, cancel it before ``aclose``. ``lease`` tells whether this
        process is the one that purges, where several share a log; it may block."""
        return RetentionWorker(
            purge=self.purge,
            retention=self.retention,
            ring=self._ring,
            clock=self._clock,
            settle_seconds=self._settings.clock_settle_seconds,
            newest_record=self.newest_record_at_start,
            lease=lease or (lambda: self._store.lease("retention", _RETENTION_LEASE_SECONDS)),
        )

    def health(self) -> Health:
        """Figures for probes and alarms. Reads the disk; call it from a thread if the loop must not wait."""
        return self._gauge.measure(self._clock())

    def _job(
        self, phase: Phase, entry: Entry, *, ticket: Ticket | None = None, event_id: str | None = None, about: str = ""
    ) -> Job:
        subject, content = encode_bodies(entry, self._settings.max_content_bytes)
        loop = asyncio.get_running_loop()
        at = self._clock()
        identifier = ticket.event_id if ticket else event_id
        return Job(
            phase=phase,
            event_id=parse_event_id(identifier) if identifier else new_event_uuid(at),
            is_foreign_id=event_id is not None,
            at=at,
            entry=entry,
            subject=subject,
            content=content,
            about=about,
            ticket=ticket,
            loop=loop,
            future=loop.create_future(),
        )

    async def _write(self, phase: Phase, entry: Entry, *, event_id: str | None = None, about: str = "") -> RecordRef:
        job = self._job(phase, entry, event_id=event_id, about=about)
        self._store.submit(job)
        return await job.future

    async def _explain(self, ticket: Ticket) -> None:
        """Raise ``TicketUnknown`` or ``TicketExpired`` where that is the truth about a ticket that is not open."""
        try:
            rows = await self._rows(ticket.event_id, ticket.tenant)
        except RecordNotFound:
            raise TicketUnknown(f"no intent {ticket.event_id} in this log") from None
        if len(rows) == 1 and self._is_destroyed(rows[0]):
            raise TicketExpired(f"ticket {ticket.event_id} is past retention")

    def _disk_state(self) -> DiskState:
        return disk_state(self._store.free_fraction(), self._settings.disk_refuse_fraction)

    async def _record_purge(self, entry: Entry, about: str) -> RecordRef:
        return await self._write(Phase.PURGE, entry, about=about)


def _watch(settings: AuditSettings, clock: Clock, store: Store) -> CheckpointWatch | None:
    if not settings.witnesses or store.is_snapshot:
        return None
    folder = settings.directory / "witnesses"
    board = WitnessBoard(folder, open_witnesses(settings.witnesses), store.verifier_key, clock=clock)
    watch = CheckpointWatch(store, board, settings.checkpoint_interval_seconds)
    watch.start()
    return watch
