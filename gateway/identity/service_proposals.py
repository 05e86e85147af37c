"""What two people decide about services: that there is one, that it may do more, that it gets a key.

Both kinds check twice: when it is proposed, and again when it is carried out, because days may lie between. What a
proposal says of the present (`before`) has to be true still, or it is decided on a picture that is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import Actor, ActorId
from gateway.identity.minting import named
from gateway.identity.networks import is_within, parse_networks
from gateway.identity.notices import NoticeKind, Notices
from gateway.identity.people import People, person_of
from gateway.identity.proposal_kinds import Wording
from gateway.identity.proposals import Proposal
from gateway.identity.service_accounts import (
    NAME,
    SERVICE_SCOPES,
    ServiceAccount,
    ServiceAccounts,
    Terms,
    id_of,
    is_service,
    terms_of,
)
from gateway.identity.tables import people, scim_users, service_accounts
from gateway.identity.tokens import MAX_SUBJECT
from gateway.storage.database import Database
from gateway.vocabulary import Event, Permission

MAX_DESCRIPTION: Final = 500
EMERGENCY: Final = "emergency|"
"""People who are nobody in particular answer for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What two people agree to about a service's key. The key itself is made when its proposer collects it."""

    service: ActorId
    name: str
    scopes: frozenset[Permission]
    networks: tuple[str, ...]
    days: int

    def as_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "name": self.name,
            "scopes": sorted(self.scopes),
            "networks": list(self.networks),
            "days": self.days,
        }


def key_terms_of(payload: Mapping[str, Any]) -> KeyTerms:
    """The KeyTerms of what `as_json` wrote."""
    return KeyTerms(
        service=ActorId(payload["service"]),
        name=payload["name"],
        scopes=frozenset(Permission(scope) for scope in payload["scopes"]),
        networks=tuple(payload["networks"]),
        days=payload["days"],
    )


