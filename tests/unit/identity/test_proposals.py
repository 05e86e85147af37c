"""Two people, one text, one decision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import ActorId
from gateway.identity.proposals import Proposal, Proposals, digest_of
from gateway.storage.database import Database
from tests.support.moment import Moment

ALICE, GAIL = ActorId("idp|alice"), ActorId("idp|gail")


@pytest.fixture
def proposals(database: Database, moment: Moment) -> Proposals:
    return Proposals(database, moment, lifetime=timedelta(days=7))


@pytest.fixture
def propose(proposals: Proposals) -> Callable[..., Any]:
    async def propose(**changes: Any) -> Proposal:
        asked = {"kind": "thing", "payload": {"a": 1}, "note": "because", "by": ALICE} | changes
        proposal = proposals.draft(asked.pop("kind"), asked.pop("payload"), **asked)
        await proposals.submit(proposal)
        return proposal

    return propose


async def approve(proposals: Proposals, database: Database, proposal: Proposal, by: ActorId) -> None:
    async with database.transaction() as tx:
        await proposals.decide(tx, proposal, by=by, status="approved")


async def test_another_person_agrees(proposals, database, propose, moment):
    proposal = await propose()
    proposals.check_decidable(proposal, by=GAIL, digest=proposal.digest)
    await approve(proposals, database, proposal, GAIL)
    found = await proposals.find(proposal.id)
    assert (found.status, found.decided_by, found.decided_at) == ("approved", GAIL, moment())
    assert found.payload == {"a": 1}
    assert await proposals.list(["thing"], only_open=True) == []
    assert [one.id for one in await proposals.list(["thing"])] == [proposal.id]
    assert await proposals.list(["other"]) == []


async def test_nobody_agrees_with_themselves(proposals, database, propose):
    proposal = await propose()
    with pytest.raises(Denied, match="proposed this yourself") as refused:
        await approve(proposals, database, proposal, ALICE)
    assert [str(reason.code) for reason in refused.value.reasons] == ["subject.own-proposal"]
    assert (await proposals.find(proposal.id)).status == "open"


@pytest.mark.parametrize("status", ["approved", "rejected"])
async def test_the_database_refuses_one_person_for_two(database, propose, status):
    proposal = await propose()
    change = text("update proposals set status = :s, decided_by = proposed_by where id = :id")
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await tx.execute(change, {"s": status, "id": proposal.id})


async def test_what_is_agreed_to_is_what_was_seen(proposals, propose):
    proposal = await propose()
    with pytest.raises(InvalidRequest, match="not what is proposed"):
        proposals.check_decidable(proposal, by=GAIL, digest=digest_of("thing", {"a": 2}))


async def test_what_was_changed_behind_our_back_is_not_agreed_to(proposals, database, propose):
    proposal = await propose()
    async with database.transaction() as tx:
        await tx.execute(text("update proposals set digest = 'other' where id = :id"), {"id": proposal.id})
    with pytest.raises(InvalidRequest, match="just now"):
        await approve(proposals, database, proposal, GAIL)


async def test_a_payload_that_was_changed_behind_our_back_is_not_agreed_to(proposals, database, propose):
    proposal = await propose()
    async with database.transaction() as tx:
        await tx.execute(text("update proposals set payload = '{\"a\": 2}' where id = :id"), {"id": proposal.id})
    changed = await proposals.find(proposal.id)
    for digest in (changed.digest, digest_of("thing", {"a": 2})):
        with pytest.raises(InvalidRequest, match="not what is proposed"):
            proposals.check_decidable(changed, by=GAIL, digest=digest)


async def test_it_is_decided_once(proposals, database, propose):
    proposal = await propose()
    await approve(proposals, database, proposal, GAIL)
    with pytest.raises(InvalidRequest, match="just now"):
        await approve(proposals, database, proposal, GAIL)  # as two who decide at once, both having seen it open
    with pytest.raises(InvalidRequest, match="was approved already"):
        await approve(proposals, database, await proposals.find(proposal.id), GAIL)


async def test_it_gets_too_old(proposals, database, propose, moment):
    proposal = await propose()
    moment.pass_(days=7)
    with pytest.raises(InvalidRequest, match="too old"):
        await approve(proposals, database, proposal, GAIL)
    assert await proposals.list(["thing"], only_open=True) == []


async def test_its_author_and_nobody_else_withdraws_it(proposals, propose):
    proposal = await propose()
    with pytest.raises(Denied, match="Only who proposed"):
        await proposals.withdraw(proposal, by=GAIL)
    await proposals.withdraw(proposal, by=ALICE)
    assert (await proposals.find(proposal.id)).status == "withdrawn"
    with pytest.raises(InvalidRequest, match="was withdrawn already"):
        proposals.check_decidable(await proposals.find(proposal.id), by=GAIL, digest=proposal.digest)


async def test_what_is_over_is_not_open_and_can_not_be_withdrawn(proposals, database, propose, moment):
    proposal = await propose()
    assert proposal.is_open(moment())
    await approve(proposals, database, proposal, GAIL)
    over = await proposals.find(proposal.id)
    assert not over.is_open(moment())
    with pytest.raises(InvalidRequest, match="was approved already"):
        await proposals.withdraw(over, by=ALICE)


@pytest.mark.parametrize("note", ["", "  ", "x" * 501, "a\x00b"])
def test_it_says_why(proposals, note):
    with pytest.raises(InvalidRequest, match="Say why"):
        proposals.draft("thing", {}, note=note, by=ALICE)


async def test_there_is_no_other(proposals):
    with pytest.raises(NotFound):
        await proposals.find("nope")


def test_a_digest_names_kind_and_payload():
    assert len({digest_of("a", {}), digest_of("b", {}), digest_of("a", {"x": 1}), digest_of("a", {"x": "1"})}) == 4
    assert digest_of("a", {"x": 1, "y": 2}) == digest_of("a", {"y": 2, "x": 1})
