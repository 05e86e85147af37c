"""What takes two people: one proposes, another with a fresh second factor agrees to exactly that, or nothing happens.

Dynamic separation of duties (NIST SP 800-53 r5, AC-5; RBAC, ANSI INCITS 359, section 5.4). What is agreed to is named
by a digest over kind and payload: a decision about one text can't be used for another. The database itself refuses
(`ck_proposals_two_people`) that one person does both.

Whoever uses this records each step in the audit log before it is stored, and carries out what was agreed to in the
transaction of `decide`: an approval without its effect, or an effect without its approval, can't exist.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import ActorId, Reason
from gateway.identity.tables import proposals
from gateway.storage.database import Database
from gateway.vocabulary import Code, Severity

MAX_NOTE: Final = 500

Status = Literal["open", "approved", "rejected", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One proposal. `digest` is what a second person agrees to."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    digest: str
    note: str
    proposed_by: ActorId
    proposed_at: datetime
    expires_at: datetime
    status: Status = "open"
    decided_by: ActorId | None = None
    decided_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.status == "open" and now < self.expires_at


class Proposals:
    """Makes, shows and decides proposals. Methods that take a connection belong to the caller's transaction."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, lifetime: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._lifetime = lifetime

    def draft(self, kind: str, payload: Mapping[str, Any], *, note: str, by: ActorId) -> Proposal:
        """A proposal that is not stored yet, so that its record can come first. Raises InvalidRequest."""
        note = note.strip()
        if not note or len(note) > MAX_NOTE or not note.isprintable():
            raise InvalidRequest(
                f"Say why, in 1 to {MAX_NOTE} printable characters: whoever agrees will read it.", param="note"
            )
        now = self._clock()
        return Proposal(
            id=str(uuid.uuid4()),
            kind=kind,
            payload=payload,
            digest=digest_of(kind, payload),
            note=note,
            proposed_by=by,
            proposed_at=now,
            expires_at=now + self._lifetime,
        )

    async def submit(self, proposal: Proposal) -> None:
        """Store a draft. Durable when it returns."""
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(proposals).values(
                    id=proposal.id,
                    kind=proposal.kind,
                    payload=dict(proposal.payload),
                    digest=proposal.digest,
                    note=proposal.note,
                    proposed_by=proposal.proposed_by,
                    proposed_at=proposal.proposed_at,
                    expires_at=proposal.expires_at,
                    status="open",
                )
            )

    async def find(self, id: str) -> Proposal:
        """Raises NotFound."""
        async with self._database.reading() as tx:
            row = (await tx.execute(select(proposals).where(proposals.c.id == id))).one_or_none()
        if row is None:
            raise NotFound("There is no such proposal.")
        return _proposal(row)

    async def list(self, kinds: Sequence[str], *, only_open: bool = False, limit: int = 100) -> Sequence[Proposal]:
        """The newest first."""
        query = select(proposals).where(proposals.c.kind.in_(kinds)).order_by(proposals.c.proposed_at.desc())
        if only_open:
            query = query.where(proposals.c.status == "open", proposals.c.expires_at > self._clock())
        async with self._database.reading() as tx:
            return [_proposal(row) for row in (await tx.execute(query.limit(limit))).all()]

    def check_decidable(self, proposal: Proposal, *, by: ActorId, digest: str) -> None:
        """Before the decision is recorded: may `by` decide it, and is this what they saw? Raises Denied,
        InvalidRequest."""
        if by == proposal.proposed_by:
            message = "You proposed this yourself, so somebody else has to agree to it."
            raise Denied(
                message, reasons=[Reason(code=Code.SUBJECT_OWN_PROPOSAL, message=message, severity=Severity.LOW)]
            )
        self.check_open(proposal)
        shown = digest_of(proposal.kind, proposal.payload)
        if not hmac.compare_digest(digest.encode(), shown.encode()) or shown != proposal.digest:
            raise InvalidRequest(
                "What you agree to is not what is proposed. Load it again, read it, then decide.", param="digest"
            )

    def check_open(self, proposal: Proposal) -> None:
        """Raises InvalidRequest when it was decided already or is too old."""
        if proposal.status != "open":
            raise InvalidRequest(f"This proposal was {proposal.status} already.")
        if not proposal.is_open(self._clock()):
            raise InvalidRequest("This proposal is too old to be decided. Propose it again.")

    async def decide(
        self, tx: AsyncConnection, proposal: Proposal, *, by: ActorId, status: Literal["approved", "rejected"]
    ) -> None:
        """Write the decision down, in the transaction that also carries it out. Raises what `check_decidable` and a
        race with another decision raise."""
        self.check_decidable(proposal, by=by, digest=proposal.digest)
        await self._close(tx, proposal, by, status)

    async def withdraw(self, proposal: Proposal, *, by: ActorId) -> None:
        """Its author takes it back. Raises Denied for anybody else, InvalidRequest when it is over."""
        if by != proposal.proposed_by:
            raise Denied("Only who proposed this can withdraw it. You can reject it.")
        self.check_open(proposal)
        async with self._database.transaction() as tx:
            await self._close(tx, proposal, by, "withdrawn")

    async def _close(self, tx: AsyncConnection, proposal: Proposal, by: ActorId, status: Status) -> None:
        still_open = (proposals.c.id == proposal.id) & (proposals.c.status == "open")
        still_this = still_open & (proposals.c.digest == proposal.digest)
        changed = await tx.execute(
            update(proposals).where(still_this).values(status=status, decided_by=by, decided_at=self._clock())
        )
        if changed.rowcount != 1:
            raise InvalidRequest("Somebody else decided this proposal just now. Load it again.")


def digest_of(kind: str, payload: Mapping[str, Any]) -> str:
    """SHA-256 over kind and payload as canonical JSON."""
    text = json.dumps([kind, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        digest=row.digest,
        note=row.note,
        proposed_by=ActorId(row.proposed_by),
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        status=row.status,
        decided_by=None if row.decided_by is None else ActorId(row.decided_by),
        decided_at=row.decided_at,
    )
