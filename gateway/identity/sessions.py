"""Browser sessions, kept here; the browser holds only a random name for one (OWASP Session Management Cheat Sheet).

The id is 256 random bits. The table knows its SHA-256, so that a copy of the database opens no session. An id is made
by us, at sign-in and again at step-up: one that someone brings along is never adopted (session fixation, CWE-384).

Beside it stands what the provider gave with the sign-in, sealed (`sealing.py`): by the refresh token we ask later
whether the person may still come in (`recheck.py`), by its session id the provider can end ours (`backchannel.py`).
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

from gateway.exchange import Mfa, Origin
from gateway.identity.devices import device_of
from gateway.identity.people import Person, person_of
from gateway.identity.roles import RoleMap
from gateway.identity.sealing import ProviderTokens, Purpose, Sealer
from gateway.identity.tables import people, sessions
from gateway.identity.throttle import network_of
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
    checked_at: datetime
    """When the provider last vouched for the person: at sign-in, or by refresh token since."""
    sealed_refresh_token: bytes | None = field(default=None, repr=False)
    sealed_id_token: bytes | None = field(default=None, repr=False)

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
    """Starts, finds and ends sessions. Without a sealer, nothing that a provider gave is kept."""

    def __init__(
        self,
        database: Database,
        settings: IdentitySettings,
        roles: RoleMap,
        clock: Callable[[], datetime],
        sealer: Sealer | None = None,
    ) -> None:
        self._sealer = sealer
        self._database = database
        self._settings = settings
        self._roles = roles
        self._clock = clock

    async def start(
        self,
        tx: AsyncConnection,
        id: SessionId,
        person: Person,
        mfa: Mfa,
        *,
        expires_at: datetime | None = None,
        tokens: ProviderTokens | None = None,
        origin: Origin | None = None,
    ) -> datetime:
        """Write a session down; returns its absolute end. A step-up passes the end of the session it replaces.
        `origin` is where its browser is, for the person's own list of sessions."""
        now = self._clock()
        end = expires_at or now + timedelta(seconds=self._settings.session_absolute_seconds)
        await tx.execute(delete(sessions).where(sessions.c.actor == person.id, sessions.c.expires_at <= now))
        sealed: dict[str, bytes | None] = {}
        if tokens is not None and self._sealer is not None:
            sealed = {
                "sealed_refresh_token": self._sealer.seal(tokens.refresh_token, Purpose.REFRESH, id.digest),
                "sealed_id_token": self._sealer.seal(tokens.id_token, Purpose.ID_TOKEN, id.digest),
            }
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
                checked_at=now,
                provider_session="" if tokens is None else tokens.session,
                network="" if origin is None else network_of(origin.ip),
                device="" if origin is None else device_of(origin.user_agent),
                **sealed,
            )
        )
        return end

    async def find(self, secret: str) -> Session | None:
        """The session of that id if it is good now; None else. Notes the use."""
        return None if _ID.fullmatch(secret) is None else await self.by_digest(digest_of(secret))

    async def by_digest(self, digest: str) -> Session | None:
        """The same for the SHA-256 of an id."""
        query = select(people, sessions).join(sessions, sessions.c.actor == people.c.id)
        async with self._database.reading() as tx:
            row = (await tx.execute(query.where(sessions.c.id_sha256 == digest))).one_or_none()
        if row is None:
            return None
        found = row._mapping
        person, now = person_of(row), self._clock()
        roles = self._roles.roles_of_person(person.id, person.groups)
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
            checked_at=found[sessions.c.checked_at] or found[sessions.c.started_at],
            sealed_refresh_token=found[sessions.c.sealed_refresh_token],
            sealed_id_token=found[sessions.c.sealed_id_token],
        )

    async def end(self, tx: AsyncConnection, digest: str) -> None:
        """Forget one session."""
        await tx.execute(delete(sessions).where(sessions.c.id_sha256 == digest))
