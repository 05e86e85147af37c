"""Opening content in tests as people do: a case, a second person, a fresh second factor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from audit import AuditLog, Officer, OpenedRecord, Scope, Subject


def officer(log: AuditLog, actor: str = "auditor") -> Officer:
    """Somebody who showed a second factor this moment."""
    return Officer(Subject(actor=actor, display=actor.title()), mfa_at=log.now())


async def approved_case(log: AuditLog, *event_ids: str, by: str = "auditor", purpose: str = "a test") -> str:
    """The id of a case about these events, asked for by one and approved by another."""
    case = await log.governance.cases.request(
        purpose, Scope(event_ids=event_ids), log.now() + timedelta(hours=1), officer(log, by)
    )
    await log.governance.cases.approve(case.id, officer(log, "second-person"))
    return case.id


async def open_content(log: AuditLog, event_id: str, *, by: str = "auditor", **options: Any) -> OpenedRecord:
    """Open one event's content under a case of its own."""
    case_id = await approved_case(log, event_id, by=by, **options)
    return await log.read_content(event_id, opened_by=officer(log, by), case_id=case_id)
