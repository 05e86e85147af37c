"""Reading the log: search, one record, its content inside a case, who looked at it, its proofs.

Everything here that shows something of a person is a record first, and only then an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date

from audit.canonical import JSON, load_json_object
from audit.errors import ContentDestroyed, RecordNotFound
from audit.governance.cases import Cases
from audit.governance.facade import Governance
from audit.governance.officer import Officer
from audit.ids import day_of, parse_event_id
from audit.note import VerifierKey
from audit.proof import Proof
from audit.query import Condition, Field, OpenedRecord, Page, Query, RecordView
from audit.record import ZERO_CLASS, Entry, Phase, RecordRef, Subject
from audit.row import Row, leaf_data
from audit.store.compose import subject_from
from audit.store.port import Store, StoreReader
from audit.store.search import Search, subject_of
from audit.vocabulary import LogEvent

TARGET_TERM = "target"  # index kind under which accesses to a record are found by its event id

Write = Callable[..., Awaitable[RecordRef]]


class LogReader:
    """What ``AuditLog`` offers to readers. ``write`` makes a record durable: (phase, entry, about=...)."""

    def __init__(self, store: Store, governance: Governance, write: Write) -> None:
        self._store = store
        self._ring = store.ring
        self._write = write
        self.governance = governance
        self.verifier_key: VerifierKey = store.verifier_key

    @property
    def cases(self) -> Cases:
        """Cases: who may open what, and why."""
        return self.governance.cases

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
        self, event_id: str, *, opened_by: Officer, case_id: str, tenant: str = "default"
    ) -> OpenedRecord:
        """Open a record's content inside an approved case. Who and under which case is durable in the log before
        anything of the content is decrypted.

        Raises ``CaseRefused``, ``FreshMfaRequired`` (both on record), ``CaseNotFound``, ``RecordNotFound``,
        ``ContentDestroyed`` for what is purged, erased or was never kept, ``AuditUnavailable``.
        """
        try:
            rows = await self._rows(event_id, tenant)
        except RecordNotFound:  # what somebody tried to open goes on record, whether it is there or not
            content: dict[str, JSON] = {"event_id": event_id, "case": case_id}
            await self._access(LogEvent.OPEN_CONTENT, opened_by.subject, content, tenant, event_id, effect="deny")
            raise
        # Who it is about decides about the scope; of a held record past its day only the hold can tell.
        who = subject_of(rows[0], self._ring) or await asyncio.to_thread(self._held_subject, rows[0])
        facts = Governance.facts(rows[0], who)
        opening = await self.governance.cases.permit_opening(case_id, facts, opened_by)
        opened = await asyncio.to_thread(lambda: [self.governance.opener.open(row) for row in rows])
        return OpenedRecord(
            event_id=event_id,
            subject=subject_from(opened[0].subject),
            envelopes=tuple(row.envelope() for row in rows),
            contents=tuple(load_json_object(part.content) for part in opened),
            access=opening.access,
        )

    def _held_subject(self, row: Row) -> Subject | None:
        try:
            return subject_from(self.governance.opener.open(row).subject)
        except ContentDestroyed:
            return None

    async def accesses(self, event_id: str, *, looked_by: Subject, tenant: str = "default") -> Page:
        """Who looked at a record, opened it or decided about it, newest first. Asking is itself recorded, under the
        same record."""
        parse_event_id(event_id)
        access = await self._access(LogEvent.SHOW, looked_by, {"accesses_of": event_id}, tenant, target=event_id)
        found = await self._store.read(
            Search(Query(tenant=tenant, conditions=[Condition(Field.TARGET, (event_id,))]), self._ring, access.seq)
        )
        return Page(rows=found.rows, next_cursor=found.next_cursor, access=access)

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

    async def _access(
        self,
        action: str,
        subject: Subject,
        content: dict[str, JSON],
        tenant: str,
        target: str = "",
        effect: str = "allow",
    ) -> RecordRef:
        index = {TARGET_TERM: (target,)} if target else {}
        entry = Entry(action=action, subject=subject, tenant=tenant, content=content, index=index, effect=effect)
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

    def _is_destroyed(self, row: Row) -> bool:
        return (
            row.content is None
            or row.class_ == ZERO_CLASS
            or self._ring.is_destroyed(date.fromisoformat(row.day), row.class_)
        )
