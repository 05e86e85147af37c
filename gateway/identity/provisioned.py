"""What a company's directory (SCIM) says of a person: may they be here, and in which groups are they.

The rows are written by `gateway/scim`; here they are asked when somebody signs in, and when an access token comes of
somebody who never did. A person who is known has the answer in their own row: `deprovisioned_at` and `scim_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.roles import RoleMap
from gateway.identity.tables import people, scim_groups, scim_members, scim_users
from gateway.settings import Provider, ScimSettings
from gateway.storage.database import Database
from gateway.vocabulary import Code

SENTENCES: Final[Mapping[Code, str]] = {
    Code.SUBJECT_DEPROVISIONED: "Your company's directory took your account out of Imprimatur. Nothing of yours was "
    "deleted. If you still need it, ask whoever looks after your company's sign-in to assign you again.",
    Code.SUBJECT_NOT_PROVISIONED: "Your company's directory has not told Imprimatur about you yet. Ask whoever looks "
    "after your company's sign-in to assign Imprimatur to you; it usually takes effect within the hour.",
}
"""For the person, by what stands in their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the directory says. `fault` is why this person may not come in, None when they may; `groups` count beside
    those of the provider's tokens."""

    fault: Code | None = None
    groups: tuple[str, ...] = ()


class Provisioned:
    """Asks what SCIM wrote. Providers without `scim` settings cost no query."""

    def __init__(
        self, providers: Sequence[Provider], database: Database, roles: RoleMap, clock: Callable[[], datetime]
    ) -> None:
        self._settings = {p.name: p.scim for p in providers if p.scim is not None}
        self._database = database
        self._roles = roles
        self._clock = clock

    async def standing(self, id: ActorId) -> Standing:
        """May they come in, as far as their directory goes?"""
        settings = self._of(id)
        if settings is None:
            return Standing()
        async with self._database.reading() as tx:
            query = select(scim_users.c.is_active).where(scim_users.c.actor == id)
            is_active = (await tx.execute(query)).scalar_one_or_none()
            if is_active is None:
                return Standing(fault=Code.SUBJECT_NOT_PROVISIONED if settings.is_required else None)
            if not is_active:
                return Standing(fault=Code.SUBJECT_DEPROVISIONED)
            return Standing(groups=await self.groups_of(tx, id))

    async def groups_of(self, tx: AsyncConnection, id: ActorId) -> tuple[str, ...]:
        """The groups that count: none unless the provider's setting `scim.gives_groups` says so, none of somebody who
        is not active."""
        settings = self._of(id)
        if settings is None or not settings.gives_groups:
            return ()
        query = (
            select(scim_groups.c.resource)
            .join(scim_members, scim_members.c.group_id == scim_groups.c.id)
            .join(scim_users, scim_users.c.id == scim_members.c.user_id)
            .where(scim_users.c.actor == id, scim_users.c.is_active)
        )
        names = [row.resource.get("displayName") for row in (await tx.execute(query)).all()]
        return tuple(sorted({name for name in names if name}))

    async def bring_groups(self, tx: AsyncConnection, ids: Iterable[ActorId]) -> tuple[ActorId, ...]:
        """Write the groups of these people into their own rows. Whose roles change by it gets a new epoch: sessions
        carry no rights of the past. Returns them."""
        changed: list[ActorId] = []
        for id in sorted(set(ids)):
            found = select(people.c.groups, people.c.scim_groups).where(people.c.id == id).with_for_update()
            row = (await tx.execute(found)).one_or_none()
            if row is None:  # never signed in: `People.seen` asks when they do
                continue
            groups = await self.groups_of(tx, id)
            if groups == tuple(row.scim_groups):
                continue
            values: dict[str, object] = {"scim_groups": list(groups)}
            before = self._roles.roles_of([*row.groups, *row.scim_groups], who=id)
            if before != self._roles.roles_of([*row.groups, *groups], who=id):
                values["epoch"] = people.c.epoch + 1
                changed.append(id)
            await tx.execute(update(people).where(people.c.id == id).values(**values))
        return tuple(changed)

    async def settle(self) -> None:
        """At the start: rows agree with the settings of now. A provider whose groups no longer count gives none."""
        query = select(people.c.id, people.c.scim_groups)
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        giving = {name for name, settings in self._settings.items() if settings.gives_groups}
        ids = [ActorId(row.id) for row in rows if row.scim_groups or row.id.partition("|")[0] in giving]
        if ids:
            async with self._database.transaction() as tx:
                await self.bring_groups(tx, ids)

    def _of(self, id: ActorId) -> ScimSettings | None:
        return self._settings.get(id.partition("|")[0])
