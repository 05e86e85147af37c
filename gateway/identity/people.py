"""The people who have signed in: what their provider last said of them, whether they may come in, and the revocation
epoch by which all their sessions end at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.profile import Described
from gateway.identity.provisioned import Provisioned
from gateway.identity.roles import RoleMap
from gateway.identity.tables import people, scim_users, service_accounts
from gateway.storage.database import Database
from gateway.vocabulary import Code

Status = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A row of `people`. `groups` are the provider's, as of `groups_at`, and those that its directory adds."""

    id: ActorId
    display_name: str
    email: str
    department: str
    groups: tuple[str, ...]
    groups_at: datetime
    status: Status
    epoch: int
    revoked_at: datetime | None
    deprovisioned_at: datetime | None = None
    scim_groups: tuple[str, ...] = ()
    """Those among `groups` that the directory (SCIM) gives."""

    @property
    def is_active(self) -> bool:
        return self.status == "active" and self.deprovisioned_at is None


class People:
    """Reads and writes `people`. Methods that take a connection belong to the caller's transaction."""

    def __init__(
        self,
        database: Database,
        roles: RoleMap,
        clock: Callable[[], datetime],
        provisioned: Provisioned | None = None,
    ) -> None:
        self._provisioned = provisioned
        self._database = database
        self._roles = roles
        self._clock = clock

    async def find(self, id: ActorId) -> Person | None:
        """The person, if they have ever signed in."""
        async with self._database.reading() as tx:
            row = (await tx.execute(select(people).where(people.c.id == id))).one_or_none()
        return None if row is None else person_of(row)

    async def seen(
        self,
        tx: AsyncConnection,
        id: ActorId,
        described: Described,
        *,
        is_sign_in: bool = True,
        directory_subject: str = "",
    ) -> Person:
        """Write down what the provider says of them, at a sign-in or when asked again. Other roles than before raise
        the epoch: older sessions carry rights of the past. `directory_subject` is by what their directory knows them,
        where that is not `sub`."""
        now = self._clock()
        insert = (sqlite if self._database.is_sqlite else postgresql).insert
        known = {
            "display_name": described.display_name,
            "email": described.email,
            "department": described.department,
            "groups": list(described.groups),
            "groups_at": now,
        }
        if is_sign_in:
            known["last_seen"] = now
        new = insert(people).values(id=id, status="active", epoch=1, first_seen=now, **{"last_seen": now, **known})
        await tx.execute(new.on_conflict_do_nothing(index_elements=["id"]))
        before = person_of((await tx.execute(select(people).where(people.c.id == id).with_for_update())).one())
        given: tuple[str, ...] = ()
        if self._provisioned is not None:
            await self._provisioned.link(tx, id, directory_subject)
            given = await self._provisioned.groups_of(tx, id)
        known["scim_groups"] = list(given)
        changed = self._roles.roles_of(before.groups) != self._roles.roles_of((*described.groups, *given))
        values: dict[str, Any] = {**known, "epoch": before.epoch + 1} if changed else known
        await tx.execute(update(people).where(people.c.id == id).values(**values))
        return person_of((await tx.execute(select(people).where(people.c.id == id))).one())

    async def shut_out(self, ids: frozenset[ActorId]) -> dict[ActorId, Code]:
        """Those among `ids` who may not go on with what they have running, and why. A service goes with its owner."""
        over: dict[ActorId, Code] = {}
        async with self._database.reading() as tx:
            owned = select(service_accounts.c.id, service_accounts.c.owner).where(service_accounts.c.id.in_(ids))
            services = (await tx.execute(owned)).all()
        if services:
            owners = await self.shut_out(frozenset(ActorId(row.owner) for row in services))
            over.update({ActorId(row.id): owners[row.owner] for row in services if row.owner in owners})
        async with self._database.reading() as tx:
            gone = select(scim_users.c.actor).where(scim_users.c.actor.in_(ids), scim_users.c.is_active.is_(False))
            over.update({ActorId(id): Code.SUBJECT_DEPROVISIONED for id in (await tx.execute(gone)).scalars()})
            rows = (
                await tx.execute(
                    select(people.c.id, people.c.status, people.c.deprovisioned_at).where(people.c.id.in_(ids))
                )
            ).all()
        for row in rows:
            if row.deprovisioned_at is not None:
                over[ActorId(row.id)] = Code.SUBJECT_DEPROVISIONED
            elif row.status != "active":
                over[ActorId(row.id)] = Code.SUBJECT_SUSPENDED
        return over

    async def revoke(self, id: ActorId) -> None:
        """End every session of this person, and every access token issued until now. Durable when it returns."""
        await self._change(id, {})

    async def set_status(self, id: ActorId, status: Status) -> None:
        """Suspend or reinstate. Either way every session ends; a suspended person's keys are refused at once."""
        await self._change(id, {"status": status})

    async def _change(self, id: ActorId, values: dict[str, Any]) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(
                update(people)
                .where(people.c.id == id)
                .values(epoch=people.c.epoch + 1, revoked_at=self._clock(), **values)
            )


def person_of(row: Row[Any]) -> Person:
    """A Person from a row that has the columns of `people`."""
    return Person(
        id=ActorId(row.id),
        display_name=row.display_name,
        email=row.email,
        department=row.department,
        groups=tuple(dict.fromkeys((*row.groups, *row.scim_groups))),
        groups_at=row.groups_at,
        status=row.status,
        epoch=row.epoch,
        revoked_at=row.revoked_at,
        deprovisioned_at=row.deprovisioned_at,
        scim_groups=tuple(row.scim_groups),
    )
