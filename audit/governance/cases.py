"""Cases: permission to open content. One person asks, another approves, both with names, a purpose and an end.

A case goes ``requested`` -> ``active`` -> ``closed``, or ``requested`` -> ``rejected``; past ``expires_at`` it is
``expired`` whatever the row says. Nothing prolongs a case: whoever needs longer asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn

from audit.errors import CaseNotFound, CaseRefused, Refused
from audit.governance.acts import Acts, check_second
from audit.governance.ledger import Ledger, RowChanged, StoredRow
from audit.governance.officer import Officer, Signature
from audit.governance.scope import RecordFacts, Scope, check_text
from audit.governance.tables import CASE
from audit.ids import new_event_id
from audit.record import Phase, RecordRef, from_micros, to_micros
from audit.vocabulary import LogEvent, LogReason

MAX_LIFE = timedelta(days=30)
_TRIES = 20  # two openings at once: the second counts again


class CaseState(StrEnum):
    """Where a case stands."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REJECTED = "rejected"
    CLOSED = "closed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case as it is now. ``purpose`` and the names are sealed at rest: show them to those who may look at cases."""

    id: str
    tenant: str
    state: CaseState
    purpose: str = field(repr=False)
    scope: Scope = field(repr=False)
    created_at: datetime
    expires_at: datetime
    openings: int
    requested: Signature = field(repr=False)
    decided: Signature | None = field(repr=False)
    closed: Signature | None = field(repr=False)

    @property
    def openings_left(self) -> int:
        return max(0, self.scope.max_openings - self.openings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Permission to open one record once. Whatever decrypts content takes one of these."""

    case_id: str
    event_id: str
    access: RecordRef  # the durable record of this opening
    openings_left: int


class Cases:
    """Cases of one log. Methods that change something record it first and raise ``AuditUnavailable`` if they can't."""

    def __init__(self, ledger: Ledger, acts: Acts) -> None:
        self._ledger = ledger
        self._acts = acts

    async def request(
        self, purpose: str, scope: Scope, expires_at: datetime, requested_by: Officer, *, tenant: str = "default"
    ) -> Case:
        """Ask for a case. Raises ``EntryInvalid`` for a purpose or scope that is not one, ``CaseRefused`` for an end
        that is past or more than 30 days away."""
        check_text("purpose", purpose)
        now = self._acts.now()
        case_id = new_event_id(now)
        if not now < expires_at <= now + MAX_LIFE:
            error = CaseRefused("a case ends within 30 days from now: choose such an end", LogReason.CASE_REFUSED)
            await self._refuse(LogEvent.CASE_REQUEST, requested_by, error, case_id, tenant)
        await self._acts.record(
            LogEvent.CASE_REQUEST,
            requested_by,
            {"case": case_id, "purpose": purpose, "scope": scope.as_json(), "expires_at": expires_at.isoformat()},
            about=case_id,
            tenant=tenant,
        )
        row = await asyncio.to_thread(
            self._ledger.insert,
            CASE,
            {
                "id": case_id,
                "tenant": tenant,
                "state": CaseState.REQUESTED.value,
                "created_at": to_micros(now),
                "changed_at": to_micros(now),
                "expires_at": to_micros(expires_at),
                "openings": 0,
                "purpose": {"text": purpose},
                "scope": scope.as_json(),
                "requested": Signature.of(requested_by, now).as_json(),
            },
        )
        return self._case(row)

    async def approve(self, case_id: str, by: Officer, *, tenant: str = "default") -> Case:
        """Make a case active. Never by who asked for it or by who may open under it; needs a fresh second factor."""
        return await self._decide(LogEvent.CASE_APPROVE, CaseState.ACTIVE, case_id, by, tenant)

    async def reject(self, case_id: str, by: Officer, *, tenant: str = "default") -> Case:
        """Turn a case down. Not by who asked for it: they close it."""
        return await self._decide(LogEvent.CASE_REJECT, CaseState.REJECTED, case_id, by, tenant)

    async def close(self, case_id: str, by: Officer, *, tenant: str = "default") -> Case:
        """End a case before its time. Anybody may: it only takes permission away."""
        row, case = await self._find(case_id, tenant)
        if case.state in (CaseState.REJECTED, CaseState.CLOSED):
            error = CaseRefused(f"case {case_id} is {case.state}: there is nothing to close", LogReason.CASE_REFUSED)
            await self._refuse(LogEvent.CASE_CLOSE, by, error, case_id, tenant)
        await self._acts.record(LogEvent.CASE_CLOSE, by, {"case": case_id}, about=case_id, tenant=tenant)
        signature = Signature.of(by, self._acts.now()).as_json()
        for _ in range(_TRIES):  # an opening may count meanwhile; closing must win all the same
            try:
                return await self._change(row, state=CaseState.CLOSED.value, closed=signature)
            except RowChanged:
                row, case = await self._find(case_id, tenant)
                if case.state in (CaseState.REJECTED, CaseState.CLOSED):
                    return case
        raise CaseRefused(f"case {case_id} changes all the time: try again", LogReason.CASE_REFUSED)

    async def get(self, case_id: str, *, tenant: str = "default") -> Case:
        """Raises ``CaseNotFound``; ``StoreDamaged`` if the row is not as it was written."""
        return (await self._find(case_id, tenant))[1]

    async def list(self, *, tenant: str = "default") -> Sequence[Case]:
        """All cases, newest first. Raises ``StoreDamaged`` if one was changed, put back or taken out."""
        rows = await asyncio.to_thread(self._ledger.all, CASE)
        return [self._case(row) for row in reversed(rows) if row["tenant"] == tenant]

    async def permit_opening(self, case_id: str, facts: RecordFacts, officer: Officer) -> Opening:
        """Permission to open a record now, recorded and counted before it is given.

        The case must be active, unexpired, not used up, and its scope must cover the record; the officer must be who
        asked for it or a named member, with a fresh second factor. Raises ``CaseRefused``, ``FreshMfaRequired`` (both
        on record) or ``CaseNotFound``.
        """
        event_id, tenant = facts.event_id, facts.tenant
        for _ in range(_TRIES):
            row, case = await self._find(case_id, tenant)
            try:
                self._check_opening(case, facts, officer)
            except Refused as error:
                await self._acts.refuse(
                    LogEvent.OPEN_CONTENT,
                    officer,
                    error,
                    about=event_id,
                    tenant=tenant,
                    phase=Phase.ACCESS,
                    target=event_id,
                )
            access = await self._acts.record(
                LogEvent.OPEN_CONTENT,
                officer,
                {"event_id": event_id, "case": case_id, "purpose": case.purpose},
                about=event_id,
                tenant=tenant,
                phase=Phase.ACCESS,
                target=event_id,
            )
            try:
                counted = await self._change(row, openings=case.openings + 1)
            except RowChanged:
                continue  # somebody opened, or closed the case: look again. The record of this try stays
            return Opening(case_id=case_id, event_id=event_id, access=access, openings_left=counted.openings_left)
        raise CaseRefused(f"case {case_id} is in use by too many at once: try again", LogReason.CASE_REFUSED)

    def _check_opening(self, case: Case, facts: RecordFacts, officer: Officer) -> None:
        problem = ""
        if case.state is not CaseState.ACTIVE:
            problem = f"it is {case.state}"
        elif officer.actor not in (case.requested.actor, *case.scope.members):
            problem = "only who asked for it and its members may open under it"
        elif not case.scope.covers(facts):
            problem = f"its scope does not cover record {facts.event_id}; ask for a case that does"
        elif not case.openings_left:
            problem = f"its {case.scope.max_openings} openings are used up"
        if problem:
            raise CaseRefused(f"case {case.id} does not permit this: {problem}", LogReason.CASE_REFUSED)
        self._acts.check_fresh(officer)

    async def _decide(self, event: LogEvent, state: CaseState, case_id: str, by: Officer, tenant: str) -> Case:
        row, case = await self._find(case_id, tenant)
        try:
            if case.state is not CaseState.REQUESTED:
                raise CaseRefused(f"case {case_id} is {case.state}: only a requested one", LogReason.CASE_REFUSED)
            check_second(by, (case.requested.actor,), CaseRefused, f"case {case_id} was requested by the same person")
            if state is CaseState.ACTIVE:
                check_second(by, case.scope.members, CaseRefused, f"case {case_id} lets the same person open records")
                self._acts.check_fresh(by)
        except Refused as error:
            await self._refuse(event, by, error, case_id, tenant)
        await self._acts.record(event, by, {"case": case_id}, about=case_id, tenant=tenant)
        signature = Signature.of(by, self._acts.now()).as_json()
        try:
            return await self._change(row, state=state.value, decided=signature)
        except RowChanged:
            raise CaseRefused(
                f"case {case_id} was decided by somebody else meanwhile", LogReason.CASE_REFUSED
            ) from None

    async def _find(self, case_id: str, tenant: str) -> tuple[StoredRow, Case]:
        row = await asyncio.to_thread(self._ledger.get, CASE, case_id)
        if row is None or row["tenant"] != tenant:
            raise CaseNotFound(f"no case {case_id}")
        return row, self._case(row)

    async def _change(self, row: StoredRow, **changes: object) -> Case:
        changes["changed_at"] = to_micros(self._acts.now())
        return self._case(await asyncio.to_thread(self._ledger.change, CASE, row, changes))

    async def _refuse(self, event: LogEvent, by: Officer, error: Refused, case_id: str, tenant: str) -> NoReturn:
        await self._acts.refuse(event, by, error, about=case_id, tenant=tenant)

    def _case(self, row: StoredRow) -> Case:
        state, expires_at = CaseState(row["state"]), from_micros(row["expires_at"])
        if state in (CaseState.REQUESTED, CaseState.ACTIVE) and self._acts.now() >= expires_at:
            state = CaseState.EXPIRED
        return Case(
            id=row.id,
            tenant=row["tenant"],
            state=state,
            purpose=row["purpose"]["text"],
            scope=Scope.from_json(row["scope"]),
            created_at=from_micros(row["created_at"]),
            expires_at=expires_at,
            openings=row["openings"],
            requested=Signature.from_json(row["requested"]),
            decided=Signature.from_json(row["decided"]) if row["decided"] else None,
            closed=Signature.from_json(row["closed"]) if row["closed"] else None,
        )
