"""Changing the role mapping: what one person may do at once, and what it takes two for.

A change that gives nobody more is in force as soon as one administrator says so: a leak has to be closed now. Every
other is a proposal (`role-mapping`) whose digest covers the mapping as it was and as it would be. Its second person
must not be in a group that is widened: agreeing to more for oneself is no second opinion (dynamic separation of duties,
NIST SP 800-53 r5, AC-5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest
from gateway.exchange import Actor, Reason
from gateway.identity.authenticate import answering
from gateway.identity.mapping import (
    CHANGED,
    Change,
    LiveMapping,
    Version,
    changes_of,
    is_narrower,
    read_mapping,
    widened,
)
from gateway.identity.notices import Notices
from gateway.identity.people import Person
from gateway.identity.proposal_kinds import Wording
from gateway.identity.proposals import Proposal, Proposals
from gateway.identity.roles import RoleMap, RolesOfGroups, as_json, from_json
from gateway.storage.database import Database
from gateway.vocabulary import Code, Event, Permission, Role, Severity

NAMED: Final = 20
"""So many people are named in a proposal's words; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a mapping would do, before anybody decides."""

    version: int
    before: RolesOfGroups
    after: RolesOfGroups
    changes: Sequence[Change]
    warnings: tuple[str, ...]

    @property
    def is_narrower(self) -> bool:
        """One person may put it in force at once."""
        return is_narrower(self.before, self.after, self.changes)

    @property
    def is_same(self) -> bool:
        return self.before == self.after

    def content(self) -> dict[str, Any]:
        """For the record of putting it in force."""
        return {
            "version": self.version + 1,
            "before": as_json(self.before),
            "after": as_json(self.after),
            "people": [
                {"actor": one.person.id, "gains": sorted(one.gains), "loses": sorted(one.loses)} for one in self.changes
            ],
        }


