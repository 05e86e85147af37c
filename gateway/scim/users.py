"""People of a directory, in `scim_users`, and what their coming and going means here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from scim2_models import InvalidValueException, NotFoundException, Resource, UniquenessException
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.exchange import ActorId
from gateway.identity import deprovision
from gateway.identity.provisioned import MAX_SUBJECT
from gateway.identity.tables import people, scim_groups, scim_members, scim_users
from gateway.scim.filters import compared
from gateway.scim.rows import Work, changed_names, check_version, column_text, dump, in_pieces, load
from gateway.scim.schemas import GroupMembership


class Users:
    """Belongs to one transaction."""

    def __init__(self, work: Work, model: type[Resource[Any]]) -> None:
        self._work = work
        self._model = model

    async def get(self, id: str) -> Resource[Any]:
        """Raises NotFoundException."""
        return (await self.load([await self._row(id)]))[0]

    async def load(self, rows: Sequence[Row[Any]], *, with_groups: bool = True) -> list[Resource[Any]]:
        """The resources of rows, in their order."""
        found: dict[str, list[GroupMembership]] = {row.id: [] for row in rows}
        for ids in in_pieces(found if with_groups else ()):
            query = (
                select(scim_members.c.user_id, scim_groups.c.id, scim_groups.c.resource)
                .join(scim_groups, scim_groups.c.id == scim_members.c.group_id)
                .where(scim_members.c.user_id.in_(ids))
                .order_by(scim_groups.c.id)
            )
            for user_id, group_id, resource in (await self._work.tx.execute(query)).all():
                found[user_id].append(
                    GroupMembership(
                        value=group_id,
                        ref=f"Groups/{group_id}",
                        display=resource.get("displayName"),
                        type="direct",
                    )
                )
        users = []
        for row in rows:
            user: Any = load(self._model, row, "User")
            user.groups = found[row.id] or None
            users.append(user)
        return users

    async def create(self, resource: Resource[Any]) -> Resource[Any]:
        """Raises UniquenessException, InvalidValueException, AuditUnavailable."""
        work, id = self._work, str(uuid.uuid4())
        values, is_active = self._values(id, resource), getattr(resource, "active", None) is not False
        await self._check_unique(id, values)
        actors = await self._people_of(values["subject"])
        if is_active:
            await self._come(id, actors)
        else:
            await work.records.provision(id, _first(actors), is_active=False, is_back=False)
            await self._leave_if_here(id, actors)
        try:
            await work.tx.execute(
                insert(scim_users).values(
                    **values,
                    id=id,
                    actor=_first(actors),
                    provider=work.client.provider,
                    is_active=is_active,
                    version=1,
                    created_at=work.now,
                    modified_at=work.now,
                )
            )
        except IntegrityError as error:
            raise _taken("userName or subject") from error
        return await self.get(id)

    async def update(self, id: str, resource: Resource[Any], expected_version: str | None) -> Resource[Any]:
        """Raises NotFoundException, PreconditionFailedException, UniquenessException, InvalidValueException,
        AuditUnavailable."""
        work, row = self._work, await self._row(id)
        check_version(row, expected_version)
        values = self._values(id, resource)
        await self._check_unique(id, values)
        active = getattr(resource, "active", None)
        # Left out, it stays: a client that forgets it must not let somebody back in (RFC 7644, section 3.5.1).
        is_active = row.is_active if active is None else active
        is_other = row.subject != values["subject"]
        before, actors = await self._people_of(row.subject), await self._people_of(values["subject"])
        if row.is_active and (is_other or not is_active):
            await self._leave(id, before, is_deleted=False)
        if is_other and not is_active:
            await self._leave_if_here(id, actors)
        if is_active and (is_other or not row.is_active):
            await self._come(id, actors)
        changed = changed_names(row.resource, values["resource"]) - {"active"}
        if changed:
            await work.records.update(id, _first(actors), changed)
        try:
            await work.tx.execute(
                update(scim_users)
                .where(scim_users.c.id == id)
                .values(
                    **values,
                    actor=_first(actors) if is_other else row.actor,
                    is_active=is_active,
                    version=row.version + 1,
                    modified_at=work.now,
                )
            )
        except IntegrityError as error:
            raise _taken("userName or subject") from error
        await work.provisioned.bring_groups(work.tx, {*before, *actors})
        return await self.get(id)

    async def delete(self, id: str, expected_version: str | None) -> None:
        """Raises NotFoundException, PreconditionFailedException, AuditUnavailable."""
        work, row = self._work, await self._row(id)
        check_version(row, expected_version)
        await self._leave(id, await self._people_of(row.subject), is_deleted=True)
        groups = select(scim_members.c.group_id).where(scim_members.c.user_id == id)
        await work.tx.execute(
            update(scim_groups)
            .where(scim_groups.c.id.in_(groups))
            .values(version=scim_groups.c.version + 1, modified_at=work.now)
        )
        await work.tx.execute(delete(scim_users).where(scim_users.c.id == id))

    async def _people_of(self, subject: str | None) -> list[ActorId]:
        """Who is meant: whoever has that `sub`, or everybody known here in whose tokens that claim stood."""
        provider = self._work.client.provider
        if subject is None:
            return []
        if not self._work.provisioned.is_linked_by_claim(provider):
            return [ActorId(f"{provider}|{subject}")]
        mine = people.c.id.startswith(f"{provider}|", autoescape=True) & (people.c.directory_subject == subject)
        query = select(people.c.id).where(mine).order_by(people.c.last_seen.desc())
        return [ActorId(id) for id in (await self._work.tx.execute(query)).scalars()]

    async def _leave(self, id: str, actors: Sequence[ActorId], *, is_deleted: bool) -> None:
        """Record it, then end everything by which they could act."""
        work = self._work
        work.leaving.update(actors)
        if not actors:
            await work.records.deprovision(id, None, None, is_deleted=is_deleted)
        for actor in actors:
            holdings = await deprovision.holdings_of(work.tx, actor)
            await work.records.deprovision(id, actor, holdings, is_deleted=is_deleted)
            await deprovision.close(work.tx, actor, work.now)

    async def _leave_if_here(self, id: str, actors: Sequence[ActorId]) -> None:
        """The same for an entry that begins inactive: there is nothing to end of people who never came."""
        here = []
        for actor in actors:
            holdings = await deprovision.holdings_of(self._work.tx, actor)
            if holdings.is_known and not holdings.is_gone:
                here.append(actor)
        if here:
            await self._leave(id, here, is_deleted=False)

    async def _come(self, id: str, actors: Sequence[ActorId]) -> None:
        """Record it, then let them in again, if they were out."""
        held = {actor: await deprovision.holdings_of(self._work.tx, actor) for actor in actors}
        back = [actor for actor, holdings in held.items() if holdings.is_gone]
        await self._work.records.provision(id, _first(actors), is_active=True, is_back=bool(back))
        for actor in back:
            await deprovision.reopen(self._work.tx, actor)

    async def _row(self, id: str) -> Row[Any]:
        mine = (scim_users.c.provider == self._work.client.provider) & (scim_users.c.id == id)
        query = select(scim_users).where(mine).with_for_update()
        row = None if "\x00" in id else (await self._work.tx.execute(query)).one_or_none()
        if row is None:
            raise NotFoundException(detail="There is no such user.")
        return row

    def _values(self, id: str, resource: Resource[Any]) -> dict[str, Any]:
        """The columns that follow from the resource."""
        data = dump(resource)
        user_name = column_text(data.get("userName"), "userName")
        if not user_name:
            raise InvalidValueException(detail="userName must not be empty.")
        external_id = column_text(data.get("externalId"), "externalId")
        subject = {"id": id, "userName": user_name, "externalId": external_id}[self._work.client.settings.subject_from]
        if subject is not None and not (0 < len(subject) <= MAX_SUBJECT and subject.isprintable()):
            raise InvalidValueException(
                detail=f"{self._work.client.settings.subject_from} names the person in their sign-ins: it must have 1 "
                f"to {MAX_SUBJECT} printable characters."
            )
        return {
            "user_name": column_text(compared(user_name), "userName"),
            "external_id": external_id,
            "subject": subject,
            "resource": data,
        }

    async def _check_unique(self, id: str, values: dict[str, Any]) -> None:
        others = (scim_users.c.provider == self._work.client.provider) & (scim_users.c.id != id)
        for name, attribute in (("user_name", "userName"), ("subject", self._work.client.settings.subject_from)):
            if values[name] is None:
                continue
            query = select(scim_users.c.id).where(others, scim_users.c[name] == values[name]).limit(1)
            if (await self._work.tx.execute(query)).one_or_none() is not None:
                raise _taken(attribute)


def _taken(attribute: str) -> UniquenessException:
    return UniquenessException(detail=f"Another user of this directory has this {attribute} already.")


def _first(actors: Sequence[ActorId]) -> ActorId | None:
    return actors[0] if actors else None
