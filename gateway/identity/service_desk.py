"""Everything about services in one place: `identity.services`.

Widening takes two people and goes through a proposal; what closes something is done by one, at once. A method that
prepares stores nothing, so that its record can come first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import Actor, ActorId, Mfa
from gateway.identity.api_keys import ApiKeys, KeyInfo, NewKey
from gateway.identity.authenticate import answering
from gateway.identity.minting import MAX_LIVE_KEYS
from gateway.identity.notices import NoticeKind, Notices
from gateway.identity.people import People
from gateway.identity.proposal_kinds import ProposalKind
from gateway.identity.proposals import Proposal, Proposals
from gateway.identity.service_accounts import PREFIX, Fault, ServiceAccount, ServiceAccounts, Terms
from gateway.identity.service_proposals import EMERGENCY, AccountKind, KeyKind, key_terms_of
from gateway.identity.tables import people
from gateway.settings import IdentitySettings
from gateway.storage.database import Database

COLLECT_WITHIN: Final = timedelta(hours=24)
"""How long an approved key waits for its proposer. Nothing of it exists until then."""

OFFERED_OWNERS: Final = 200

_LATER: Final = "This was changed just now by somebody else. Load it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An approved key that its proposer has not collected yet."""

    proposal: Proposal
    until: datetime


