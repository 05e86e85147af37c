"""Service accounts: programs of the company that act in their own name, with a person who answers for them.

A service is a row of `people` (`service|<name>`), so that its status, its epoch, its keys and its records work like a
person's, and a row of `service_accounts` with what it may at most do. It has the role `service` and no other, because
of what it is and never because of a group; it has no sign-in. Whether it may come in now depends on two: on itself and
on its owner. An owner who is suspended, gone, or not seen for long takes the service with them on its next request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import ActorId
from gateway.identity.networks import is_within
from gateway.identity.people import Person, person_of
from gateway.identity.tables import people, service_accounts
from gateway.storage.database import Database
from gateway.vocabulary import Permission, Role

PREFIX: Final = "service|"
"""Of their ids. No provider can be called that (`gateway/settings/identity.py`)."""
ROLES: Final = frozenset({Role.SERVICE})

SERVICE_SCOPES: Final = (Permission.IMAGE_GENERATE, Permission.SCREENING_ASK, Permission.MODEL_LIST)
"""What a service may be given at most. Policy's role `service` decides beside it."""

NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,39}")

Fault = Literal["service-disabled", "service-orphaned", "owner-not-seen"]
"""Why a service may not come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What two people agree to about a service."""

    description: str
    owner: ActorId
    """A person, who answers for it."""
    scopes: frozenset[Permission]
    """The most that its keys and tokens may carry."""
    networks: tuple[str, ...]
    """Where it may come from; empty = anywhere."""
    client_provider: str = ""
    client_subject: str = ""
    """The `sub` of its own access tokens at that provider; both or neither."""
    is_enabled: bool = True

    def as_json(self) -> dict[str, Any]:
        """As a proposal keeps it and a record shows it."""
        return {
            "description": self.description,
            "owner": self.owner,
            "scopes": sorted(self.scopes),
            "networks": list(self.networks),
            "client_provider": self.client_provider,
            "client_subject": self.client_subject,
            "is_enabled": self.is_enabled,
        }

    def is_within(self, other: Terms) -> bool:
        """Whether this permits nothing that `other` does not, so that one person may put it in force alone. Words of
        the description permit nothing."""
        is_same_client = (self.client_provider, self.client_subject) == (other.client_provider, other.client_subject)
        return (
            self.owner == other.owner
            and self.scopes <= other.scopes
            and is_within(self.networks, other.networks)
            and (is_same_client or not self.client_provider)
            and (other.is_enabled or not self.is_enabled)
        )


