"""May this person still come in? A session asks the provider again by refresh token, every few minutes of its use.

So somebody who left the company, or lost a group, loses what they had here without anybody telling us (where the
provider tells us by itself, `backchannel.py` and SCIM are faster). A session whose provider gave no refresh token is
never asked about: it ends by its own limits.

Which way it falls: the provider says no, or answers about somebody else: the session ends at once. It doesn't answer:
the session goes on until twice the interval has passed since it last did, and is then refused until it answers again.
A second factor is never refreshed by this: nobody was asked for one.

One question at a time for each session, over all gateways: a refresh token works once at many providers, and using it
twice looks to them like theft and ends all of them (RFC 9700, 4.14).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import or_, select, update

from gateway.errors import IdentityUnavailable
from gateway.exchange import Origin
from gateway.identity.discovery import unreachable
from gateway.identity.oidc import Lapsed, OidcProvider, Puzzling
from gateway.identity.people import People
from gateway.identity.profile import Described, describe
from gateway.identity.refusals import refused_credential
from gateway.identity.sealing import Purpose, Sealer
from gateway.identity.sessions import Session, Sessions
from gateway.identity.tables import sessions as table
from gateway.storage.database import Database

log = logging.getLogger(__name__)

CLAIM_SECONDS: Final = 20
"""A question that takes longer was asked by a gateway that is gone. More than two timeouts of the provider's HTTP."""
PATIENCE_SECONDS: Final = 6.0
"""How long a request waits for another gateway's answer."""
POLL_SECONDS: Final = 0.05
AWAY_SECONDS: Final = 10
"""After a question without an answer, the provider is left alone so long: each would cost its request a timeout. After
an answer that we don't understand, it is not asked about that session: one person's trouble holds up nobody else."""
GRACE: Final = 2
"""Intervals after which a session without an answer is refused."""

OnLapse = Callable[[Session, str, Origin], Awaitable[None]]
"""Told of a session that ended because its provider said no: which, why, and where it was used. Must not raise."""


class _Verdict(Enum):
    GOOD = auto()
    LAPSED = auto()
    AWAY = auto()


