"""Services on both databases, and what happens when two people do it in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ImprimaturError, Unauthenticated
from gateway.exchange import Actor, ActorId, Credentials, Origin
from gateway.identity import Identity
from gateway.identity.profile import Described
from gateway.identity.proposals import Proposal
from gateway.identity.service_accounts import Terms
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Code, Permission, Role
from tests.support.moment import Moment
from tests.support.scim import database as fresh

OFFICE = Origin(ip="10.1.2.3")
CAROL, DAN, ERIN = (
    Actor(id=ActorId(f"company|{name}"), display_name=name, method="session", credential_id="s")
    for name in ("carol", "dan", "erin")
)
TERMS = Terms(
    description="Writes the newsletter",
    owner=ActorId("company|olga"),
    scopes=frozenset({Permission.IMAGE_GENERATE}),
    networks=("10.0.0.0/8",),
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh(request.param, tmp_path_factory.mktemp("services")) as url:
        yield url


@pytest.fixture
async def identity(url: str, tmp_path: Path) -> AsyncIterator[Identity]:
    (tmp_path / "identity.key").write_bytes(b"k" * 32)
    database = Database(url)
    identity = Identity(
        IdentitySettings(secret_path=tmp_path / "identity.key"), "https://x.example", database, Moment()
    )
    async with database.transaction() as tx:
        await identity.people.seen(tx, TERMS.owner, Described(display_name="olga"))
    yield identity
    await identity.aclose()
    await database.aclose()


async def propose(identity: Identity, name: str, before: Terms | None, after: Terms) -> Proposal:
    draft = await identity.services.draft_account(CAROL, name, before, after, note="because")
    await identity.proposals.submit(draft)
    return draft


async def propose_key(identity: Identity, name: str) -> Proposal:
    account = await identity.services.get(name)
    draft = await identity.services.draft_key(
        CAROL, account, name="robot", scopes=["image:generate"], networks=[], days=30, note="because"
    )
    await identity.proposals.submit(draft)
    return draft


async def approve(identity: Identity, proposal: Proposal, by: Actor = DAN) -> None:
    async with identity.people._database.transaction() as tx:
        await identity.proposals.decide(tx, proposal, by=by.id, status="approved")
        await identity.proposal_kinds[proposal.kind].carry_out(tx, proposal, by)


async def outcomes(*attempts: Any) -> list[str]:
    """How each ended that began in the same moment."""
    found = await asyncio.gather(*attempts, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, ImprimaturError):
            raise one
    return sorted("refused" if isinstance(one, ImprimaturError) else "done" for one in found)


@pytest.mark.xdist_group("services-storage")
class TestAtOnce:
    async def test_a_service_from_its_proposal_to_its_end(self, identity: Identity) -> None:
        await approve(identity, await propose(identity, "whole-way", None, TERMS))
        draft = await propose_key(identity, "whole-way")
        await approve(identity, draft)
        assert [one.proposal.id for one in await identity.services.waiting_for(CAROL.id)] == [draft.id]
        key = await identity.services.prepare_key(CAROL, draft.id)
        await identity.services.store_key(key)
        shown = Credentials(method="POST", authorization=f"Bearer {key.secret}")
        actor = await identity.authenticate(shown, OFFICE)
        assert (actor.id, actor.roles) == ("service|whole-way", {Role.SERVICE})
        account = await identity.services.get("whole-way")
        assert list(await identity.services.last_used([account])) == [account.id]
        assert TERMS.owner in dict(await identity.services.owners())
        await identity.people.set_status(TERMS.owner, "suspended")
        with pytest.raises(Unauthenticated):
            await identity.authenticate(shown, OFFICE)
        assert await identity.people.shut_out(frozenset({account.id})) == {account.id: Code.SUBJECT_SUSPENDED}
        await identity.people.set_status(TERMS.owner, "active")
        await identity.services.narrow(account, replace(TERMS, is_enabled=False))
        with pytest.raises(Unauthenticated):
            await identity.authenticate(shown, OFFICE)
        assert len(await identity.notices.of(TERMS.owner)) >= 2

    async def test_one_agreement_gives_one_key(self, identity: Identity) -> None:
        await approve(identity, await propose(identity, "one-key", None, TERMS))
        draft = await propose_key(identity, "one-key")
        await approve(identity, draft)
        keys = [await identity.services.prepare_key(CAROL, draft.id) for _ in range(5)]
        ends = await outcomes(*(identity.services.store_key(key) for key in keys))
        assert ends == ["done", "refused", "refused", "refused", "refused"]
        assert len(await identity.services.keys_of(await identity.services.get("one-key"))) == 1

    async def test_two_who_agree_at_once_make_one_service(self, identity: Identity) -> None:
        draft = await propose(identity, "one-service", None, TERMS)
        assert await outcomes(approve(identity, draft, DAN), approve(identity, draft, ERIN)) == ["done", "refused"]
        assert (await identity.services.get("one-service")).terms == TERMS

    async def test_narrowing_is_never_lost_to_a_widening_of_the_same_moment(self, identity: Identity) -> None:
        """Whichever comes first: what was narrowed does not come back unless somebody agreed to it as it is."""
        for number in range(5):
            name = f"race-{number}"
            await approve(identity, await propose(identity, name, None, TERMS))
            account = await identity.services.get(name)
            wider = replace(TERMS, networks=())
            draft = await propose(identity, name, TERMS, wider)
            narrower = replace(TERMS, scopes=frozenset())
            await outcomes(identity.services.narrow(account, narrower), approve(identity, draft))
            terms = (await identity.services.get(name)).terms
            assert terms.scopes == frozenset() or terms == wider
            decided = (await identity.proposals.find(draft.id)).status
            if decided == "approved":  # then the narrowing was put in force upon it, or was refused for it
                assert terms in (wider, narrower)
            else:
                assert terms == narrower

    async def test_a_name_is_given_once(self, identity: Identity) -> None:
        drafts = [await propose(identity, "one-name", None, TERMS) for _ in range(2)]

        assert await outcomes(*(approve(identity, draft) for draft in drafts)) == ["done", "refused"]