def terms_of(value: Mapping[str, Any]) -> Terms:
    """The Terms of what `as_json` wrote. A word that is no permission of a service (any more) permits nothing."""
    known = {permission.value: permission for permission in SERVICE_SCOPES}
    return Terms(
        description=value["description"],
        owner=ActorId(value["owner"]),
        scopes=frozenset(known[scope] for scope in value["scopes"] if scope in known),
        networks=tuple(value["networks"]),
        client_provider=value["client_provider"],
        client_subject=value["client_subject"],
        is_enabled=value["is_enabled"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A service as it is now, with its own row and its owner's."""

    person: Person
    owner: Person
    terms: Terms
    created_by: ActorId
    approved_by: ActorId
    created_at: datetime

    @property
    def id(self) -> ActorId:
        return self.person.id

    @property
    def name(self) -> str:
        return self.person.id.removeprefix(PREFIX)

    def fault(self, now: datetime, owner_days: int) -> Fault | None:
        """Why it may not come in; None when it may. `owner_days` is how long an owner may go without signing in: only
        a sign-in tells us that they are still with the company."""
        if not self.person.is_active:
            return "service-disabled"
        if not self.owner.is_active:
            return "service-orphaned"
        if now - self.owner.groups_at >= timedelta(days=owner_days):
            return "owner-not-seen"
        return None


class ServiceAccounts:
    """Reads and writes both rows. Methods that take a connection belong to the caller's transaction."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def find(self, id: ActorId) -> ServiceAccount | None:
        """One of them."""
        async with self._database.reading() as tx:
            return await self.find_within(tx, id)

    async def get(self, name: str) -> ServiceAccount:
        """By its name. Raises NotFound."""
        found = await self.find(id_of(name)) if NAME.fullmatch(name) else None
        if found is None:
            raise NotFound("There is no such service. They are listed under /services.")
        return found

    async def find_within(self, tx: AsyncConnection, id: ActorId, *, lock: bool = False) -> ServiceAccount | None:
        """The same in a transaction; `lock`: until its end nobody else changes it."""
        if lock:
            await tx.execute(select(people.c.id).where(people.c.id == id).with_for_update())
        found = await _found(tx, select(service_accounts).where(service_accounts.c.id == id))
        return found[0] if found else None

    async def of_client(self, provider: str, subject: str) -> ServiceAccount | None:
        """The service that is this client of `provider`. None also when two claim to be it: then it is neither."""
        if not subject:  # what every service without a client has
            return None
        client = (service_accounts.c.client_provider == provider) & (service_accounts.c.client_subject == subject)
        async with self._database.reading() as tx:
            found = await _found(tx, select(service_accounts).where(client))
        return found[0] if len(found) == 1 else None

    async def list(self) -> Sequence[ServiceAccount]:
        """All of them by name, disabled ones among them."""
        async with self._database.reading() as tx:
            return await _found(tx, select(service_accounts).order_by(service_accounts.c.id))

    async def create(
        self, tx: AsyncConnection, id: ActorId, terms: Terms, *, by: ActorId, approved_by: ActorId
    ) -> None:
        """Two people agreed to it."""
        now = self._clock()
        await tx.execute(
            insert(people).values(
                id=id,
                display_name=id.removeprefix(PREFIX),
                email="",
                department="",
                groups=[],
                groups_at=now,
                scim_groups=[],
                status="active" if terms.is_enabled else "suspended",
                epoch=1,
                first_seen=now,
                last_seen=now,
            )
        )
        await tx.execute(
            insert(service_accounts).values(
                id=id, created_by=by, approved_by=approved_by, created_at=now, **_columns(terms)
            )
        )

    async def change(self, tx: AsyncConnection, id: ActorId, terms: Terms, *, ends_tokens: bool) -> None:
        """Put other terms in force. `ends_tokens`: access tokens issued until now are over."""
        await tx.execute(update(service_accounts).where(service_accounts.c.id == id).values(**_columns(terms)))
        values: dict[str, Any] = {"status": "active" if terms.is_enabled else "suspended", "epoch": people.c.epoch + 1}
        if ends_tokens:
            values["revoked_at"] = self._clock()
        await tx.execute(update(people).where(people.c.id == id).values(**values))

    async def narrow(self, account: ServiceAccount, terms: Terms) -> None:
        """Put terms in force that are within the present ones: what one person may do alone. Durable. Raises
        InvalidRequest when they are not (any more)."""
        async with self._database.transaction() as tx:
            now = await self.find_within(tx, account.id, lock=True)
            if now is None or not terms.is_within(now.terms):
                raise InvalidRequest("The service was changed just now, so this would widen it. Load it again.")
            await self.change(tx, account.id, terms, ends_tokens=not terms.is_enabled)


def id_of(name: str) -> ActorId:
    """The actor id of the service `name`."""
    return ActorId(PREFIX + name)


def is_service(id: str) -> bool:
    """Whether this is a service's id."""
    return id.startswith(PREFIX)


async def _found(tx: AsyncConnection, query: Select[Any]) -> list[ServiceAccount]:
    """The accounts of these rows, each with the two people behind it as they are now."""
    rows = (await tx.execute(query)).all()
    ids = {id for row in rows for id in (row.id, row.owner)}
    behind = (await tx.execute(select(people).where(people.c.id.in_(ids)))).all() if ids else ()
    persons = {row.id: person_of(row) for row in behind}
    return [_account(row, persons[row.id], persons[row.owner]) for row in rows]


def _account(row: Row[Any], person: Person, owner: Person) -> ServiceAccount:
    return ServiceAccount(
        person=person,
        owner=owner,
        terms=terms_of({**row._mapping, "is_enabled": person.status == "active"}),
        created_by=ActorId(row.created_by),
        approved_by=ActorId(row.approved_by),
        created_at=row.created_at,
    )


def _columns(terms: Terms) -> dict[str, Any]:
    return {name: value for name, value in terms.as_json().items() if name != "is_enabled"}
