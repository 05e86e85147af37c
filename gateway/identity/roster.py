"""Everybody whom we know, what they hold and through what; and what an administrator may do with a person.

Suspending is one person's to do, because it only closes: in one transaction the person may come in no more, their
sessions are gone, their keys rest and what they proposed is taken back. Nobody suspends themselves, so whoever does it
is still there to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import Actor, ActorId
from gateway.identity.api_keys import ApiKeys, KeyInfo
from gateway.identity.authenticate import answering
from gateway.identity.leaving import Ended, Leaving
from gateway.identity.mapping import OWN_PREFIXES
from gateway.identity.notices import NoticeKind, Notices
from gateway.identity.people import Person, person_of
from gateway.identity.roles import RoleMap
from gateway.identity.tables import api_keys, people, proposals, sessions
from gateway.storage.database import Database
from gateway.vocabulary import Role

SHOWN: Final = 100
MAX_REASON: Final = 500
UNKNOWN: Final = "Nobody by this id has ever signed in. Services are listed under /services."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One person and what they hold now."""

    person: Person
    roles: frozenset[Role]
    through: Mapping[Role, tuple[str, ...]]
    """The groups that name each role, also those of a conflict."""
    conflicts: frozenset[Role]
    """Roles that their groups name and that they don't get."""
    first_seen: datetime
    last_seen: datetime
    """Last sign-in."""
    sessions: int
    """That are not over."""
    last_used: datetime | None
    """Of a session that is not over; to the minute."""
    keys: tuple[KeyInfo, ...]
    """That are neither revoked nor expired."""

    @property
    def status(self) -> str:
        """`active`, `suspended` (by an administrator) or `gone` (taken out by the company's directory)."""
        return "gone" if self.person.deprovisioned_at is not None else self.person.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """What ended with a suspension: give the sessions' tokens back, record the rest."""

    ended: Sequence[Ended]
    proposals: tuple[str, ...]


