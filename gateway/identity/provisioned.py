"""What a company's directory (SCIM) says of a person: may they be here, and in which groups are they.

The rows are written by `gateway/scim`; here they are asked when somebody signs in, and when an access token comes of
somebody who never did. A person who is known has the answer in their own row: `deprovisioned_at` and `scim_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.roles import RoleMap
from gateway.identity.tables import people, scim_groups, scim_members, scim_users
from gateway.settings import Provider, ScimSettings
from gateway.storage.database import Database
from gateway.vocabulary import Code

MAX_SUBJECT: Final = 220
"""Characters of the subject in an actor's id: 255 less the provider's name and the bar."""

_IDS_A_QUERY: Final = 500
"""Databases limit how many values a statement has; SQLite's older builds at 999."""

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


def directory_subject(provider: Provider, claims: Mapping[str, Any]) -> str:
    """By what the directory knows whom these claims are about; empty where that is `sub`, or where they don't say."""
    if provider.scim is None or provider.scim.subject_claim == "sub":
        return ""
    value = claims.get(provider.scim.subject_claim)
    return value if isinstance(value, str) and len(value) <= MAX_SUBJECT else ""


class Provisioned:
    """Asks what SCIM wrote. Providers without `scim` settings cost no query."""

    def __init__(
        self, providers: Sequence[Provider], database: Database, roles: RoleMap, clock: Callable[[], datetime]
    ) -> None:
        self._settings = {p.name: p.scim for p in providers if p.scim is not None}
        self._database = database
        self._roles = roles
        self._clock = clock

    async def standing(self, id: ActorId, directory_subject: str = "") -> Standing:
        """May they come in, as far as their directory goes? `directory_subject` is what their token says of them,
        where the directory knows them by another claim than `sub`."""
        settings = self._of(id)
        if settings is None:
            return Standing()
        async with self._database.reading() as tx:
            mine = _entries(id, directory_subject)
            found = (await tx.execute(select(scim_users.c.is_active).where(mine))).scalars().all()
            if not found:
                return Standing(fault=Code.SUBJECT_NOT_PROVISIONED if settings.is_required else None)
            if not all(found):
                return Standing(fault=Code.SUBJECT_DEPROVISIONED)
            return Standing(groups=await self.groups_of(tx, id, directory_subject))

    async def link(self, tx: AsyncConnection, id: ActorId, directory_subject: str) -> None:
        """Somebody signs in whom the directory knows by another claim: from now on their entry says who they are."""
        if not directory_subject or self._of(id) is None:
            return
        provider = id.partition("|")[0]
        theirs = (scim_users.c.provider == provider) & (scim_users.c.subject == directory_subject)
        await tx.execute(update(scim_users).where(scim_users.c.actor == id, ~theirs).values(actor=None))
        await tx.execute(update(scim_users).where(theirs).values(actor=id))
        await tx.execute(update(people).where(people.c.id == id).values(directory_subject=directory_subject))

    async def groups_of(self, tx: AsyncConnection, id: ActorId, directory_subject: str = "") -> tuple[str, ...]:
        """The groups that count: none unless the provider's setting `scim.gives_groups` says so, none of somebody who
        is not active."""
        settings = self._of(id)
        if settings is None or not settings.gives_groups:
            return ()
        query = (
            select(scim_groups.c.resource)
            .join(scim_members, scim_members.c.group_id == scim_groups.c.id)
            .join(scim_users, scim_users.c.id == scim_members.c.user_id)
            .where(_entries(id, directory_subject), scim_users.c.is_active)
        )
        names = [row.resource.get("displayName") for row in (await tx.execute(query)).all()]
        return tuple(sorted({name for name in names if name}))

    async def bring_groups(self, tx: AsyncConnection, ids: Iterable[ActorId]) -> tuple[ActorId, ...]:
        """Write the groups of these people into their own rows. Whose roles change by it gets a new epoch: sessions
        carry no rights of the past. Returns them."""
        changed: list[ActorId] = []
        for id in await self._touched(tx, sorted(set(ids))):
            found = select(people.c.groups, people.c.scim_groups).where(people.c.id == id).with_for_update()
            row = (await tx.execute(found)).one()
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

    async def _touched(self, tx: AsyncConnection, ids: Sequence[ActorId]) -> list[ActorId]:
        """Those whose rows may have to change. Who never signed in has none: `People.seen` asks when they do."""
        touched: list[ActorId] = []
        for start in range(0, len(ids), _IDS_A_QUERY):
            query = select(people.c.id, people.c.scim_groups).where(people.c.id.in_(ids[start : start + _IDS_A_QUERY]))
            for row in (await tx.execute(query.order_by(people.c.id))).all():
                settings = self._of(ActorId(row.id))
                if row.scim_groups or (settings is not None and settings.gives_groups):
                    touched.append(ActorId(row.id))
        return touched

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

    def is_linked_by_claim(self, provider: str) -> bool:
        """Whether the directory knows people by another claim than the one that names them here."""
        settings = self._settings.get(provider)
        return settings is not None and settings.subject_claim != "sub"

    def _of(self, id: ActorId) -> ScimSettings | None:
        return self._settings.get(id.partition("|")[0])


def _entries(id: ActorId, directory_subject: str) -> ColumnElement[bool]:
    """The directory's entries for this person: one, or two where they were told apart wrongly; each counts."""
    mine = scim_users.c.actor == id
    if not directory_subject:
        return mine
    by_claim = (scim_users.c.provider == id.partition("|")[0]) & (scim_users.c.subject == directory_subject)
    return mine | by_claim
