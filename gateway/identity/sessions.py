"""Browser sessions, kept here; the browser holds only a random name for one (OWASP Session Management Cheat Sheet).

The id is 256 random bits. The table knows its SHA-256, so that a copy of the database opens no session. An id is made
by us, at sign-in and again at step-up: one that someone brings along is never adopted (session fixation, CWE-384).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId, Mfa
from gateway.identity.people import Person, person_of
from gateway.identity.roles import RoleMap
from gateway.identity.tables import people, sessions
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Role

ID_BYTES: Final = 32
TOUCH_SECONDS: Final = 60
"""How often use is written down. It may end an idle session up to this much early, never late."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is good now, and whose it is."""

    digest: str
    person: Person
    roles: frozenset[Role]
    mfa: Mfa
    expires_at: datetime

    @property
    def credential_id(self) -> str:
        """Names it in records: half of the digest, useless for opening it."""
        return credential_id(self.digest)


@dataclass(frozen=True, slots=True)
class SessionId:
    """A fresh session's secret name."""

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(ID_BYTES), repr=False)

    @property
    def digest(self) -> str:
        return digest_of(self.secret)


def digest_of(secret: str) -> str:
    """SHA-256 in hex. A plain hash is enough: 256 random bits can't be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def credential_id(digest: str) -> str:
    """How records name a session."""
    return f"session-{digest[:32]}"


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(
        self, database: Database, settings: IdentitySettings, roles: RoleMap, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._settings = settings
        self._roles = roles
        self._clock = clock

    async def start(
        self, tx: AsyncConnection, id: SessionId, person: Person, mfa: Mfa, *, expires_at: datetime | None = None
    ) -> datetime:
        """Write a session down; returns its absolute end. A step-up passes the end of the session it replaces."""
        now = self._clock()
        end = expires_at or now + timedelta(seconds=self._settings.session_absolute_seconds)
        await tx.execute(delete(sessions).where(sessions.c.actor == person.id, sessions.c.expires_at <= now))
        await tx.execute(
            insert(sessions).values(
                id_sha256=id.digest,
                actor=person.id,
                epoch=person.epoch,
                started_at=now,
                seen_at=now,
                expires_at=end,
                mfa_at=mfa.at,
                amr=list(mfa.amr),
                acr=mfa.acr,
            )
        )
        return end

    async def find(self, secret: str) -> Session | None:
        """The session of that id if it is good now; None else. Notes the use."""
        if _ID.fullmatch(secret) is None:
            return None
        digest = digest_of(secret)
        query = select(people, sessions).join(sessions, sessions.c.actor == people.c.id)
        async with self._database.reading() as tx:
            row = (await tx.execute(query.where(sessions.c.id_sha256 == digest))).one_or_none()
        if row is None:
            return None
        found = row._mapping
        person, now = person_of(row), self._clock()
        roles = self._roles.roles_of(person.groups, who=person.id)
        idle = timedelta(
            seconds=self._settings.session_idle_admin_seconds
            if Role.ADMIN in roles
            else self._settings.session_idle_seconds
        )
        if (
            not person.is_active
            or found[sessions.c.epoch] != person.epoch
            or now >= found[sessions.c.expires_at]
            or now - found[sessions.c.seen_at] >= idle
        ):
            return None
        if now - found[sessions.c.seen_at] >= timedelta(seconds=TOUCH_SECONDS):
            async with self._database.transaction() as tx:
                await tx.execute(update(sessions).where(sessions.c.id_sha256 == digest).values(seen_at=now))
        return Session(
            digest=digest,
            person=person,
            roles=roles,
            mfa=Mfa(at=found[sessions.c.mfa_at], amr=tuple(found[sessions.c.amr]), acr=found[sessions.c.acr]),
            expires_at=found[sessions.c.expires_at],
        )

    async def end(self, tx: AsyncConnection, digest: str) -> None:
        """Forget one session."""
        await tx.execute(delete(sessions).where(sessions.c.id_sha256 == digest))

    async def forget_all(self, actor: ActorId) -> None:
        """Remove the rows of a person's sessions. `People.revoke` is what ends them; this tidies up."""
        async with self._database.transaction() as tx:
            await tx.execute(delete(sessions).where(sessions.c.actor == actor))