class Roster:
    """Reads and writes about people other than whoever asks."""

    def __init__(
        self,
        *,
        database: Database,
        roles: RoleMap,
        leaving: Leaving,
        keys: ApiKeys,
        notices: Notices,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._roles = roles
        self._leaving = leaving
        self._keys = keys
        self._notices = notices
        self._clock = clock

    @answering()
    async def search(self, words: str = "", *, limit: int = SHOWN) -> Sequence[Entry]:
        """Those whose name, address, department or id has each of the words, by name."""
        wanted = [_has(word) for word in words.lower().split()[:8] if word.isprintable()]
        query = select(people).where(_is_person(), *wanted).order_by(people.c.display_name, people.c.id).limit(limit)
        async with self._database.reading() as tx:
            return await self.entries(tx, (await tx.execute(query)).all())

    @answering()
    async def get(self, id: str) -> Entry:
        """One of them. Raises NotFound."""
        async with self._database.reading() as tx:
            rows = (await tx.execute(select(people).where(_is_person(), people.c.id == _askable(id)))).all()
            found = await self.entries(tx, rows)
        if not found:
            raise NotFound(UNKNOWN)
        return found[0]

    async def everybody(self, tx: AsyncConnection) -> Sequence[Entry]:
        """All, by id."""
        rows = (await tx.execute(select(people).where(_is_person()).order_by(people.c.id))).all()
        return await self.entries(tx, rows)

    async def entries(self, tx: AsyncConnection, rows: Sequence[Row[Any]]) -> Sequence[Entry]:
        """These rows of `people`, with what they hold."""
        now = self._clock()
        live = (
            select(sessions.c.actor, func.count().label("number"), func.max(sessions.c.seen_at).label("used"))
            .join(people, people.c.id == sessions.c.actor)
            .where(sessions.c.epoch == people.c.epoch, sessions.c.expires_at > now)
            .group_by(sessions.c.actor)
        )
        open_sessions = {row.actor: row for row in (await tx.execute(live)).all()}
        good = select(api_keys.c.actor).where(api_keys.c.revoked_at.is_(None), api_keys.c.expires_at > now).distinct()
        with_keys = set((await tx.execute(good)).scalars())
        found = []
        for row in rows:
            mine = await self._keys.of(ActorId(row.id)) if row.id in with_keys else ()
            keys = tuple(key for key in mine if key.revoked_at is None and key.expires_at > now)
            found.append(self._entry(row, open_sessions.get(row.id), keys))
        return found

    def check_other(self, actor: Actor, id: str, act: str) -> None:
        """Raises Denied for oneself."""
        if actor.id == id:
            raise Denied(f"You can't {act} yourself. Ask another administrator.")

    @answering()
    async def suspend(self, id: ActorId) -> Suspended:
        """End everything by which they could act. Durable. Raises NotFound, InvalidRequest when they are already."""
        async with self._database.transaction() as tx:
            if await self._status(tx, id) != "active":
                raise InvalidRequest("This person is suspended already.")
            closed = {"status": "suspended", "epoch": people.c.epoch + 1, "revoked_at": self._clock()}
            await tx.execute(update(people).where(people.c.id == id).values(closed))
            ended = await self._leaving.end(tx, sessions.c.actor == id)
            still_open = (proposals.c.proposed_by == id) & (proposals.c.status == "open")
            taken_back = tuple((await tx.execute(select(proposals.c.id).where(still_open))).scalars())
            await tx.execute(update(proposals).where(still_open).values(status="withdrawn", decided_at=self._clock()))
        return Suspended(ended=ended, proposals=taken_back)

    @answering()
    async def check_suspended(self, id: ActorId) -> None:
        """Raises NotFound, InvalidRequest when there is nothing to reinstate."""
        async with self._database.reading() as tx:
            if await self._status(tx, id) == "active":
                raise InvalidRequest("This person is not suspended.")

    @answering()
    async def reinstate(self, id: ActorId, reason: str) -> None:
        """They may sign in again, and are told why. Sessions and proposals do not come back; keys that are not over
        work again. Durable. Raises NotFound, InvalidRequest."""
        async with self._database.transaction() as tx:
            if await self._status(tx, id) == "active":
                raise InvalidRequest("This person is not suspended.")
            opened = {"status": "active", "epoch": people.c.epoch + 1}
            await tx.execute(update(people).where(people.c.id == id).values(opened))
            await self._notices.tell_within(tx, id, NoticeKind.REINSTATED, reason=reason)

    @answering()
    async def sign_out(self, id: ActorId) -> Sequence[Ended]:
        """End all their sessions, and access tokens issued until now. Durable. Raises NotFound."""
        async with self._database.reading() as tx:
            await self._status(tx, id)
        return await self._leaving.everywhere(id)

    async def give_back(self, ended: Sequence[Ended]) -> None:
        """Revoke what providers gave for ended sessions. Never raises."""
        await self._leaving.give_back(ended)

    async def _status(self, tx: AsyncConnection, id: ActorId) -> str:
        query = select(people.c.status).where(_is_person(), people.c.id == _askable(id)).with_for_update()
        status: str | None = (await tx.execute(query)).scalar_one_or_none()
        if status is None:
            raise NotFound(UNKNOWN)
        return status

    def _entry(self, row: Row[Any], live: Row[Any] | None, keys: tuple[KeyInfo, ...]) -> Entry:
        person = person_of(row)
        roles, conflicts = self._roles.roles_of(person.groups), self._roles.conflicts_of(person.groups)
        return Entry(
            person=person,
            roles=roles,
            through={role: self._roles.through(person.groups, role) for role in sorted(roles | conflicts)},
            conflicts=conflicts,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            sessions=0 if live is None else live.number,
            last_used=None if live is None else live.used,
            keys=keys,
        )


def read_reason(text: str) -> str:
    """Why somebody is shut out or let in again. Raises InvalidRequest."""
    reason = " ".join(text.split())
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise InvalidRequest(f"Say why, in 1 to {MAX_REASON} printable characters: it is on record.", param="reason")
    return reason


def _askable(id: str) -> str:
    """An id to look up: PostgreSQL refuses a text with a NUL, and nobody is called nothing."""
    return id if id.isprintable() else ""


def _has(word: str) -> ColumnElement[bool]:
    columns = (people.c.display_name, people.c.email, people.c.department, people.c.id)
    return or_(*(func.lower(column).contains(word, autoescape=True) for column in columns))


def _is_person() -> ColumnElement[bool]:
    found: ColumnElement[bool] = ~or_(*(people.c.id.startswith(prefix, autoescape=True) for prefix in OWN_PREFIXES))
    return found
