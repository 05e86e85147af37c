"""Requests about one person's data: one officer asks, another approves. Erasures and subject access share them.

``requested`` -> ``approved`` -> ``done``, or ``partly-done`` while holds keep something of an erasure, or ``rejected``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from audit.errors import ErasureRefused, Refused, SubjectAccessRefused, SubjectRequestNotFound
from audit.governance.acts import Acts, check_second
from audit.governance.ledger import Ledger, RowChanged, StoredRow
from audit.governance.officer import Officer, Signature
from audit.governance.scope import check_text
from audit.governance.tables import SUBJECT_REQUEST
from audit.ids import new_event_id
from audit.record import Subject, from_micros, to_micros
from audit.vocabulary import LogEvent, LogReason

APPROVAL_LIFE = timedelta(days=7)  # of an export: taking data out again later needs a new look


class SubjectRequestKind(StrEnum):
    """What is asked for."""

    ERASURE = "erasure"
    EXPORT = "export"


class SubjectRequestState(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    PARTLY_DONE = "partly-done"
    DONE = "done"
    EXPIRED = "expired"


_EVENTS = {
    SubjectRequestKind.ERASURE: (LogEvent.ERASURE_REQUEST, LogEvent.ERASURE_APPROVE, LogEvent.ERASURE_REJECT),
    SubjectRequestKind.EXPORT: (
        LogEvent.SUBJECT_EXPORT_REQUEST,
        LogEvent.SUBJECT_EXPORT_APPROVE,
        LogEvent.SUBJECT_EXPORT_REJECT,
    ),
}
REFUSALS: dict[SubjectRequestKind, type[Refused]] = {
    SubjectRequestKind.ERASURE: ErasureRefused,
    SubjectRequestKind.EXPORT: SubjectAccessRefused,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRequest:
    """A request as it is now. ``actor``, ``note`` and the names are sealed at rest."""

    id: str
    tenant: str
    kind: SubjectRequestKind
    state: SubjectRequestState
    actor: str = field(repr=False)
    note: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None  # of an approval to export
    requested: Signature = field(repr=False)
    decided: Signature | None = field(repr=False)
    receipts: tuple[dict[str, Any], ...] = field(repr=False)


class SubjectRequests:
    """Requests of one kind."""

    def __init__(self, ledger: Ledger, acts: Acts, kind: SubjectRequestKind) -> None:
        self._ledger = ledger
        self._acts = acts
        self._kind = kind
        self._refusal = REFUSALS[kind]
        self._asked, self._approved, self._rejected = _EVENTS[kind]

    async def request(self, actor: str, note: str, requested_by: Officer, *, tenant: str = "default") -> SubjectRequest:
        """Ask for it. ``note`` says on what ground: a letter's reference, a ticket."""
        check_text("note", note)
        Subject(actor=actor)  # the same rule as for every actor
        now = self._acts.now()
        request_id = new_event_id(now)
        content = {"request": request_id, "actor": actor, "note": note}
        await self._acts.record(self._asked, requested_by, content, about=request_id, tenant=tenant)
        values = {
            "id": request_id,
            "tenant": tenant,
            "state": SubjectRequestState.REQUESTED.value,
            "created_at": to_micros(now),
            "changed_at": to_micros(now),
            "kind": self._kind.value,
            "actor": {"text": actor},
            "note": {"text": note},
            "requested": Signature.of(requested_by, now).as_json(),
        }
        return self._read(await asyncio.to_thread(self._ledger.insert, SUBJECT_REQUEST, values))

    async def approve(self, request_id: str, by: Officer, *, tenant: str = "default") -> SubjectRequest:
        """Agree. Never by who asked, nor by the person it is about; needs a fresh second factor."""
        return await self._decide(request_id, by, tenant, is_approval=True)

    async def reject(self, request_id: str, by: Officer, *, tenant: str = "default") -> SubjectRequest:
        """Turn it down; whoever asked may take it back this way."""
        return await self._decide(request_id, by, tenant, is_approval=False)

    async def get(self, request_id: str, *, tenant: str = "default") -> SubjectRequest:
        """Raises ``SubjectRequestNotFound``; ``StoreDamaged`` if the row is not as it was written."""
        return self._read(await self.row(request_id, tenant))

    async def list(self, *, tenant: str = "default") -> Sequence[SubjectRequest]:
        """All requests of this kind, newest first. Raises ``StoreDamaged`` if one was tampered with."""
        rows = await asyncio.to_thread(self._ledger.all, SUBJECT_REQUEST)
        return [
            self._read(row) for row in reversed(rows) if row["tenant"] == tenant and row["kind"] == self._kind.value
        ]

    async def row(self, request_id: str, tenant: str) -> StoredRow:
        """The row of a request. Raises as ``get`` does."""
        row = await asyncio.to_thread(self._ledger.get, SUBJECT_REQUEST, request_id)
        if row is None or row["tenant"] != tenant or row["kind"] != self._kind.value:
            raise SubjectRequestNotFound(f"no {self._kind} request {request_id}")
        return row

    async def change(self, row: StoredRow, **changes: object) -> SubjectRequest:
        """The next version of a request."""
        changes["changed_at"] = to_micros(self._acts.now())
        try:
            return self._read(await asyncio.to_thread(self._ledger.change, SUBJECT_REQUEST, row, changes))
        except RowChanged:
            message = f"request {row.id} was changed by somebody else meanwhile: look again"
            raise self._refusal(message, LogReason.SUBJECT_REFUSED) from None

    async def _decide(self, request_id: str, by: Officer, tenant: str, *, is_approval: bool) -> SubjectRequest:
        row = await self.row(request_id, tenant)
        request = self._read(row)
        event = self._approved if is_approval else self._rejected
        try:
            if request.state is not SubjectRequestState.REQUESTED:
                message = f"request {request_id} is {request.state}, this needs a requested one"
                raise self._refusal(message, LogReason.SUBJECT_REFUSED)
            if is_approval:
                others = (request.requested.actor, request.actor)
                check_second(by, others, self._refusal, f"the same person asked for {request_id}, or it is about them")
                self._acts.check_fresh(by)
        except Refused as error:
            await self._acts.refuse(event, by, error, about=request_id, tenant=tenant)
        await self._acts.record(event, by, {"request": request_id}, about=request_id, tenant=tenant)
        now = self._acts.now()
        changes: dict[str, object] = {"decided": Signature.of(by, now).as_json()}
        if is_approval and self._kind is SubjectRequestKind.EXPORT:
            changes["expires_at"] = to_micros(now + APPROVAL_LIFE)
        state = SubjectRequestState.APPROVED if is_approval else SubjectRequestState.REJECTED
        return await self.change(row, state=state.value, **changes)

    def _read(self, row: StoredRow) -> SubjectRequest:
        state = SubjectRequestState(row["state"])
        expires_at = from_micros(row["expires_at"]) if row["expires_at"] is not None else None
        if state is SubjectRequestState.APPROVED and expires_at is not None and self._acts.now() >= expires_at:
            state = SubjectRequestState.EXPIRED
        return SubjectRequest(
            id=row.id,
            tenant=row["tenant"],
            kind=SubjectRequestKind(row["kind"]),
            state=state,
            actor=row["actor"]["text"],
            note=row["note"]["text"],
            created_at=from_micros(row["created_at"]),
            expires_at=expires_at,
            requested=Signature.from_json(row["requested"]),
            decided=Signature.from_json(row["decided"]) if row["decided"] else None,
            receipts=tuple(row["receipts"]["items"]) if row["receipts"] else (),
        )
