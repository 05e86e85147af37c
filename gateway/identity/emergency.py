"""Break-glass: two people with two sealed envelopes open an hour of narrow rights, without the identity provider.

For the day when the provider is away, or nobody has the role admin any more (NIST SP 800-53 r5, AC-2 and CP-2).

1. the first holder shows code and one-time password and says why; their browser gets a ticket
2. the second holder shows theirs in another browser, within ten minutes, and sees that reason
3. they agree: both seals are spent, the hour begins, each of the two has a session of their own
4. it ends by itself, or when either of them says so; new seals are made on the host

The two are two actors (`emergency|<id>.<seal>`), so that what takes two people still does: one of them proposes, the
other approves. They have the role `break-glass` and no other. Their sessions end with the hour and can't be renewed.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest
from gateway.exchange import Actor, ActorId, Credentials, Mfa, Origin
from gateway.identity import cookies
from gateway.identity.authenticate import answering
from gateway.identity.cookies import Cookie, CookieNames
from gateway.identity.csrf import CsrfGuard
from gateway.identity.notices import NoticeKind, Notices
from gateway.identity.people import Person, person_of
from gateway.identity.roles import EMERGENCY_PREFIX, EMERGENCY_ROLES
from gateway.identity.seals import Seal, Seals
from gateway.identity.sessions import SessionId, Sessions, credential_id
from gateway.identity.tables import emergencies, people, sessions
from gateway.settings import EmergencySettings
from gateway.storage.database import Database

MAX_REASON: Final = 500
_AMR: Final = ("sealed-code", "otp")
GONE: Final = "This is over. Whoever has a seal that is not spent can begin again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """One emergency, asked for or opened. A drill is none."""

    id: str
    reason: str
    asked_by: str
    """Name of the first seal."""
    asked_at: datetime
    agreed_by: str | None = None
    opened_at: datetime | None = None
    ends_at: datetime | None = None
    closed_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.ends_at is not None and now < self.ends_at  # which it has since it was opened


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a browser holds that showed a seal: which emergency, which seal. `nonce` binds the page's form to it."""

    emergency: str
    seal: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Somebody who may come in as soon as that is recorded."""

    emergency: Emergency
    seal: str
    session_id: SessionId
    actor: Actor


class Emergencies:
    """Asks, agrees, enters, ends. What each step says to the audit log is the caller's, before it is stored."""

    def __init__(
        self,
        *,
        database: Database,
        settings: EmergencySettings,
        seals: Seals,
        ticket_key: bytes,
        cookie_names: CookieNames,
        csrf: CsrfGuard,
        started: Sessions,
        notices: Notices,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._settings = settings
        self.seals = seals
        self._fernet = Fernet(base64.urlsafe_b64encode(ticket_key))
        self._cookie_names = cookie_names
        self._csrf = csrf
        self._sessions = started
        self._notices = notices
        self._clock = clock

    @property
    def drill_days(self) -> int:
        """How long a seal may go without a drill."""
        return self._settings.drill_days

    def ticket(self, cookie: str | None) -> Ticket | None:
        """What this browser holds, if it is good."""
        sealed = cookies.read(cookie, self._cookie_names.emergency)
        seconds = self._settings.second_person_seconds + self._settings.open_seconds
        try:
            now = int(self._clock().timestamp())
            return Ticket(*json.loads(self._fernet.decrypt_at_time((sealed or "").encode(), seconds, now)))
        except (InvalidToken, ValueError, TypeError):
            return None

    def csrf_token(self, ticket: Ticket | None) -> str:
        """For the forms of the page."""
        return self._csrf.token("emergency" if ticket is None else ticket.nonce)

    def check_ours(self, credentials: Credentials, ticket: Ticket | None) -> None:
        """Raises Denied for what no page of ours sent."""
        if not self._csrf.is_ours(
            method=credentials.method,
            session_id="emergency" if ticket is None else ticket.nonce,
            origin=credentials.site_origin,
            fetch_site=credentials.fetch_site,
            token=credentials.csrf_token,
        ):
            raise Denied("This did not come from the emergency page. Load it again.", code="csrf_refused")

    def give(self, emergency: Emergency, seal: Seal) -> Cookie:
        """The ticket, as the cookie to set."""
        plain = json.dumps([emergency.id, seal.name, secrets.token_urlsafe(16)]).encode()
        sealed = self._fernet.encrypt_at_time(plain, int(self._clock().timestamp())).decode()
        return self._cookie(sealed, self._settings.second_person_seconds + self._settings.open_seconds)

    def take_back(self) -> Cookie:
        """Deletes it."""
        return self._cookie("", 0)

    def forget_session(self) -> Cookie:
        """Deletes the session's cookie."""
        names = self._cookie_names
        return Cookie(name=names.session, value="", max_age_seconds=0, secure=names.secure)

    @answering()
    async def find(self, id: str) -> Emergency | None:
        """One of them."""
        async with self._database.reading() as tx:
            return await _find(tx, id)

    @answering()
    async def waiting(self) -> Emergency | None:
        """The newest one that waits for its second person."""
        since = self._clock() - timedelta(seconds=self._settings.second_person_seconds)
        query = (
            select(emergencies)
            .where(emergencies.c.opened_at.is_(None), emergencies.c.asked_at > since, emergencies.c.is_drill.is_(False))
            .order_by(emergencies.c.asked_at.desc())
            .limit(1)
        )
        async with self._database.reading() as tx:
            row = (await tx.execute(query)).one_or_none()
        return None if row is None else _emergency(row)

    def draft(self, seal: Seal, reason: str) -> Emergency:
        """What the first person asks for, not stored yet. Raises InvalidRequest."""
        reason = " ".join(reason.split())
        if not 10 <= len(reason) <= MAX_REASON or not reason.isprintable():
            raise InvalidRequest(
                f"Say what happened, in 10 to {MAX_REASON} characters: the second person reads it.",
                param="reason",
            )
        return Emergency(id=str(uuid.uuid4()), reason=reason, asked_by=seal.name, asked_at=self._clock())

    @answering()
    async def ask(self, asked: Emergency) -> None:
        """Let it wait for the second person. Durable."""
        await self._insert(asked, is_drill=False)

    @answering()
    async def drill(self, seal: Seal) -> None:
        """It was shown that this seal works; nothing opens. Durable."""
        drilled = Emergency(id=str(uuid.uuid4()), reason="drill", asked_by=seal.name, asked_at=self._clock())
        await self._insert(drilled, is_drill=True)
        await self.seals.tried(seal.name)

    def until(self, asked: Emergency) -> datetime:
        """How long it waits."""
        return asked.asked_at + timedelta(seconds=self._settings.second_person_seconds)

    def check_second(self, waiting: Emergency, seal: Seal, held: Ticket | None) -> None:
        """May this seal, from this browser, be the second? Raises Denied."""
        if seal.name == waiting.asked_by:
            raise Denied("You are the first person of this emergency already. Somebody with another seal has to agree.")
        if held is not None and held.emergency == waiting.id and held.seal != seal.name:
            raise Denied("The second person uses another browser, on their own computer.", code="emergency_refused")

    @answering()
    async def agreeing(self, ticket: Ticket) -> Admission:
        """The second person agrees; nothing is stored yet. Raises Denied, InvalidRequest."""
        found = await self.find(ticket.emergency)
        if found is None or found.opened_at is not None or self._clock() >= self.until(found):
            raise InvalidRequest(GONE)
        if ticket.seal == found.asked_by:
            raise Denied("Somebody with another seal has to agree.", code="emergency_refused")
        now = self._clock()
        opened = Emergency(
            id=found.id,
            reason=found.reason,
            asked_by=found.asked_by,
            asked_at=found.asked_at,
            agreed_by=ticket.seal,
            opened_at=now,
            ends_at=now + timedelta(seconds=self._settings.open_seconds),
        )
        return self._admission(opened, ticket.seal)

    @answering()
    async def open(self, admission: Admission, tell: Sequence[ActorId], origin: Origin) -> Cookie:
        """Open it, in one transaction: both seals spent, the second person in, `tell` told. Durable; returns the cookie
        of the session. Raises InvalidRequest when it was opened, or a seal spent or made anew, meanwhile."""
        opened = admission.emergency
        async with self._database.transaction() as tx:
            unopened = (emergencies.c.id == opened.id) & emergencies.c.opened_at.is_(None)
            values = {"agreed_by": opened.agreed_by, "opened_at": opened.opened_at, "ends_at": opened.ends_at}
            done = await tx.execute(update(emergencies).where(unopened).values(values))
            names = [opened.asked_by, opened.agreed_by or ""]
            if (
                done.rowcount != 1
                or not await self._are_same(tx, opened, names)
                or not await self.seals.spend(tx, names)
            ):
                raise InvalidRequest(GONE)
            await self._enter(tx, admission, origin)
            facts = {
                "what": "opened",
                "reason": opened.reason,
                "ends": opened.ends_at.isoformat() if opened.ends_at else "",
            }
            for actor in tell:
                await self._notices.tell_within(tx, actor, NoticeKind.EMERGENCY, **facts)
        return self._session_cookie(admission)

    @answering()
    async def entering(self, ticket: Ticket) -> Admission:
        """The first person comes in after the second agreed; nothing is stored yet. Raises InvalidRequest."""
        found = await self.find(ticket.emergency)
        if found is None or not found.is_open(self._clock()) or ticket.seal != found.asked_by:
            raise InvalidRequest(GONE)
        return self._admission(found, ticket.seal)

    @answering()
    async def enter(self, admission: Admission, origin: Origin) -> Cookie:
        """Let them in, once. Durable; returns the cookie of the session. Raises InvalidRequest."""
        try:
            async with self._database.transaction() as tx:
                await self._enter(tx, admission, origin)
        except IntegrityError as error:
            raise InvalidRequest("You came in with this seal already, and each opens once.") from error
        return self._session_cookie(admission)

    @answering()
    async def end(self, id: str) -> bool:
        """End it now, for both. Durable. False when it was over. True: record it, or `unrecord_end`."""
        now = self._clock()
        async with self._database.transaction() as tx:
            still_open = (emergencies.c.id == id) & (emergencies.c.ends_at > now)
            done = await tx.execute(update(emergencies).where(still_open).values(ends_at=now, closed_at=now))
            await self._shut(tx, id)
        return done.rowcount == 1

    async def ended(self) -> Sequence[Emergency]:
        """Those that are over, and whose end nobody recorded yet: now this process does."""
        now = self._clock()
        over = emergencies.c.opened_at.is_not(None) & (emergencies.c.ends_at <= now) & emergencies.c.closed_at.is_(None)
        async with self._database.reading() as tx:
            found = [_emergency(row) for row in (await tx.execute(select(emergencies).where(over))).all()]
        mine = []
        for one in found:
            async with self._database.transaction() as tx:
                taken = update(emergencies).where(over, emergencies.c.id == one.id).values(closed_at=now)
                if (await tx.execute(taken)).rowcount == 1:
                    await self._shut(tx, one.id)
                    mine.append(one)
        return mine

    async def unrecord_end(self, id: str) -> None:
        """The record of its end could not be written: somebody has to try again."""
        async with self._database.transaction() as tx:
            await tx.execute(update(emergencies).where(emergencies.c.id == id).values(closed_at=None))

    def actor(self, emergency: str, seal: str) -> Actor:
        """Who acts with this seal, for records of what comes before their session."""
        id = ActorId(f"{EMERGENCY_PREFIX}{emergency}.{seal}")
        return Actor(id=id, display_name=_name(seal), method="session", credential_id="-", roles=EMERGENCY_ROLES)

    async def _insert(self, asked: Emergency, *, is_drill: bool) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(emergencies).values(
                    id=asked.id,
                    reason=asked.reason,
                    asked_by=asked.asked_by,
                    asked_at=asked.asked_at,
                    is_drill=is_drill,
                )
            )

    async def _are_same(self, tx: AsyncConnection, opened: Emergency, names: Sequence[str]) -> bool:
        """Whether both envelopes are still those that were shown: none of them was sealed anew since."""
        by_name = {seal.name: seal for seal in await self.seals.list_within(tx)}
        return all(name in by_name and by_name[name].sealed_at <= opened.asked_at for name in names)

    async def _enter(self, tx: AsyncConnection, admission: Admission, origin: Origin) -> None:
        """A row of `people`, which is why each comes in once, and a session that ends with the hour."""
        opened, now, actor = admission.emergency, self._clock(), admission.actor
        row = {
            "id": actor.id,
            "display_name": actor.display_name,
            "email": "",
            "department": "",
            "groups": [],
            "groups_at": now,
            "scim_groups": [],
            "status": "active",
            "epoch": 1,
            "first_seen": now,
            "last_seen": now,
        }
        await tx.execute(insert(people).values(row))
        person: Person = person_of((await tx.execute(select(people).where(people.c.id == actor.id))).one())
        await self._sessions.start(
            tx, admission.session_id, person, actor.mfa, expires_at=opened.ends_at, origin=origin
        )

    async def _shut(self, tx: AsyncConnection, id: str) -> None:
        """Nobody of this emergency comes in again."""
        theirs = people.c.id.startswith(f"{EMERGENCY_PREFIX}{id}.", autoescape=True)
        await tx.execute(update(people).where(theirs).values(status="suspended", epoch=people.c.epoch + 1))
        gone = sessions.c.actor.startswith(f"{EMERGENCY_PREFIX}{id}.", autoescape=True)
        await tx.execute(delete(sessions).where(gone))

    def _admission(self, opened: Emergency, seal: str) -> Admission:
        """The second factor is dated to the opening: each showed theirs within the minutes before."""
        session_id = SessionId()
        actor = Actor(
            id=ActorId(f"{EMERGENCY_PREFIX}{opened.id}.{seal}"),
            display_name=_name(seal),
            method="session",
            credential_id=credential_id(session_id.digest),
            roles=EMERGENCY_ROLES,
            mfa=Mfa(at=opened.opened_at, amr=_AMR),
        )
        return Admission(emergency=opened, seal=seal, session_id=session_id, actor=actor)

    def _session_cookie(self, admission: Admission) -> Cookie:
        ends = admission.emergency.ends_at
        seconds = 0 if ends is None else max(0, int((ends - self._clock()).total_seconds()))
        names = self._cookie_names
        return Cookie(
            name=names.session, value=admission.session_id.secret, max_age_seconds=seconds, secure=names.secure
        )

    def _cookie(self, value: str, seconds: int) -> Cookie:
        names = self._cookie_names
        return Cookie(name=names.emergency, value=value, max_age_seconds=seconds, secure=names.secure)


def emergency_of(actor: Actor) -> str | None:
    """The emergency that somebody acts in; None for everybody else."""
    if not actor.id.startswith(EMERGENCY_PREFIX):
        return None
    return actor.id.removeprefix(EMERGENCY_PREFIX).partition(".")[0]


def _name(seal: str) -> str:
    return f"Emergency, seal {seal}"


async def _find(tx: AsyncConnection, id: str) -> Emergency | None:
    query = select(emergencies).where(emergencies.c.id == id, emergencies.c.is_drill.is_(False))
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _emergency(row)


def _emergency(row: Row[Any]) -> Emergency:
    return Emergency(
        id=row.id,
        reason=row.reason,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        agreed_by=row.agreed_by,
        opened_at=row.opened_at,
        ends_at=row.ends_at,
        closed_at=row.closed_at,
    )