class AccountKind:
    """`service-account`: payload `{"name", "before": terms or null, "after": terms}`."""

    name = "service-account"
    to_propose = Permission.SERVICE_MANAGE
    to_approve = Permission.SERVICE_APPROVE

    def __init__(
        self,
        database: Database,
        accounts: ServiceAccounts,
        persons: People,
        notices: Notices,
        issuers: Collection[str],
    ) -> None:
        """`issuers`: names of the providers whose access tokens are accepted."""
        self._notices = notices
        self._database = database
        self._accounts = accounts
        self._persons = persons
        self._issuers = issuers

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        return Event.SERVICE_CREATE if payload["before"] is None else Event.SERVICE_CHANGE

    async def describe(self, payload: Mapping[str, Any]) -> Wording:
        before = None if payload["before"] is None else terms_of(payload["before"])
        after = terms_of(payload["after"])
        was = {} if before is None else dict(await self._lines(before))
        lines = []
        for label, value in await self._lines(after):
            changed = before is not None and was[label] != value
            lines.append((label, f"{value} (until now: {was[label]})" if changed else value))
        title = f"{'Create' if before is None else 'Change'} the service {payload['name']}"
        return Wording(title=title, lines=tuple(lines), warnings=await self._warnings(payload, before, after))

    async def check(self, proposal: Proposal, by: Actor) -> None:
        async with self._database.reading() as tx:
            await self.check_within(tx, proposal.payload)

    async def check_within(self, tx: AsyncConnection, payload: Mapping[str, Any]) -> ServiceAccount | None:
        """The account that is to be changed, None when one is to be made. Raises InvalidRequest."""
        name, after = payload["name"], terms_of(payload["after"])
        account = await self._accounts.find_within(tx, id_of(name), lock=True)
        if payload["before"] is None:
            if account is not None:
                raise InvalidRequest(f"There is a service called {name} already. Choose another name.", param="name")
        elif account is None or account.terms != terms_of(payload["before"]):
            raise InvalidRequest(
                f"The service {name} was changed since this was proposed. Look at it as it is now, and propose again."
            )
        await self._check_owner(tx, after.owner)
        await self._check_client(tx, id_of(name), after)
        return account

    async def carry_out(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        account = await self.check_within(tx, proposal.payload)
        after = terms_of(proposal.payload["after"])
        if account is None:
            id = id_of(proposal.payload["name"])
            try:
                await self._accounts.create(tx, id, after, by=proposal.proposed_by, approved_by=by.id)
            except IntegrityError as error:
                raise InvalidRequest("A service of this name was made in this very moment.", param="name") from error
        else:
            # A token of the client that it no longer is must not go on.
            is_other_client = account.terms.client_subject != after.client_subject
            await self._accounts.change(tx, account.id, after, ends_tokens=is_other_client)
        name, what = proposal.payload["name"], "it was made" if account is None else "it was changed"
        owners = {after.owner} | (set() if account is None else {account.terms.owner})
        for owner in sorted(owners):
            await self._notices.tell_within(tx, owner, NoticeKind.SERVICE, service=name, what=what, by=by.id)

    def read(
        self,
        name: str,
        *,
        description: str,
        owner: str,
        scopes: Sequence[str],
        networks: Sequence[str],
        client_provider: str,
        client_subject: str,
        is_enabled: bool = True,
    ) -> Terms:
        """Terms as somebody wrote them, each field checked by itself. Raises InvalidRequest."""
        if NAME.fullmatch(name) is None:
            raise InvalidRequest(
                "A service's name has 2 to 40 lower-case letters, digits and hyphens, and begins with a letter.",
                param="name",
            )
        description = description.strip()
        if not description or len(description) > MAX_DESCRIPTION or not description.isprintable():
            raise InvalidRequest(
                f"Say what the service is for, in 1 to {MAX_DESCRIPTION} printable characters.", param="description"
            )
        client_provider, client_subject = client_provider.strip(), client_subject.strip()
        if bool(client_provider) != bool(client_subject):
            raise InvalidRequest(
                "A client is its provider and its subject there: give both or neither.", param="client_subject"
            )
        if client_provider and client_provider not in self._issuers:
            accepted = ", ".join(sorted(self._issuers)) or "none: set `access_token_audience` for one"
            raise InvalidRequest(
                f"Access tokens of this provider are not accepted. Accepted: {accepted}.", param="client_provider"
            )
        if len(client_subject) > MAX_SUBJECT or not all("!" <= character <= "~" for character in client_subject):
            raise InvalidRequest(
                f"A client's subject has at most {MAX_SUBJECT} ASCII characters and no spaces.", param="client_subject"
            )
        return Terms(
            description=description,
            owner=ActorId(owner.strip()),
            scopes=service_scopes(scopes),
            networks=parse_networks(networks),
            client_provider=client_provider,
            client_subject=client_subject,
            is_enabled=is_enabled,
        )

    async def _check_owner(self, tx: AsyncConnection, owner: ActorId) -> None:
        is_nobody = is_service(owner) or owner.startswith(EMERGENCY)
        row = None if is_nobody else (await tx.execute(select(people).where(people.c.id == owner))).one_or_none()
        person = None if row is None else person_of(row)
        if person is None:
            raise InvalidRequest(
                "The owner is a person who has signed in here before. Give their id, as their account page shows it.",
                param="owner",
            )
        if not person.is_active:
            raise InvalidRequest("The owner's account is not active, so they can't answer for it.", param="owner")

    async def _check_client(self, tx: AsyncConnection, id: ActorId, terms: Terms) -> None:
        if not terms.client_provider:
            return
        if terms.client_provider not in self._issuers:
            raise InvalidRequest("Access tokens of this provider are not accepted any more.", param="client_provider")
        # A person's subject here would let their own tokens act as the service (RFC 9068, section 5).
        human = f"{terms.client_provider}|{terms.client_subject}"
        known = (
            select(people.c.id).where(people.c.id == human),
            select(scim_users.c.id).where(scim_users.c.actor == human),
        )
        if any([(await tx.execute(query)).first() is not None for query in known]):
            raise InvalidRequest("That subject is a person's, not a client's.", param="client_subject")
        same = (
            (service_accounts.c.client_provider == terms.client_provider)
            & (service_accounts.c.client_subject == terms.client_subject)
            & (service_accounts.c.id != id)
        )
        if (await tx.execute(select(service_accounts.c.id).where(same))).first() is not None:
            raise InvalidRequest("Another service is this client already.", param="client_subject")

    async def _lines(self, terms: Terms) -> Sequence[tuple[str, str]]:
        owner = await self._persons.find(terms.owner)
        client = f"{terms.client_subject} at {terms.client_provider}" if terms.client_provider else "none"
        return (
            ("For", terms.description),
            ("Answers for it", terms.owner if owner is None else f"{owner.display_name} ({terms.owner})"),
            ("May at most", ", ".join(sorted(terms.scopes)) or "nothing"),
            ("From", ", ".join(terms.networks) or "anywhere"),
            ("Is the client", client),
            ("Switched on", "yes" if terms.is_enabled else "no"),
        )

    async def _warnings(self, payload: Mapping[str, Any], before: Terms | None, after: Terms) -> tuple[str, ...]:
        found = []
        account = await self._accounts.find(id_of(payload["name"]))
        if (None if account is None else account.terms) != before:
            found.append("The service was changed since this was proposed: it can't be carried out.")
        owner = await self._persons.find(after.owner)
        if owner is None or not owner.is_active:
            found.append("Its owner's account is not active: it can't be carried out.")
        if not after.networks:
            found.append("It may come from anywhere.")
        return tuple(found)


class KeyKind:
    """`service-key`: payload as `KeyTerms.as_json`. An approval makes no key yet: its proposer collects it."""

    name = "service-key"
    to_propose = Permission.SERVICE_MANAGE
    to_approve = Permission.SERVICE_APPROVE

    def __init__(self, database: Database, accounts: ServiceAccounts, max_days: int, collect_within: timedelta) -> None:
        self._database = database
        self._accounts = accounts
        self._max_days = max_days
        self._collect_within = collect_within

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        return None

    async def describe(self, payload: Mapping[str, Any]) -> Wording:
        terms = key_terms_of(payload)
        account = await self._accounts.find(terms.service)
        warnings = [] if account is None else _unfit(account, terms)
        networks = terms.networks or (() if account is None else account.terms.networks)
        hours = int(self._collect_within.total_seconds() // 3600)
        return Wording(
            title=f"A key for the service {terms.service.partition('|')[2]}",
            lines=(
                ("Name", terms.name),
                ("May", ", ".join(sorted(terms.scopes)) or "nothing"),
                ("From", ", ".join(networks) or "anywhere"),
                ("Lives", f"{terms.days} days from when it is collected"),
                ("Shown to", f"whoever proposed it, once, within {hours} hours after the approval"),
            ),
            warnings=(*warnings, *(() if networks else ("It may be used from anywhere.",))),
        )

    async def check(self, proposal: Proposal, by: Actor) -> None:
        async with self._database.reading() as tx:
            await self.check_within(tx, key_terms_of(proposal.payload))

    async def check_within(self, tx: AsyncConnection, terms: KeyTerms) -> ServiceAccount:
        """The account that the key is for. Raises InvalidRequest, NotFound."""
        account = await self._accounts.find_within(tx, terms.service, lock=True)
        if account is None:
            raise NotFound("There is no such service.")
        if unfit := _unfit(account, terms):
            raise InvalidRequest(unfit[0])
        if not 1 <= terms.days <= self._max_days:
            raise InvalidRequest(
                f"A service's key lives 1 to {self._max_days} days; you asked for {terms.days}.", param="days"
            )
        return account

    async def carry_out(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        await self.check_within(tx, key_terms_of(proposal.payload))

    def read(
        self, account: ServiceAccount, *, name: str, scopes: Sequence[str], networks: Sequence[str], days: int | None
    ) -> KeyTerms:
        """Terms as somebody wrote them. Raises InvalidRequest."""
        return KeyTerms(
            service=account.id,
            name=named(name),
            scopes=service_scopes(scopes),
            networks=parse_networks(networks),
            days=self._max_days if days is None else days,
        )


def service_scopes(scopes: Sequence[str]) -> frozenset[Permission]:
    """What these words permit a service to do. Raises InvalidRequest."""
    known = {permission.value: permission for permission in SERVICE_SCOPES}
    unknown = len(set(scopes) - known.keys())
    if unknown:
        raise InvalidRequest(
            f"A service can't have {unknown} of the scopes you asked for. It can have: {', '.join(sorted(known))}.",
            param="scopes",
        )
    return frozenset(known[scope] for scope in scopes)


def _unfit(account: ServiceAccount, terms: KeyTerms) -> list[str]:
    """Why this key is not for this service, as it is now."""
    found = []
    if not account.person.is_active:
        found.append(f"The service {account.name} is switched off.")
    if not account.owner.is_active:
        found.append(f"Nobody answers for the service {account.name}: its owner's account is not active.")
    if beyond := sorted(terms.scopes - account.terms.scopes):
        found.append(f"The service {account.name} itself may not do this: {', '.join(beyond)}.")
    if terms.networks and not is_within(terms.networks, account.terms.networks):
        found.append(f"The service {account.name} itself may not come from all of these networks.")
    return found
