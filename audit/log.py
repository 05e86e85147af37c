"""The log as its users see it. See ``docs/explanation/life-of-a-record.md`` for what happens behind each call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta

from audit.canonical import JSON
from audit.errors import (
    AuditUnavailable,
    ContentDestroyed,
    EntryInvalid,
    RecordNotFound,
    TicketConcluded,
    TicketExpired,
    TicketUnknown,
)
from audit.health import DiskState, Health, disk_state, measure
from audit.ids import day_of, new_event_id, parse_event_id
from audit.note import VerifierKey
from audit.proof import Proof
from audit.query import OpenedRecord, Page, Query, RecordView
from audit.record import ZERO_CLASS, Entry, OpenTicket, Phase, RecordRef, Subject, Ticket
from audit.retention import PurgeReceipt, Retention, RetentionRules, RetentionWorker, newest_record
from audit.row import Row, leaf_data
from audit.settings import AuditSettings
from audit.store.compose import Job, encode_bodies, open_content, open_subject
from audit.store.disk import Disk
from audit.store.opening import open_store
from audit.store.port import MAX_BEHIND, Store, StoreReader
from audit.store.search import Search, subject_of
from audit.vocabulary import LogEvent

Clock = Callable[[], datetime]

NOT_KEPT = Subject(actor="-", display="not kept")  # whose records hold no content, to whoever concludes them
TARGET_TERM = "target"  # index kind under which accesses to a record are found by its event id


class AuditLog:
    """An open log. Use it from one event loop or several."""

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
        self._store = store
        self._ring = store.ring
        self.verifier_key: VerifierKey = store.verifier_key
        self._purging = asyncio.Lock()
        self.retention = Retention(store, rules or settings.retention_rules, self._record_purge, settings.tenant)
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
        return cls(settings, clock, store, rules, newest)

    async def aclose(self) -> None:
        """Write what is queued, sign it, close. Safe to repeat."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._store.close)

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

    async def search(self, query: Query, *, searched_by: Subject) -> Page:
        """Requests and events that match, newest first. The search itself is durable in the log before it runs."""
        access = await self._access(LogEvent.SEARCH, searched_by, query.as_content(), query.tenant)
        found = await self._store.read(Search(query, self._ring, access.seq))
        return Page(
            rows=found.rows, next_cursor=found.next_cursor, access=access, count=found.count, facets=found.facets
        )

    async def get(self, event_id: str, *, looked_by: Subject, tenant: str = "default") -> RecordView:
        """All of a record that may be shown without opening its content. Recorded before it is read.

        Raises ``RecordNotFound`` for an id this tenant has no record of, ``QueryInvalid`` for a malformed one.
        """
        parse_event_id(event_id)
        access = await self._access(LogEvent.SHOW, looked_by, {"event_id": event_id}, tenant, target=event_id)
        rows = await self._rows(event_id, tenant)
        latest = self._store.latest
        covered = latest is not None and rows[-1].seq < latest[0].size
        return RecordView(
            event_id=event_id,
            subject=subject_of(rows[0], self._ring),
            envelopes=tuple(row.envelope() for row in rows),
            content_destroyed=any(self._is_destroyed(row) for row in rows),
            covered_by_size=latest[0].size if latest is not None and covered else None,
            access=access,
        )

    async def read_content(
        self, event_id: str, *, read_by: Subject, purpose: str, tenant: str = "default"
    ) -> OpenedRecord:
        """Open a record's content. Who and why is durable in the log before anything is decrypted.

        Raises ``ContentDestroyed`` past retention, ``RecordNotFound``, ``EntryInvalid`` without a purpose.
        """
        parse_event_id(event_id)
        if not purpose.strip():
            raise EntryInvalid("opening content needs a purpose")
        content: dict[str, JSON] = {"event_id": event_id, "purpose": purpose}
        access = await self._access(LogEvent.OPEN_CONTENT, read_by, content, tenant, target=event_id)
        rows = await self._rows(event_id, tenant)
        if any(self._is_destroyed(row) for row in rows):
            raise ContentDestroyed(f"content of {event_id} is past retention")
        keys = [self._ring.get(date.fromisoformat(row.day), row.tenant, row.class_) for row in rows]
        return OpenedRecord(
            event_id=event_id,
            subject=open_subject(rows[0], keys[0]),
            envelopes=tuple(row.envelope() for row in rows),
            contents=tuple(open_content(row, key) for row, key in zip(rows, keys, strict=True)),
            access=access,
        )

    async def proof(self, event_id: str, *, tenant: str = "default") -> list[Proof]:
        """Inclusion proofs of a record's halves against a checkpoint that covers them; works past retention too."""
        rows = await self._rows(event_id, tenant)
        seqs = [row.seq for row in rows]
        checkpoint, paths = await asyncio.to_thread(self._store.prove, seqs)
        return [
            Proof(
                event_id=event_id,
                phase=row.phase,
                seq=row.seq,
                leaf_data=leaf_data(row),
                path=tuple(path),
                checkpoint=checkpoint,
                note=checkpoint.note(self.verifier_key),
            )
            for row, path in zip(rows, paths, strict=True)
        ]

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
            return await self.retention.run(now or self._clock())

    def retention_worker(self, lease: Callable[[], bool] = lambda: True) -> RetentionWorker:
        """The worker that purges by itself: run it as a task, cancel it before ``aclose``. ``lease`` tells whether this
        process is the one that purges, where several share a log; it may block."""
        return RetentionWorker(
            purge=self.purge,
            retention=self.retention,
            ring=self._ring,
            clock=self._clock,
            settle_seconds=self._settings.clock_settle_seconds,
            newest_record=self.newest_record_at_start,
            lease=lease,
        )

    def health(self) -> Health:
        """Figures for probes and alarms. Reads the disk; call it from a thread if the loop must not wait."""
        return measure(self._store, self._settings, self._clock(), self.retention)

    def _job(
        self, phase: Phase, entry: Entry, *, ticket: Ticket | None = None, event_id: str | None = None, about: str = ""
    ) -> Job:
        subject, content = encode_bodies(entry, self._settings.max_content_bytes)
        loop = asyncio.get_running_loop()
        at = self._clock()
        identifier = ticket.event_id if ticket else event_id
        return Job(
            phase=phase,
            event_id=parse_event_id(identifier or new_event_id(at)),
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

    async def _access(
        self, action: str, subject: Subject, content: dict[str, JSON], tenant: str, target: str = ""
    ) -> RecordRef:
        index = {TARGET_TERM: (target,)} if target else {}
        entry = Entry(action=action, subject=subject, tenant=tenant, content=content, index=index, effect="allow")
        return await self._write(Phase.ACCESS, entry, about=target)

    async def _rows(self, event_id: str, tenant: str) -> list[Row]:
        identifier = parse_event_id(event_id)

        def read(reader: StoreReader) -> list[Row]:
            hint = day_of(identifier)
            for day in sorted(reader.days(), key=lambda day: (day == hint, day), reverse=True):
                file = reader.day(day)
                rows = file.event(identifier.bytes) if file else []
                if rows:
                    return rows
            return []

        rows = await self._store.read(read)
        if not rows or rows[0].tenant != tenant:  # another tenant's record is as absent as none
            raise RecordNotFound(f"no record {event_id}")
        return rows

    async def _explain(self, ticket: Ticket) -> None:
        """Raise ``TicketUnknown`` or ``TicketExpired`` where that is the truth about a ticket that is not open."""
        try:
            rows = await self._rows(ticket.event_id, ticket.tenant)
        except RecordNotFound:
            raise TicketUnknown(f"no intent {ticket.event_id} in this log") from None
        if len(rows) == 1 and self._is_destroyed(rows[0]):
            raise TicketExpired(f"ticket {ticket.event_id} is past retention")

    def _is_destroyed(self, row: Row) -> bool:
        return (
            row.content is None
            or row.class_ == ZERO_CLASS
            or self._ring.is_destroyed(date.fromisoformat(row.day), row.class_)
        )

    def _disk_state(self) -> DiskState:
        return disk_state(self._store.free_fraction(), self._settings.disk_refuse_fraction)

    async def _record_purge(self, entry: Entry, about: str) -> RecordRef:
        return await self._write(Phase.PURGE, entry, about=about)
