"""The role mapping, without HTTP: each check by itself."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.errors import Denied, InvalidRequest, NotFound
from gateway.exchange import Actor, ActorId
from gateway.identity import Identity
from gateway.identity.mapping import MAX_GROUPS, changes_of, is_narrower, read_mapping, widened
from gateway.identity.profile import Described
from gateway.identity.tables import people, proposals, role_mappings
from gateway.storage.database import Database
from gateway.vocabulary import Role

NOW = {"staff": ["employee"], "compliance": ["auditor"], "platform": ["admin"]}


def actor(name: str, *groups: str) -> Actor:
    return Actor(id=ActorId(f"company|{name}"), display_name=name, method="session", credential_id="-", groups=groups)


CAROL, DAN = actor("carol", "platform"), actor("dan", "platform")


async def know(identity: Identity, database: Database, name: str, *groups: str):
    async with database.transaction() as tx:
        return await identity.people.seen(tx, ActorId(f"company|{name}"), Described(display_name=name, groups=groups))


async def proposed(identity: Identity, roles: dict[str, list[str]]):
    draft = await identity.mapping.draft(
        CAROL, await identity.mapping.preview(read_mapping(roles)), note="because it is so"
    )
    await identity.proposals.submit(draft)
    return draft


async def approve(identity: Identity, database: Database, draft, by: Actor = DAN) -> None:
    async with database.transaction() as tx:
        await identity.proposals.decide(tx, draft, by=by.id, status="approved")
        await identity.mapping.kind.carry_out(tx, draft, by)
    await identity.mapping.live.refresh()


async def versions(database: Database) -> list[int]:
    async with database.reading() as tx:
        return list((await tx.execute(select(role_mappings.c.version))).scalars())


async def test_carrying_out_checks_again_and_stores_neither_half_when_it_may_not(identity, database):
    first = await proposed(identity, {**NOW, "leads": ["reviewer"]})
    late = await proposed(identity, {**NOW, "leads": ["policy-author"]})
    await approve(identity, database, first)
    with pytest.raises(InvalidRequest, match="changed since"):
        await identity.mapping.kind.check(late, DAN)
    with pytest.raises(InvalidRequest, match="changed since"):
        await approve(identity, database, late)
    assert await versions(database) == [1]
    async with database.reading() as tx:
        status = (await tx.execute(select(proposals.c.status).where(proposals.c.id == late.id))).scalar_one()
    assert status == "open"


async def test_second_person_in_a_widened_group_is_refused_both_times(identity, database):
    draft = await proposed(identity, {**NOW, "leads": ["reviewer"]})
    lead = actor("erin", "platform", "leads")
    with pytest.raises(Denied):
        await identity.mapping.kind.check(draft, lead)
    with pytest.raises(Denied):
        await approve(identity, database, draft, lead)
    assert await versions(database) == []


async def test_version_that_is_not_the_newest_is_followed_by_nothing(identity, database):
    await identity.mapping.narrow(CAROL, await identity.mapping.preview(read_mapping({"platform": ["admin"]})))
    async with database.transaction() as tx:
        with pytest.raises(InvalidRequest, match="changed since"):
            await identity.mapping.live.activate(tx, read_mapping(NOW), after=0, by=CAROL.id, proposal=None)
        with pytest.raises(InvalidRequest, match="changed since"):
            await identity.mapping.live.activate(tx, read_mapping(NOW), after=7, by=CAROL.id, proposal=None)
    assert await versions(database) == [1]


async def test_what_widens_is_not_put_in_force_as_if_it_narrowed(identity, database):
    for wider in ({**NOW, "leads": ["reviewer"]}, {**NOW, "staff": ["employee", "reviewer"]}):
        with pytest.raises(InvalidRequest):
            await identity.mapping.narrow(CAROL, await identity.mapping.preview(read_mapping(wider)))
    same = await identity.mapping.preview(read_mapping(NOW))
    with pytest.raises(InvalidRequest, match="nothing would change"):
        await identity.mapping.narrow(CAROL, same)
    with pytest.raises(InvalidRequest, match="nothing would change"):
        await identity.mapping.draft(CAROL, same, note="x")
    assert await versions(database) == []


async def test_a_preview_of_before_somebody_came_is_looked_at_again(identity, database):
    """Nobody was in both groups when it was previewed; now somebody is, and would gain by it."""
    preview = await identity.mapping.preview(read_mapping({"staff": ["employee"], "platform": ["admin"]}))
    assert preview.is_narrower
    await know(identity, database, "frank", "platform", "compliance")
    with pytest.raises(InvalidRequest):
        await identity.mapping.narrow(CAROL, preview)


async def test_a_preview_upon_an_older_mapping_is_not_carried_out(identity):
    narrower = read_mapping({"staff": ["employee"], "platform": ["admin"]})
    old = await identity.mapping.preview(narrower)
    await identity.mapping.narrow(CAROL, await identity.mapping.preview(read_mapping({**NOW, "compliance": []})))
    with pytest.raises(InvalidRequest):
        await identity.mapping.narrow(CAROL, old)


async def test_only_those_whose_roles_change_get_a_new_epoch(identity, database):
    await know(identity, database, "bob", "compliance")
    await know(identity, database, "alice", "staff")
    await identity.mapping.narrow(CAROL, await identity.mapping.preview(read_mapping({**NOW, "compliance": []})))
    async with database.reading() as tx:
        epochs = {row.id: row.epoch for row in (await tx.execute(select(people))).all()}
    assert epochs == {"company|alice": 1, "company|bob": 2}
    assert [one.facts for one in await identity.notices.of(ActorId("company|bob"))] == [{"roles": "none"}]
    assert await identity.notices.of(ActorId("company|alice")) == []


async def test_versions_can_be_asked_for_and_zero_is_the_settings(identity):
    assert (await identity.mapping.get(0)).mapping == read_mapping(NOW)
    with pytest.raises(NotFound):
        await identity.mapping.get(1)
    await identity.mapping.narrow(CAROL, await identity.mapping.preview(read_mapping({"platform": ["admin"]})))
    assert (await identity.mapping.get(1)).mapping == read_mapping({"platform": ["admin"]})
    assert (await identity.mapping.get(0)).mapping == read_mapping(NOW)


async def test_a_role_that_no_group_gives_any_more_is_held_by_nobody(identity, database):
    await know(identity, database, "carol", "platform")
    await know(identity, database, "dan", "platform", "ops")
    assert [one.id for one in await identity.mapping.holders_of(Role.ADMIN)] == ["company|carol", "company|dan"]
    await identity.people.set_status(ActorId("company|dan"), "suspended")
    assert [one.id for one in await identity.mapping.holders_of(Role.ADMIN)] == ["company|carol"]


@pytest.mark.parametrize(
    ("before", "after", "is_so"),
    [
        (NOW, {"platform": ["admin"]}, True),
        (NOW, {**NOW, "staff": []}, True),
        (NOW, {**NOW, "staff": ["employee", "reviewer"]}, False),
        (NOW, {**NOW, "new": ["reviewer"]}, False),
        ({**NOW, "staff": ["employee", "reviewer"]}, NOW, True),
    ],
)
def test_narrower_means_that_no_group_gives_more(before, after, is_so):
    old, new = read_mapping(before), read_mapping(after)
    assert is_narrower(old, new, ()) == is_so
    assert bool(widened(old, new)) != is_so


async def test_narrower_means_also_that_nobody_gains(identity, database):
    frank = await know(identity, database, "frank", "platform", "compliance")
    old, new = read_mapping(NOW), read_mapping({**NOW, "compliance": []})
    changes = changes_of([frank], old, new)
    assert [(one.gains, one.loses) for one in changes] == [({Role.ADMIN}, frozenset())]
    assert not is_narrower(old, new, changes)


@pytest.mark.parametrize("group", ["", " ", " staff", "staff ", "sta\nff", "s" * 256, "sta\u202eff"])
def test_a_group_that_could_be_misread_is_refused(group):
    with pytest.raises(InvalidRequest, match="printable characters"):
        read_mapping({**NOW, group: ["employee"]})


def test_a_mapping_is_bounded_and_the_longest_group_is_not_refused():
    most = {"platform": ["admin"], **{f"g{n}": ["employee"] for n in range(MAX_GROUPS - 1)}}
    assert len(read_mapping(most)) == MAX_GROUPS
    assert read_mapping({**NOW, "s" * 255: ["employee"]})
    with pytest.raises(InvalidRequest, match="at most"):
        read_mapping({**most, "one": ["employee"]})


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ({**NOW, "leads": ["emperor"]}, "1 roles that there are not"),
        ({**NOW, "leads": ["Admin"]}, "roles that there are not"),
        ({**NOW, "leads": ["admin", "auditor"]}, "admin and auditor"),
        ({**NOW, "leads": ["employee", "reviewer", "billing"]}, "billing and reviewer"),
        ({"staff": ["employee"]}, "role admin"),
        ({}, "role admin"),
    ],
)
def test_what_may_never_be_in_force_is_refused_with_its_cause(roles, says):
    with pytest.raises(InvalidRequest, match=says):
        read_mapping(roles)


@pytest.mark.parametrize("role", ["service", "break-glass"])
def test_no_group_gives_what_is_not_a_groups_to_give(role):
    with pytest.raises(InvalidRequest, match="No group gives"):
        read_mapping({**NOW, "robots": [role]})
