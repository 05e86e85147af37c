"""Groups of a directory, in `scim_groups` and `scim_members`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from scim2_models import InvalidValueException, NotFoundException, PayloadTooLargeException, Resource
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.exchange import ActorId
from gateway.identity.tables import scim_groups, scim_members, scim_users
from gateway.scim.filters import compared
from gateway.scim.members import MAX_WRITTEN, Step, after
from gateway.scim.rows import Work, changed_names, check_version, column_text, dump, in_pieces, load
from gateway.scim.schemas import Member


class Groups:
    """Belongs to one transaction."""

    def __init__(self, work: Work, model: type[Resource[Any]]) -> None:
        self._work = work
        self._model = model

    async def get(self, id: str, *, with_members: bool = True) -> Resource[Any]:
        """Raises NotFoundException."""
        return (await self.load([await self._row(id)], with_members=with_members))[0]

    async def load(self, rows: Sequence[Row[Any]], *, with_members: bool = True) -> list[Resource[Any]]:
        """The resources of rows, in their order."""
        found: dict[str, list[Member]] = {row.id: [] for row in rows}
        for ids in in_pieces(found if with_members else ()):
            query = (
                select(scim_members.c.group_id, scim_users.c.id)
                .join(scim_users, scim_users.c.id == scim_members.c.user_id)
                .where(scim_members.c.group_id.in_(ids))
                .order_by(scim_users.c.created_at, scim_users.c.id)
            )
            for group_id, user_id in (await self._work.tx.execute(query)).all():
                found[group_id].append(
                    Member(
                        value=user_id,
                        ref=f"Users/{user_id}",
                        type="User",
                    )
                )
        groups = []
        for row in rows:
            group: Any = load(self._model, row, "Group")
            group.members = found[row.id] or None
            groups.append(group)
        return groups

    async def create(self, resource: Resource[Any]) -> Resource[Any]:
        """Raises InvalidValueException, AuditUnavailable."""
        work, id = self._work, str(uuid.uuid4())
        values, members = self._values(resource), await self._members(resource)
        await work.records.group(id, "create", added=members)
        await work.tx.execute(
            insert(scim_groups).values(
                **values,
                id=id,
                provider=work.client.provider,
                version=1,
                created_at=work.now,
                modified_at=work.now,
            )
        )
        await self._add(id, members)
        await work.provisioned.bring_groups(work.tx, await self._people(members))
        return await self.get(id)

    async def update(self, id: str, resource: Resource[Any], expected_version: str | None) -> Resource[Any]:
        """Raises NotFoundException, PreconditionFailedException, InvalidValueException, AuditUnavailable."""
        row = await self._row(id)
        check_version(row, expected_version)
        wanted, there = await self._members(resource), await self._there(id)
        await self._keep(row, resource, added=wanted - there, removed=there - wanted)
        return await self.get(id)

    async def change(self, resource: Resource[Any], steps: Sequence[Step], expected_version: str | None) -> None:
        """The same by what changes. Nothing is read of members whom no step names, unless all are replaced."""
        row = await self._row(resource.id or "")
        check_version(row, expected_version)
        named = frozenset[str]().union(*(step.ids for step in steps))
        replaces = any(step.op == "replace" for step in steps)
        there = await self._there(row.id, None if replaces else named)
        wanted = after(steps, there)
        known = await self._known(wanted - there)
        await self._keep(row, resource, added=known, removed=there - wanted)

    async def count(self, id: str) -> int:
        """How many members a group has."""
        query = select(func.count()).select_from(scim_members).where(scim_members.c.group_id == id)
        return int((await self._work.tx.execute(query)).scalar_one())

    async def _keep(
        self, row: Row[Any], resource: Resource[Any], *, added: AbstractSet[str], removed: AbstractSet[str]
    ) -> None:
        """Record the change, then make it."""
        work, values = self._work, self._values(resource)
        changed = changed_names(row.resource, values["resource"])
        if not (changed or added or removed):
            return
        await work.records.group(row.id, "update", changed=changed, added=added, removed=removed)
        await work.tx.execute(
            update(scim_groups)
            .where(scim_groups.c.id == row.id)
            .values(**values, version=row.version + 1, modified_at=work.now)
        )
        for ids in in_pieces(removed):
            gone = (scim_members.c.group_id == row.id) & scim_members.c.user_id.in_(ids)
            await work.tx.execute(delete(scim_members).where(gone))
        await self._add(row.id, added)
        # A new name is another group: it touches everybody in it.
        touched = await self._there(row.id) | removed if "displayName" in changed else added | removed
        await work.provisioned.bring_groups(work.tx, await self._people(touched))

    async def _there(self, id: str, among: AbstractSet[str] | None = None) -> frozenset[str]:
        """Ids of the members: all, or those `among` some."""
        query = select(scim_members.c.user_id).where(scim_members.c.group_id == id)
        if among is None:
            return frozenset((await self._work.tx.execute(query)).scalars())
        found: set[str] = set()
        for ids in in_pieces(id for id in among if "\x00" not in id):
            found |= set((await self._work.tx.execute(query.where(scim_members.c.user_id.in_(ids)))).scalars())
        return frozenset(found)

    async def delete(self, id: str, expected_version: str | None) -> None:
        """Raises NotFoundException, PreconditionFailedException, AuditUnavailable."""
        work, row = self._work, await self._row(id)
        check_version(row, expected_version)
        members = await self._there(id)
        touched = await self._people(members)
        await work.records.group(id, "delete", removed=members)
        await work.tx.execute(delete(scim_groups).where(scim_groups.c.id == id))
        await work.provisioned.bring_groups(work.tx, touched)

    async def _row(self, id: str) -> Row[Any]:
        mine = (scim_groups.c.provider == self._work.client.provider) & (scim_groups.c.id == id)
        query = select(scim_groups).where(mine).with_for_update()
        row = None if "\x00" in id else (await self._work.tx.execute(query)).one_or_none()
        if row is None:
            raise NotFoundException(detail="There is no such group.")
        return row

    def _values(self, resource: Resource[Any]) -> dict[str, Any]:
        data = dump(resource)
        name = column_text(data.get("displayName"), "displayName")
        if not name:
            raise InvalidValueException(detail="displayName must not be empty.")
        return {
            "display_name": column_text(compared(name), "displayName"),
            "external_id": column_text(data.get("externalId"), "externalId"),
            "resource": data,
        }

    async def _members(self, resource: Resource[Any]) -> set[str]:
        """Ids of the members, each of them somebody of this directory. Raises InvalidValueException."""
        members: list[Member] = getattr(resource, "members", None) or []
        wanted = {member.value for member in members if member.value}
        if any(member.type not in (None, "User") for member in members):
            raise InvalidValueException(detail="Groups in groups are not offered. Send the people as members.")
        if len(wanted) > MAX_WRITTEN:
            raise PayloadTooLargeException(
                detail=f"A group comes with {MAX_WRITTEN:,} members at most; this one has {len(wanted):,}. "
                "Add the others by PATCH."
            )
        return await self._known(wanted)

    async def _known(self, wanted: AbstractSet[str]) -> set[str]:
        """The same ids, each of them somebody of this directory. Raises InvalidValueException."""
        known: set[str] = set()
        for ids in in_pieces(id for id in wanted if "\x00" not in id):
            mine = (scim_users.c.provider == self._work.client.provider) & scim_users.c.id.in_(ids)
            known |= set((await self._work.tx.execute(select(scim_users.c.id).where(mine))).scalars())
        if unknown := len(wanted - known):
            raise InvalidValueException(
                detail=f"{unknown} of the members are no user here. Create the users first; groups are no members."
            )
        return known

    async def _add(self, id: str, members: Iterable[str]) -> None:
        try:
            for ids in in_pieces(sorted(members)):
                rows = [{"group_id": id, "user_id": user_id} for user_id in ids]
                await self._work.tx.execute(insert(scim_members), rows)
        except IntegrityError as error:  # a member was deleted just now
            raise InvalidValueException(detail="One of the members is no user here any more.") from error

    async def _people(self, members: Iterable[str]) -> list[ActorId]:
        """The actors of members."""
        found: list[ActorId] = []
        for ids in in_pieces(members):
            query = select(scim_users.c.actor).where(scim_users.c.id.in_(ids), scim_users.c.actor.is_not(None))
            found.extend(ActorId(actor) for actor in (await self._work.tx.execute(query)).scalars())
        return found
