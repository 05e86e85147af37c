"""Where somebody is signed in: their sessions as they may see them, and ending one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from gateway.exchange import ActorId
from gateway.identity.leaving import Leaving
from gateway.identity.sessions import credential_id
from gateway.identity.tables import people, sessions
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """One session. `id` names it in records too, and opens nothing."""

    id: str
    started_at: datetime
    seen_at: datetime
    expires_at: datetime
    network: str
    device: str


class OwnSessions:
    """Reads and ends a person's own sessions."""

    def __init__(self, database: Database, leaving: Leaving, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._leaving = leaving
        self._clock = clock

    async def of(self, actor: ActorId) -> Sequence[OwnSession]:
        """Those that are not over, the latest used first. One left alone too long may be among them."""
        query = (
            select(sessions)
            .join(people, people.c.id == sessions.c.actor)
            .where(sessions.c.actor == actor, sessions.c.epoch == people.c.epoch, sessions.c.expires_at > self._clock())
            .order_by(sessions.c.seen_at.desc())
        )
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        return [
            OwnSession(
                id=credential_id(row.id_sha256),
                started_at=row.started_at,
                seen_at=row.seen_at,
                expires_at=row.expires_at,
                network=row.network,
                device=row.device,
            )
            for row in rows
        ]

    async def end(self, actor: ActorId, id: str) -> bool:
        """End one of the actor's own at once. False when there is none by that name. Durable when it returns."""
        async with self._database.transaction() as tx:
            mine = (await tx.execute(select(sessions.c.id_sha256).where(sessions.c.actor == actor))).scalars().all()
            found = [digest for digest in mine if credential_id(digest) == id]
            ended = await self._leaving.end(tx, sessions.c.id_sha256.in_(found))
        await self._leaving.give_back(ended)
        return bool(ended)
