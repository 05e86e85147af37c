"""Who is known, and shutting somebody out, without HTTP."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import Actor, ActorId
from gateway.identity.profile import Described
from gateway.identity.roster import read_reason
from gateway.identity.tables import proposals

ALICE = ActorId("company|alice")


@pytest.fixture(autouse=True)
async def known(identity, database):
    async with database.transaction() as tx:
        for name, groups in (("alice", ("staff",)), ("carol", ("platform",)), ("service|robot", ())):
            id = ActorId(name if "|" in name else f"company|{name}")
            described = Described(display_name=name.title(), email=f"{name}@example.com", groups=groups)
            await identity.people.seen(tx, id, described)


async def test_suspended_once_and_reinstated_once(identity):
    roster = identity.roster
    with pytest.raises(InvalidRequest, match="not suspended"):
        await roster.check_suspended(ALICE)
    with pytest.raises(InvalidRequest, match="not suspended"):
        await roster.reinstate(ALICE, "x")
    await roster.suspend(ALICE)
    assert (await roster.get(ALICE)).status == "suspended"
    with pytest.raises(InvalidRequest, match="already"):
        await roster.suspend(ALICE)
    await roster.check_suspended(ALICE)
    await roster.reinstate(ALICE, "x")
    assert (await roster.get(ALICE)).status == "active"


@pytest.mark.parametrize("id", ["company|nobody", "", "company|al\x00ice", "service|robot", "emergency|e.north"])
async def test_who_is_no_person_here_can_not_be_shut_out_or_looked_up(identity, id):
    roster = identity.roster
    for act in (roster.get, roster.suspend, roster.check_suspended, roster.sign_out):
        with pytest.raises(NotFound):
            await act(ActorId(id))
    with pytest.raises(NotFound):
        await roster.reinstate(ActorId(id), "x")


def test_nobody_acts_on_themselves(identity):
    alice = Actor(id=ALICE, display_name="Alice", method="session", credential_id="-")
    with pytest.raises(Denied, match="suspend yourself"):
        identity.roster.check_other(alice, ALICE, "suspend")
    identity.roster.check_other(alice, "company|carol", "suspend")


async def test_suspending_takes_back_what_was_proposed_and_nothing_of_others(identity, database):
    for by in (ALICE, ActorId("company|carol")):
        await identity.proposals.submit(identity.proposals.draft("role-mapping", {}, note="x", by=by))
    done = await identity.roster.suspend(ALICE)
    async with database.reading() as tx:
        rows = (await tx.execute(select(proposals))).all()
    assert {row.proposed_by: row.status for row in rows} == {ALICE: "withdrawn", "company|carol": "open"}
    assert done.proposals == tuple(row.id for row in rows if row.proposed_by == ALICE)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["Alice", "Carol"]),
        ("ALICE", ["Alice"]),
        ("carol@ company", ["Carol"]),
        ("%", []),
        ("_", []),
        ("robot", []),
    ],
)
async def test_search_finds_people_who_have_all_the_words(identity, words, names):
    assert [entry.person.display_name for entry in await identity.roster.search(words)] == names


@pytest.mark.parametrize("reason", ["", "  ", "r" * 501, "lost\x07laptop"])
def test_a_reason_is_words(reason):
    with pytest.raises(InvalidRequest, match="Say why"):
        read_reason(reason)


def test_a_reason_is_kept_in_one_line():
    assert read_reason(" lost \n laptop ") == "lost laptop"
    assert read_reason("r" * 500) == "r" * 500
