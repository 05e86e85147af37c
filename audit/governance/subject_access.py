"""Subject access (GDPR Art. 15 and 20): everything the log holds of one person, as JSON, for that person.

Two people agree first; the export itself is on record before anything is opened. Each taking within seven days of the
approval is recorded again. What the document leaves out, it says: days whose keys are destroyed, records of zero
retention, and the content of records about others (Art. 15(4)).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from audit.canonical import load_json_object
from audit.errors import ContentDestroyed, Refused, SubjectAccessRefused
from audit.governance.acts import Acts
from audit.governance.officer import Officer
from audit.governance.records import RowOpener, StoreRecords
from audit.governance.subject_requests import SubjectRequest, SubjectRequests, SubjectRequestState
from audit.record import Phase, RecordRef
from audit.row import Row
from audit.vocabulary import LogEvent, LogReason

FORMAT = "imprimatur/subject-access/v1"
_OF_OTHERS = (Phase.ACCESS, Phase.HOLD, Phase.ERASURE, Phase.PURGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectExport:
    """The document, and the record of its making. Hand it to the person, store it nowhere else."""

    request_id: str
    record: RecordRef
    document: dict[str, Any] = field(repr=False)
    records: int
    destroyed_days: int


class SubjectAccess:
    """Subject access of one log. Requesting, approving and rejecting: see ``requests``."""

    def __init__(self, requests: SubjectRequests, acts: Acts, records: StoreRecords, opener: RowOpener) -> None:
        self.requests = requests
        self._acts = acts
        self._records = records
        self._opener = opener

    async def export(self, request_id: str, by: Officer, *, tenant: str = "default") -> SubjectExport:
        """Take the data out. The request must be approved within the last seven days; ``by`` is who asked for it,
        with a fresh second factor.

        Raises ``SubjectAccessRefused`` or ``FreshMfaRequired`` (both on record), ``SubjectRequestNotFound``.
        """
        request = await self.requests.get(request_id, tenant=tenant)
        try:
            self._check(request, by)
        except Refused as error:
            await self._acts.refuse(
                LogEvent.SUBJECT_EXPORT, by, error, about=request_id, tenant=tenant, phase=Phase.ACCESS
            )
        record = await self._acts.record(
            LogEvent.SUBJECT_EXPORT,
            by,
            {"request": request_id, "actor": request.actor},
            about=request_id,
            tenant=tenant,
            phase=Phase.ACCESS,
        )
        rows: list[Row] = await self._records.held_of_actor(tenant, request.actor)
        async for _, found in self._records.of_actor(tenant, request.actor):
            rows += found
        opened = await asyncio.to_thread(lambda: [self._record(row) for row in sorted(rows, key=lambda row: row.seq)])
        destroyed = [day for day in await self._records.days() if self._records.is_destroyed(day, tenant)]
        document = {
            "format": FORMAT,
            "tenant": tenant,
            "actor": request.actor,
            "made_at": self._acts.now().isoformat(),
            "request": request_id,
            "recorded_as": record.event_id,
            "records": opened,
            "destroyed_days": [day.isoformat() for day in destroyed],
        }
        return SubjectExport(
            request_id=request_id,
            record=record,
            document=document,
            records=len(opened),
            destroyed_days=len(destroyed),
        )

    def _check(self, request: SubjectRequest, by: Officer) -> None:
        if request.state is not SubjectRequestState.APPROVED:
            raise SubjectAccessRefused(
                f"request {request.id} is {request.state}, this needs an approved one", LogReason.SUBJECT_REFUSED
            )
        if by.actor != request.requested.actor:
            raise SubjectAccessRefused(
                f"request {request.id} was made by somebody else: only they take the data out",
                LogReason.SUBJECT_REFUSED,
            )
        self._acts.check_fresh(by)

    def _record(self, row: Row) -> dict[str, Any]:
        envelope = row.envelope()
        record: dict[str, Any] = {
            "event_id": str(UUID(bytes=row.event_id)),
            "seq": row.seq,
            "phase": row.phase,
            "recorded_at": envelope.recorded_at.isoformat(),
            "class": row.class_,
            "action": row.action,
            "effect": row.effect,
            "reasons": list(envelope.reasons),
            "model": row.model,
            "credits": row.credits,
            "subject": None,
            "content": None,
        }
        try:
            opened = self._opener.open(row)
        except ContentDestroyed as error:
            return record | {"withheld": str(error)}
        record["subject"] = load_json_object(opened.subject)
        if opened.is_held:
            record["kept_by_hold"] = True
        if row.phase in _OF_OTHERS or row.action.startswith("audit:"):
            return record | {"withheld": "about others' data or the log's own work (GDPR Art. 15(4))"}
        return record | {"content": load_json_object(opened.content)}
