"""What people are told about their own account, so that they are the first to see what they did not do themselves.

A notice waits on the person's pages until they say that they have seen it, and is kept for 90 days. It is told in the
transaction of what it tells of where there is one; it never holds a secret.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.tables import notices
from gateway.storage.database import Database

KEPT_DAYS: Final = 90
SHOWN: Final = 50


class NoticeKind(StrEnum):
    """What happened to an account."""

    NEW_BROWSER = "new-browser"
    NEW_KEY = "new-key"
    KEY_REVOKED = "key-revoked"
    ROLES_CHANGED = "roles-changed"
    REINSTATED = "reinstated"
    EMERGENCY = "emergency"
    SERVICE = "service"
    POLICY = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice. `facts` are texts that its page shows."""

    id: str
    kind: NoticeKind
    facts: Mapping[str, str]
    at: datetime
    seen_at: datetime | None


class Notices:
    """Tells and shows notices."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def tell(self, actor: ActorId, kind: NoticeKind, **facts: str) -> None:
        """Durable when it returns. The person must be known."""
        async with self._database.transaction() as tx:
            await self.tell_within(tx, actor, kind, **facts)

    async def tell_within(self, tx: AsyncConnection, actor: ActorId, kind: NoticeKind, **facts: str) -> None:
        """The same, in the caller's transaction. Old ones of this person are forgotten."""
        now = self._clock()
        too_old = (notices.c.actor == actor) & (notices.c.at < now - timedelta(days=KEPT_DAYS))
        await tx.execute(delete(notices).where(too_old))
        row: dict[str, Any] = {"id": str(uuid.uuid4()), "actor": actor, "kind": kind.value, "facts": facts, "at": now}
        await tx.execute(insert(notices).values(**row))

    async def of(self, actor: ActorId, *, only_unseen: bool = False) -> Sequence[Notice]:
        """The newest first."""
        query = select(notices).where(notices.c.actor == actor).order_by(notices.c.at.desc(), notices.c.id)
        if only_unseen:
            query = query.where(notices.c.seen_at.is_(None))
        async with self._database.reading() as tx:
            rows = (await tx.execute(query.limit(SHOWN))).all()
        known = set(NoticeKind)
        return [
            Notice(id=row.id, kind=NoticeKind(row.kind), facts=row.facts, at=row.at, seen_at=row.seen_at)
            for row in rows
            if row.kind in known
        ]

    async def seen(self, actor: ActorId) -> None:
        """The person has seen all that were told until now."""
        mine = (notices.c.actor == actor) & notices.c.seen_at.is_(None)
        async with self._database.transaction() as tx:
            await tx.execute(update(notices).where(mine).values(seen_at=self._clock()))