class ServiceDesk:
    """Services as administrators see them."""

    def __init__(
        self,
        *,
        database: Database,
        settings: IdentitySettings,
        accounts: ServiceAccounts,
        api_keys: ApiKeys,
        persons: People,
        proposals: Proposals,
        notices: Notices,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._settings = settings
        self.accounts = accounts
        self._api_keys = api_keys
        self._proposals = proposals
        self._notices = notices
        self._clock = clock
        issuers: Collection[str] = {p.name for p in settings.providers if p.access_token_audience}
        self.issuers = tuple(sorted(issuers))
        self.account_kind = AccountKind(database, accounts, persons, notices, issuers)
        self.key_kind = KeyKind(database, accounts, settings.service_key_max_days, COLLECT_WITHIN)

    @property
    def kinds(self) -> tuple[ProposalKind, ...]:
        return (self.account_kind, self.key_kind)

    def fault_of(self, account: ServiceAccount) -> Fault | None:
        """Why it may not come in now; None when it may."""
        return account.fault(self._clock(), self._settings.groups_max_age_days)

    @answering()
    async def list(self) -> Sequence[ServiceAccount]:
        """All of them by name, disabled ones among them."""
        return await self.accounts.list()

    @answering()
    async def get(self, name: str) -> ServiceAccount:
        """By its name. Raises NotFound."""
        return await self.accounts.get(name)

    @answering()
    async def owners(self) -> Sequence[tuple[ActorId, str]]:
        """Some of the people who could answer for a service, with their names: for a form to offer."""
        is_here = (people.c.status == "active") & people.c.deprovisioned_at.is_(None)
        is_person = people.c.id.not_like(PREFIX + "%") & people.c.id.not_like(EMERGENCY + "%")
        query = select(people.c.id, people.c.display_name).where(is_here & is_person).order_by(people.c.display_name)
        async with self._database.reading() as tx:
            return [(ActorId(row.id), row.display_name) for row in await tx.execute(query.limit(OFFERED_OWNERS))]

    @answering()
    async def last_used(self, accounts: Sequence[ServiceAccount]) -> Mapping[ActorId, datetime]:
        """When any key of each was last used."""
        return await self._api_keys.last_used([account.id for account in accounts])

    @answering()
    async def open_proposals(self) -> Sequence[Proposal]:
        """What waits for a second person."""
        return await self._proposals.list([kind.name for kind in self.kinds], only_open=True)

    @answering()
    async def narrow(self, account: ServiceAccount, terms: Terms) -> None:
        """Put narrower terms in force. Durable. Raises InvalidRequest when they are not."""
        await self.accounts.narrow(account, terms)

    @answering()
    async def draft_account(
        self, actor: Actor, name: str, before: Terms | None, after: Terms, *, note: str
    ) -> Proposal:
        """A proposal to make a service, or to change one beyond what one person may. Not stored. Raises
        InvalidRequest."""
        payload = {"name": name, "before": None if before is None else before.as_json(), "after": after.as_json()}
        async with self._database.reading() as tx:
            await self.account_kind.check_within(tx, payload)
        return self._proposals.draft(self.account_kind.name, payload, note=note, by=actor.id)

    @answering()
    async def draft_key(
        self,
        actor: Actor,
        account: ServiceAccount,
        *,
        name: str,
        scopes: Sequence[str],
        networks: Sequence[str],
        days: int | None,
        note: str,
    ) -> Proposal:
        """A proposal to make a key for a service. Not stored. Raises InvalidRequest."""
        terms = self.key_kind.read(account, name=name, scopes=scopes, networks=networks, days=days)
        async with self._database.reading() as tx:
            await self.key_kind.check_within(tx, terms)
        return self._proposals.draft(self.key_kind.name, terms.as_json(), note=note, by=actor.id)

    @answering()
    async def waiting_for(self, actor: ActorId) -> Sequence[Waiting]:
        """The approved keys that this person may collect now."""
        found = []
        for proposal in await self._proposals.list([self.key_kind.name]):
            until = _collectable_until(proposal)
            if proposal.proposed_by != actor or until is None or self._clock() >= until:
                continue
            if await self._api_keys.of_proposal(proposal.id) is None:
                found.append(Waiting(proposal=proposal, until=until))
        return found

    @answering()
    async def prepare_key(self, actor: Actor, proposal_id: str) -> NewKey:
        """The key that two people agreed to, not stored yet. Its proposer only, once, within a day of the approval,
        and only while the service still permits it. Raises Denied, InvalidRequest, NotFound."""
        proposal = await self._proposals.find(proposal_id)
        if proposal.kind != self.key_kind.name:
            raise NotFound("There is no such key to collect.")
        if proposal.proposed_by != actor.id:
            raise Denied("Only who proposed this key can collect it.")
        until = _collectable_until(proposal)
        if until is None:
            raise InvalidRequest(f"This key is {proposal.status}: only an approved one can be collected.")
        if self._clock() >= until:
            raise InvalidRequest("This key waited longer than a day to be collected. Propose it again.")
        if await self._api_keys.of_proposal(proposal.id) is not None:
            raise InvalidRequest("This key was collected already; it is shown once. Propose another and revoke it.")
        terms = key_terms_of(proposal.payload)
        async with self._database.reading() as tx:
            account = await self.key_kind.check_within(tx, terms)
        now = self._clock()
        live = [key for key in await self.keys_of(account) if key.revoked_at is None and key.expires_at > now]
        if len(live) >= MAX_LIVE_KEYS:
            raise InvalidRequest(f"The service has {len(live)} keys already. Revoke one that it no longer uses first.")
        return self._api_keys.make(
            account.id,
            name=terms.name,
            scopes=terms.scopes,
            lifetime=timedelta(days=terms.days),
            mfa=Mfa(),
            networks=terms.networks,
            minted_by=actor.id,
            proposal=proposal.id,
        )

    @answering()
    async def store_key(self, key: NewKey) -> None:
        """Make a prepared key usable, and tell who answers for the service. Durable. Raises InvalidRequest when it was
        collected in between."""

        async def tell(tx: AsyncConnection) -> None:
            account = await self.accounts.find_within(tx, key.info.actor)
            if account is not None:
                facts = {"service": account.name, "what": "it got a key", "by": key.info.minted_by or ""}
                await self._notices.tell_within(tx, account.terms.owner, NoticeKind.SERVICE, **facts)

        try:
            await self._api_keys.store(key, tell)
        except IntegrityError as error:
            raise InvalidRequest(_LATER) from error

    @answering()
    async def keys_of(self, account: ServiceAccount) -> Sequence[KeyInfo]:
        """Its keys, the newest first."""
        return await self._api_keys.of(account.id)

    @answering()
    async def revoke_key(self, account: ServiceAccount, key_id: str) -> None:
        """End one of its keys at once. Raises NotFound."""
        if not await self._api_keys.revoke(key_id, account.id):
            raise NotFound("The service has no such key.")


def _collectable_until(proposal: Proposal) -> datetime | None:
    decided_at = proposal.decided_at if proposal.status == "approved" else None
    return None if decided_at is None else decided_at + COLLECT_WITHIN
