"""Which group gives which role, as of now: the settings' mapping until another was put in force here.

Every process asks for the newest version twice a second and holds it in one `RoleMap`, which each request asks. Whose
roles change by a new version gets a new epoch in the transaction that stores it: no session carries rights of the past.

Whether a change only narrows is asked of both the mapping and the people: taking `auditor` from somebody who was also
mapped to `admin` ends a conflict, and that gives them `admin`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import ActorId
from gateway.identity.notices import NoticeKind, Notices
from gateway.identity.people import Person, person_of
from gateway.identity.roles import NEVER_OF_GROUPS, RoleMap, RolesOfGroups, as_json, conflicting, from_json, plain
from gateway.identity.tables import people, role_mappings
from gateway.storage.database import Database
from gateway.vocabulary import Role

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""How often each process asks: half of the second within which a change has to take effect."""
MAX_GROUPS: Final = 500
MAX_GROUP: Final = 255
OWN_PREFIXES: Final = ("service|", "emergency|")
"""Of ids that are nobody's in the company: no mapping says anything about them."""
CHANGED: Final = "The role mapping was changed since. Look at it as it is now, then propose again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A mapping that is or was in force. Number 0 is the settings'."""

    number: int
    mapping: RolesOfGroups
    proposal: str | None = None
    activated_by: ActorId | None = None
    activated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What another mapping does to one person whom we know."""

    person: Person
    gains: frozenset[Role]
    loses: frozenset[Role]
    conflicts: frozenset[Role]
    """What they would newly be given and not get, because nobody may hold it together."""


class LiveMapping:
    """Holds `roles` to the newest version. Methods that take a connection belong to the caller's transaction."""

    def __init__(self, database: Database, roles: RoleMap, clock: Callable[[], datetime], notices: Notices) -> None:
        self._database = database
        self._roles = roles
        self._settings = roles.in_force
        self._clock = clock
        self._notices = notices
        self.version = 0

    @property
    def in_force(self) -> RolesOfGroups:
        """Group -> roles, as this process knows it."""
        return self._roles.in_force

    def conflicts_of(self, groups: Sequence[str]) -> frozenset[Role]:
        """The roles that these groups name and don't give, because nobody may hold them together."""
        return self._roles.conflicts_of(groups)

    async def refresh(self) -> None:
        """Ask which version is in force, and hold to it."""
        async with self._database.reading() as tx:
            newest = (await tx.execute(select(func.max(role_mappings.c.version)))).scalar_one_or_none() or 0
            if newest != self.version:
                found = await self.current(tx)
                self._roles.replace(found.mapping)
                self.version = found.number
                log.info("mapping.in-force", extra={"fields": {"version": found.number}})

    async def watch(self) -> None:
        """Never returns. While the database does not answer nobody is let in anyhow: sessions stand in it too."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                log.error("mapping.unwatched", extra={"fields": {"cause": type(error).__name__}})

    async def current(self, tx: AsyncConnection) -> Version:
        """What is in force as the database has it."""
        newest = select(role_mappings).order_by(role_mappings.c.version.desc()).limit(1)
        row = (await tx.execute(newest)).one_or_none()
        return Version(number=0, mapping=self._settings) if row is None else _version(row)

    async def history(self, limit: int = 50) -> Sequence[Version]:
        """The newest first; the settings' own is the last."""
        query = select(role_mappings).order_by(role_mappings.c.version.desc()).limit(limit)
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        return [*(_version(row) for row in rows), Version(number=0, mapping=self._settings)]

    async def get(self, number: int) -> Version:
        """One version. Raises NotFound."""
        async with self._database.reading() as tx:
            query = select(role_mappings).where(role_mappings.c.version == number)
            row = (await tx.execute(query)).one_or_none()
        if row is None and number != 0:
            raise NotFound("There is no such version of the role mapping.")
        return Version(number=0, mapping=self._settings) if row is None else _version(row)

    async def known(self, tx: AsyncConnection) -> Sequence[Person]:
        """Everybody whom a mapping can say something about."""
        rows = (await tx.execute(select(people).order_by(people.c.id))).all()
        return [person_of(row) for row in rows if not row.id.startswith(OWN_PREFIXES)]

    async def activate(
        self, tx: AsyncConnection, mapping: RolesOfGroups, *, after: int, by: ActorId, proposal: str | None
    ) -> Sequence[Change]:
        """Put `mapping` in force as the version that follows `after`; those whose roles change are told, and their
        sessions end. `refresh` once it is committed. Raises InvalidRequest when `after` is the newest no more."""
        now = await self.current(tx)
        if now.number != after:
            raise InvalidRequest(CHANGED)
        changes = changes_of(await self.known(tx), now.mapping, mapping)
        version = {
            "version": after + 1,
            "mapping": as_json(mapping),
            "proposal": proposal,
            "activated_by": by,
            "activated_at": self._clock(),
        }
        try:
            await tx.execute(insert(role_mappings).values(version))
        except IntegrityError as error:  # another process was faster by less than a transaction
            raise InvalidRequest(CHANGED) from error
        roles = RoleMap(mapping)
        for change in changes:
            if not change.gains and not change.loses:
                continue
            id = change.person.id
            await tx.execute(update(people).where(people.c.id == id).values(epoch=people.c.epoch + 1))
            held = ", ".join(sorted(roles.roles_of(change.person.groups))) or "none"
            await self._notices.tell_within(tx, id, NoticeKind.ROLES_CHANGED, roles=held)
        return changes


