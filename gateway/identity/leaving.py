"""Ending sessions, and giving back what providers gave for them.

The order: our sessions end first, in one transaction, and nothing that a provider does or fails to do keeps one alive.
Then its refresh tokens are revoked there (RFC 7009), as far as it offers that and answers in time: a copy of one, from
a backup for instance, is worth nothing afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.oidc import OidcProvider
from gateway.identity.sealing import Purpose, Sealer
from gateway.identity.sessions import credential_id
from gateway.identity.tables import people, sessions
from gateway.storage.database import Database

log = logging.getLogger(__name__)

GIVE_BACK_SECONDS: Final = 3.0
"""Longest wait for the provider, all tokens together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session that ended, and what we held for it."""

    credential_id: str
    actor: ActorId
    refresh_token: str = field(repr=False)
    id_token: str = field(repr=False)


class Leaving:
    """Ends sessions: a person's, or those that a provider names."""

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, OidcProvider],
        sealer: Sealer,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._sealer = sealer
        self._clock = clock

    async def everywhere(self, actor: ActorId) -> Sequence[Ended]:
        """End every session of this person, and every access token issued until now. Durable when it returns."""
        async with self._database.transaction() as tx:
            revoked = {"epoch": people.c.epoch + 1, "revoked_at": self._clock()}
            await tx.execute(update(people).where(people.c.id == actor).values(revoked))
            return await self.end(tx, sessions.c.actor == actor)

    async def of_provider(self, provider: str, session: str, subject: str) -> Sequence[Ended]:
        """End the sessions that came from the provider's own session of that id. Durable when it returns.

        `subject` is whose it is, where the provider says so: then sessions of theirs for which it never told us an id
        end as well, since any of them may be the one."""
        mine = sessions.c.actor.startswith(f"{provider}|", autoescape=True)
        meant = mine & (sessions.c.provider_session == session)
        if subject:
            named = sessions.c.provider_session.in_((session, ""))
            meant = (sessions.c.actor == f"{provider}|{subject}") & named
        async with self._database.transaction() as tx:
            return await self.end(tx, meant)

    async def end(self, tx: AsyncConnection, meant: ColumnElement[bool]) -> Sequence[Ended]:
        """Take sessions out within the caller's transaction; `give_back` what was held once that is committed."""
        rows = (await tx.execute(select(sessions).where(meant))).all()
        await tx.execute(delete(sessions).where(sessions.c.id_sha256.in_([row.id_sha256 for row in rows])))
        return [
            Ended(
                credential_id=credential_id(row.id_sha256),
                actor=ActorId(row.actor),
                refresh_token=self._sealer.open(row.sealed_refresh_token, Purpose.REFRESH, row.id_sha256) or "",
                id_token=self._sealer.open(row.sealed_id_token, Purpose.ID_TOKEN, row.id_sha256) or "",
            )
            for row in rows
        ]

    async def give_back(self, ended: Sequence[Ended]) -> None:
        """Revoke the refresh tokens of ended sessions at their providers. Never raises; takes 3 s at most."""
        work = [
            self._providers[name].revoke(one.refresh_token)
            for one in ended
            if one.refresh_token and (name := one.actor.partition("|")[0]) in self._providers
        ]
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await asyncio.gather(*work)
        except TimeoutError:
            log.warning("sign-out.tokens-not-given-back", extra={"fields": {"tokens": len(work)}})