class Recheck:
    """Asks, at most once at a time for each session. Touched by the event loop's thread only."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: Sessions,
        people: People,
        providers: Mapping[str, OidcProvider],
        sealer: Sealer,
        clock: Callable[[], datetime],
        on_lapse: OnLapse | None = None,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._people = people
        self._providers = providers
        self._sealer = sealer
        self._clock = clock
        self._on_lapse = on_lapse
        self._asking: dict[str, asyncio.Task[_Verdict]] = {}
        self._left_alone: dict[str, datetime] = {}  # provider, or digest of a session -> until

    async def confirm(self, session: Session, origin: Origin) -> Session:
        """The session, vouched for not longer ago than the provider's interval.

        Raises Unauthenticated when it ended by this, IdentityUnavailable when the provider is away for too long."""
        name, _, _ = session.person.id.partition("|")
        provider = self._providers.get(name)
        if provider is None or session.sealed_refresh_token is None:
            return session
        interval, now = timedelta(seconds=provider.provider.recheck_seconds), self._clock()
        if now - session.checked_at < interval:
            return session
        is_left_alone = any(now < self._left_alone.get(what, now) for what in (name, session.digest))
        verdict = _Verdict.AWAY if is_left_alone else await self._verdict(session, provider, origin)
        if verdict is _Verdict.LAPSED:
            raise refused_credential("session-lapsed", session.credential_id)
        if verdict is _Verdict.AWAY:
            if self._clock() - session.checked_at >= GRACE * interval:
                raise unreachable()
            return session
        found = await self._sessions.by_digest(session.digest)
        if found is None:  # ended meanwhile by something else
            raise refused_credential("session", session.credential_id)
        return found

    async def _verdict(self, session: Session, provider: OidcProvider, origin: Origin) -> _Verdict:
        asking = self._asking.get(session.digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(session, provider, origin), name="recheck")
            self._asking[session.digest] = asking
            asking.add_done_callback(lambda done: self._forget(session.digest, done))
        # Shielded: the person who closes the page now must not leave a refresh token used and its successor unkept.
        return await asyncio.shield(asking)

    def _forget(self, digest: str, done: asyncio.Task[_Verdict]) -> None:
        self._asking.pop(digest, None)
        if not done.cancelled() and done.exception() is not None:
            log.error("recheck.failed", extra={"fields": {"cause": type(done.exception()).__name__}})

    async def _ask(self, session: Session, provider: OidcProvider, origin: Origin) -> _Verdict:
        if not await self._claim(session):
            return await self._verdict_of_another(session)
        name, _, subject = session.person.id.partition("|")
        try:
            claims = await self._answer(session, provider, subject)
        except Lapsed as no:
            await self._end(session, no.cause, origin)
            return _Verdict.LAPSED
        except IdentityUnavailable as error:
            self._leave_alone(session.digest if isinstance(error, Puzzling) else name)
            await self._note(session, {})
            return _Verdict.AWAY
        self._left_alone.pop(name, None)
        return await self._keep(session, provider, claims, origin)

    def _leave_alone(self, what: str) -> None:
        now = self._clock()
        self._left_alone = {name: until for name, until in self._left_alone.items() if now < until}
        self._left_alone[what] = now + timedelta(seconds=AWAY_SECONDS)

    async def _answer(self, session: Session, provider: OidcProvider, subject: str) -> Mapping[str, Any] | None:
        token = self._sealer.open(session.sealed_refresh_token, Purpose.REFRESH, session.digest)
        if token is None:
            raise Lapsed("unreadable")  # the identity secret is another now
        answer = await provider.refresh(token)
        if (successor := answer.get("refresh_token")) and successor != token:
            # Kept before it is judged: the old one is used up, whatever we think of the rest.
            sealed = self._sealer.seal(str(successor), Purpose.REFRESH, session.digest)
            async with self._database.transaction() as tx:
                await tx.execute(
                    update(table).where(table.c.id_sha256 == session.digest).values(sealed_refresh_token=sealed)
                )
        first = self._sealer.open(session.sealed_id_token, Purpose.ID_TOKEN, session.digest) or ""
        return await provider.confirmed(answer, subject, first)

    async def _keep(
        self, session: Session, provider: OidcProvider, claims: Mapping[str, Any] | None, origin: Origin
    ) -> _Verdict:
        """Write down what was said. Other roles than before raise the epoch, so this session ends too, and its person
        signs in anew: nobody's rights change under a session that runs (OWASP Session Management, renewal)."""
        person = session.person
        if claims is not None:
            described = _described(provider, claims, session)
            async with self._database.transaction() as tx:
                person = await self._people.seen(tx, session.person.id, described, is_sign_in=False)
        if person.epoch != session.person.epoch:
            await self._end(session, "roles-changed", origin)
            return _Verdict.LAPSED
        await self._note(session, {"checked_at": self._clock()})
        return _Verdict.GOOD

    async def _claim(self, session: Session) -> bool:
        """Whether it is ours to ask. Not when another gateway is at it, nor when one was since we read the session."""
        now = self._clock()
        unclaimed = or_(
            table.c.rechecking_since.is_(None), table.c.rechecking_since <= now - timedelta(seconds=CLAIM_SECONDS)
        )
        claim = (
            update(table)
            .where(
                table.c.id_sha256 == session.digest,
                table.c.sealed_refresh_token == session.sealed_refresh_token,
                or_(table.c.checked_at.is_(None), table.c.checked_at <= session.checked_at),
                unclaimed,
            )
            .values(rechecking_since=now)
        )
        async with self._database.transaction() as tx:
            return bool((await tx.execute(claim)).rowcount == 1)

    async def _verdict_of_another(self, session: Session) -> _Verdict:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        query = select(table.c.checked_at, table.c.rechecking_since).where(table.c.id_sha256 == session.digest)
        while asyncio.get_running_loop().time() < deadline:
            async with self._database.reading() as tx:
                row = (await tx.execute(query)).one_or_none()
            if row is None:
                return _Verdict.LAPSED
            if row.checked_at is not None and row.checked_at > session.checked_at:
                return _Verdict.GOOD
            if row.rechecking_since is None:
                return _Verdict.AWAY
            await asyncio.sleep(POLL_SECONDS)
        return _Verdict.AWAY

    async def _note(self, session: Session, values: dict[str, Any]) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(
                update(table).where(table.c.id_sha256 == session.digest).values(rechecking_since=None, **values)
            )

    async def _end(self, session: Session, cause: str, origin: Origin) -> None:
        async with self._database.transaction() as tx:
            await self._sessions.end(tx, session.digest)
        log.info("session.lapsed", extra={"fields": {"credential": session.credential_id, "cause": cause}})
        if self._on_lapse is not None:
            await self._on_lapse(session, cause, origin)


def _described(provider: OidcProvider, claims: Mapping[str, Any], session: Session) -> Described:
    """What is said now. Groups that are not said are gone; a name, an address or a department that is not said stays:
    those give no rights, and a refreshed ID token may be shorter than the first."""
    profile = provider.provider.profile
    person = session.person
    found = describe(profile, claims, person.id.partition("|")[2])
    return replace(
        found,
        display_name=found.display_name if claims.keys() & set(profile.name_claims) else person.display_name,
        email=found.email or person.email,
        department=found.department or person.department,
    )
