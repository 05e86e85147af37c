"""A person leaves: everything by which they could still act ends in one transaction.

The person's row is closed and gets a new epoch; their sessions go; their keys end for good; what they proposed is taken
back; the services that they answer for are named, because a service whose owner is gone is refused. What they had
running is stopped by `gateway/running.py` as soon as this is committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.tables import api_keys, people, proposals, service_accounts, sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What somebody has that ends when they leave. Ids only: it goes into the record."""

    is_known: bool
    """Whether they ever signed in; the rest is empty if not."""
    is_gone: bool
    """Whether they were taken out before."""
    sessions: int = 0
    keys: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Service accounts that are orphans from now on."""

    def content(self) -> dict[str, Any]:
        """For the record."""
        return {
            "sessions": self.sessions,
            "keys": list(self.keys),
            "proposals": list(self.proposals),
            "services": list(self.services),
        }


async def holdings_of(tx: AsyncConnection, id: ActorId) -> Holdings:
    """What would end. Locks the person's row, so that nothing is added before the transaction ends."""
    row = (await tx.execute(select(people.c.deprovisioned_at).where(people.c.id == id).with_for_update())).one_or_none()
    if row is None:
        return Holdings(is_known=False, is_gone=False)

    async def ids(query: Any) -> tuple[str, ...]:
        return tuple((await tx.execute(query)).scalars())

    return Holdings(
        is_known=True,
        is_gone=row.deprovisioned_at is not None,
        sessions=len(await ids(select(sessions.c.id_sha256).where(sessions.c.actor == id))),
        keys=await ids(select(api_keys.c.id).where(api_keys.c.actor == id, api_keys.c.revoked_at.is_(None))),
        proposals=await ids(select(proposals.c.id).where(proposals.c.proposed_by == id, proposals.c.status == "open")),
        services=await ids(select(service_accounts.c.id).where(service_accounts.c.owner == id)),
    )


async def close(tx: AsyncConnection, id: ActorId, now: datetime) -> None:
    """End it all. Doing it again ends what came since."""
    await tx.execute(
        update(people)
        .where(people.c.id == id)
        .values(deprovisioned_at=now, revoked_at=now, epoch=people.c.epoch + 1, scim_groups=[])
    )
    await tx.execute(delete(sessions).where(sessions.c.actor == id))
    unrevoked = (api_keys.c.actor == id) & api_keys.c.revoked_at.is_(None)
    await tx.execute(update(api_keys).where(unrevoked).values(revoked_at=now))
    still_open = (proposals.c.proposed_by == id) & (proposals.c.status == "open")
    await tx.execute(update(proposals).where(still_open).values(status="withdrawn", decided_at=now))


async def reopen(tx: AsyncConnection, id: ActorId) -> None:
    """They may sign in again. Nothing that ended comes back: no session, no key, no proposal; a suspension stays."""
    await tx.execute(update(people).where(people.c.id == id).values(deprovisioned_at=None, epoch=people.c.epoch + 1))