class MappingKind:
    """`role-mapping`: payload `{"version", "before", "after"}`, the version and mapping that it was proposed upon."""

    name = "role-mapping"
    to_propose = Permission.MAPPING_PROPOSE
    to_approve = Permission.MAPPING_APPROVE

    def __init__(self, database: Database, live: LiveMapping) -> None:
        self._database = database
        self._live = live

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        return Event.MAPPING_ACTIVATE

    async def describe(self, payload: Mapping[str, Any]) -> Wording:
        before, after = from_json(payload["before"]), from_json(payload["after"])
        async with self._database.reading() as tx:
            now, known = await self._live.current(tx), await self._live.known(tx)
        changes = changes_of(known, before, after)
        stale = ("It can't be carried out: " + CHANGED,) if not _is_upon(payload, now) else ()
        return Wording(
            title="Change which groups give which roles",
            lines=(*_group_lines(before, after), *_people_lines(changes)),
            warnings=(*stale, *warnings_of(known, after, changes)),
        )

    async def check(self, proposal: Proposal, by: Actor) -> None:
        async with self._database.reading() as tx:
            await self._check(tx, proposal, by)

    async def carry_out(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        await self._check(tx, proposal, by)
        after, version = from_json(proposal.payload["after"]), proposal.payload["version"]
        await self._live.activate(tx, after, after=version, by=by.id, proposal=proposal.id)

    async def _check(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        read_mapping(proposal.payload["after"])
        now = await self._live.current(tx)
        if not _is_upon(proposal.payload, now):
            raise InvalidRequest(CHANGED)
        own = widened(now.mapping, from_json(proposal.payload["after"])) & set(by.groups)
        if own:
            message = (
                f"This gives more to a group that you are in ({sorted(own)[0]}), so somebody who is not in it has to "
                "agree."
            )
            raise Denied(
                message, reasons=[Reason(code=Code.SUBJECT_OWN_PROPOSAL, message=message, severity=Severity.LOW)]
            )


class MappingDesk:
    """What administrators do with the mapping."""

    def __init__(
        self,
        *,
        database: Database,
        roles: RoleMap,
        notices: Notices,
        proposals: Proposals,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._proposals = proposals
        self.live = LiveMapping(database, roles, clock, notices)
        self.kind = MappingKind(database, self.live)

    @answering()
    async def preview(self, after: RolesOfGroups) -> Preview:
        """What this mapping would change, now. Writes nothing."""
        async with self._database.reading() as tx:
            return await self._preview(tx, after)

    @answering()
    async def draft(self, actor: Actor, preview: Preview, *, note: str) -> Proposal:
        """A proposal, not stored yet. Raises InvalidRequest."""
        if preview.is_same:
            raise InvalidRequest("This is the mapping that is in force: nothing would change.", param="roles")
        payload = {
            "version": preview.version,
            "before": as_json(preview.before),
            "after": as_json(preview.after),
        }
        return self._proposals.draft(self.kind.name, payload, note=note, by=actor.id)

    @answering()
    async def narrow(self, actor: Actor, preview: Preview) -> Preview:
        """Put a mapping in force that gives nobody more. Durable; returns what it did. Raises InvalidRequest when it
        is none (any more)."""
        if preview.is_same:
            raise InvalidRequest("This is the mapping that is in force: nothing would change.", param="roles")
        async with self._database.transaction() as tx:
            now = await self._preview(tx, preview.after)
            if now.version != preview.version or not now.is_narrower:
                raise InvalidRequest(CHANGED)
            await self.live.activate(tx, now.after, after=now.version, by=actor.id, proposal=None)
        await self.live.refresh()
        return now

    @answering()
    async def history(self) -> Sequence[Version]:
        """All that were in force, the newest first."""
        return await self.live.history()

    @answering()
    async def get(self, number: int) -> Version:
        """One of them. Raises NotFound."""
        return await self.live.get(number)

    async def holders_of(self, role: Role) -> Sequence[Person]:
        """The people who have this role now and may come in."""
        roles = RoleMap(self.live.in_force)
        async with self._database.reading() as tx:
            known = await self.live.known(tx)
        return [person for person in known if person.is_active and role in roles.roles_of(person.groups)]

    async def _preview(self, tx: AsyncConnection, after: RolesOfGroups) -> Preview:
        now, known = await self.live.current(tx), await self.live.known(tx)
        changes = changes_of(known, now.mapping, after)
        return Preview(
            version=now.number,
            before=now.mapping,
            after=after,
            changes=changes,
            warnings=warnings_of(known, after, changes),
        )


def warnings_of(known: Sequence[Person], after: RolesOfGroups, changes: Sequence[Change]) -> tuple[str, ...]:
    """What somebody should look at twice before this is in force."""
    found = [
        f"{_name(change.person)} would be given {' and '.join(sorted(change.conflicts))}, which nobody may hold "
        "together, and would get neither."
        for change in changes[:NAMED]
        if change.conflicts
    ]
    roles, active = RoleMap(after), [person for person in known if person.is_active]
    admins = [person for person in active if Role.ADMIN in roles.roles_of(person.groups)]
    if len(admins) < 2:
        number = "Nobody whom we know" if not admins else "Only one person whom we know"
        found.append(f"{number} would be admin: what takes two people could not be done any more.")
    held = {group for person in active for group in person.groups}
    if unheld := sorted(set(after) - held):
        found.append(f"Nobody whom we know is in {_listed(unheld)}. A mistyped name gives nothing.")
    return tuple(found)


def _is_upon(payload: Mapping[str, Any], now: Version) -> bool:
    """Whether what a proposal says of the present is true."""
    return bool(payload["version"] == now.number and from_json(payload["before"]) == now.mapping)


def _group_lines(before: RolesOfGroups, after: RolesOfGroups) -> Sequence[tuple[str, str]]:
    found = []
    for group in sorted({*before, *after}):
        old, new = before.get(group, frozenset[Role]()), after.get(group, frozenset[Role]())
        if old != new:
            found.append((f"Group {group}", f"{_roles(new)} (until now: {_roles(old)})"))
    return found


def _people_lines(changes: Sequence[Change]) -> Sequence[tuple[str, str]]:
    gaining = [change for change in changes if change.gains]
    losing = [change for change in changes if change.loses]
    return (
        ("Who gains", _listed([f"{_name(one.person)}: {_roles(one.gains)}" for one in gaining]) or "nobody we know"),
        ("Who loses", _listed([f"{_name(one.person)}: {_roles(one.loses)}" for one in losing]) or "nobody we know"),
    )


def _name(person: Person) -> str:
    return f"{person.display_name} ({person.id})"


def _roles(roles: frozenset[Role]) -> str:
    return ", ".join(sorted(roles)) or "nothing"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")