def changes_of(known: Sequence[Person], before: RolesOfGroups, after: RolesOfGroups) -> Sequence[Change]:
    """What going from one mapping to another does to these people; those whom it does nothing to are left out."""
    was, will = RoleMap(before), RoleMap(after)
    found = []
    for person in known:
        old, new = was.roles_of(person.groups), will.roles_of(person.groups)
        conflicts = will.conflicts_of(person.groups) - was.conflicts_of(person.groups)
        if old != new or conflicts:
            found.append(Change(person=person, gains=new - old, loses=old - new, conflicts=conflicts))
    return found


def is_narrower(before: RolesOfGroups, after: RolesOfGroups, changes: Sequence[Change]) -> bool:
    """Whether nobody can do more afterwards, so that one person may put it in force alone."""
    is_within = all(roles <= before.get(group, frozenset()) for group, roles in after.items())
    return is_within and not any(change.gains for change in changes)


def widened(before: RolesOfGroups, after: RolesOfGroups) -> frozenset[str]:
    """The groups that give more afterwards."""
    return frozenset(group for group, roles in after.items() if roles - before.get(group, frozenset()))


def read_mapping(asked: Mapping[str, Sequence[str]]) -> RolesOfGroups:
    """A whole mapping as somebody wrote it. Raises InvalidRequest for what may never be in force."""
    if len(asked) > MAX_GROUPS:
        raise InvalidRequest(f"A mapping has at most {MAX_GROUPS} groups; this has {len(asked)}.", param="roles")
    known = {role.value: role for role in Role}
    found: dict[str, frozenset[Role]] = {}
    for group, words in asked.items():
        if not group.strip() or len(group) > MAX_GROUP or not group.isprintable() or group != group.strip():
            raise InvalidRequest(
                f"A group has 1 to {MAX_GROUP} printable characters, as your provider writes it, and no spaces around.",
                param="roles",
            )
        unknown = [word for word in words if word not in known]
        if unknown:
            offered = ", ".join(sorted(role.value for role in Role if role not in NEVER_OF_GROUPS))
            raise InvalidRequest(
                f"The group {group} names {len(unknown)} roles that there are not. There are: {offered}.", param="roles"
            )
        roles = frozenset(known[word] for word in words)
        if given := sorted(roles & NEVER_OF_GROUPS):
            raise InvalidRequest(f"No group gives the role {given[0]}: {_WHY_NEVER[given[0]]}.", param="roles")
        if pair := sorted(conflicting(roles)):
            raise InvalidRequest(
                f"The group {group} would give {' and '.join(pair)}, which nobody may hold together: it would give "
                "neither.",
                param="roles",
            )
        found[group] = roles
    mapping = plain(found)
    if not any(Role.ADMIN in roles for roles in mapping.values()):
        raise InvalidRequest(
            "No group would give the role admin, so nobody could change the mapping again. Leave one.", param="roles"
        )
    return mapping


_WHY_NEVER: Final[Mapping[Role, str]] = {
    Role.SERVICE: "two people make a service account instead",
    Role.BREAK_GLASS: "two people open it with their sealed codes",
}


def _version(row: Row[Any]) -> Version:
    return Version(
        number=row.version,
        mapping=from_json(row.mapping),
        proposal=row.proposal,
        activated_by=ActorId(row.activated_by),
        activated_at=row.activated_at,
    )
