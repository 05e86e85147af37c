"""Somebody is told about, taken out, and comes back: what ends, what stays ended, and what is recorded first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from gateway.errors import Unauthenticated
from gateway.exchange import ActorId, Origin
from gateway.identity import SignInRefused
from gateway.identity.proposals import Proposals
from gateway.identity.tables import api_keys, people, proposals, scim_users, service_accounts, sessions
from gateway.vocabulary import Code, Event, Role
from tests.support import forge
from tests.support.directory import USER

HERE = Origin(ip="127.0.0.1")
ALICE = ActorId("company|alice")
GONE = Event.PERSON_DEPROVISION.value


@pytest.fixture
def alice_signs_in(issuer, visit):
    """Signs `alice` in as the provider would, and gives the actor."""
    issuer.person["sub"] = "alice"

    async def sign_in():
        await visit.sign_in()
        return await visit.actor()

    return sign_in


async def row_of(database, table, **where):
    query = select(table)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    async with database.reading() as tx:
        return (await tx.execute(query)).one_or_none()


async def mint(identity, actor):
    """A key of the actor's that works."""
    key = await identity.keys.prepare(actor, name="test", scopes=["image:generate"], days=1)
    await identity.keys.store(key)
    return key


async def by_token(identity, issuer, moment):
    """The actor of an access token of alice's, who need not have signed in."""
    now = int(moment().timestamp())
    claims = forge.good_claims("access-token", now, issuer.url) | {"sub": "alice"}
    token = forge.token(forge.good_header("access-token"), claims)
    return await identity.authenticator.from_headers(authorization=f"Bearer {token}", cookie=None, origin=HERE)


async def by_key(identity, key):
    return await identity.authenticator.from_headers(authorization=f"Bearer {key.secret}", cookie=None, origin=HERE)


@pytest.mark.parametrize("how", ["patch", "put", "delete"])
async def test_who_is_taken_out_has_no_session_and_no_key_left(how, directory, alice_signs_in, visit, identity, moment):
    id = await directory.hire("alice")
    key = await mint(identity, await alice_signs_in())
    assert (await by_key(identity, key)).id == ALICE
    if how == "patch":
        assert (await directory.set_active(id, False)).status == 200
    elif how == "put":
        body = {"schemas": [USER], "userName": "alice", "externalId": "alice", "active": False}
        assert (await directory.send("PUT", f"/Users/{id}", body)).status == 200
    else:
        assert (await directory.send("DELETE", f"/Users/{id}")).status == 204
    with pytest.raises(Unauthenticated):
        await visit.actor()
    with pytest.raises(Unauthenticated):
        await by_key(identity, key)
    assert directory.gone == [(ALICE, Code.SUBJECT_DEPROVISIONED)]


async def test_everything_of_theirs_ends_in_one_transaction_and_the_record_names_it(
    directory, alice_signs_in, identity, database, moment
):
    id = await directory.hire("alice")
    actor = await alice_signs_in()
    key = await mint(identity, actor)
    box = Proposals(database, moment, lifetime=timedelta(days=7))
    proposal = box.draft("role-mapping", {"staff": ["employee"]}, note="because", by=ALICE)
    await box.submit(proposal)
    async with database.transaction() as tx:
        now = moment()
        await tx.execute(
            insert(people).values(
                id="service|press", display_name="press", email="", department="", groups=[], groups_at=now,
                status="active", epoch=1, first_seen=now, last_seen=now,
            )
        )  # fmt: skip
        await tx.execute(
            insert(service_accounts).values(
                id="service|press", description="", owner=ALICE, scopes=[], networks=[], created_by="-",
                approved_by="--", created_at=now,
            )
        )  # fmt: skip
    before = await row_of(database, people, id=ALICE)
    moment.pass_(seconds=5)
    await directory.set_active(id, False)
    after = await row_of(database, people, id=ALICE)
    assert (after.deprovisioned_at, after.revoked_at, after.epoch) == (moment(), moment(), before.epoch + 1)
    assert await row_of(database, sessions, actor=ALICE) is None
    assert (await row_of(database, api_keys, id=key.info.id)).revoked_at == moment()
    assert (await row_of(database, proposals, id=proposal.id)).status == "withdrawn"
    ended = directory.log.last(GONE)["ended"]
    assert ended == {"sessions": 1, "keys": [key.info.id], "proposals": [proposal.id], "services": ["service|press"]}
    assert directory.log.last(GONE)["person"] == ALICE


async def test_who_is_back_may_sign_in_but_what_ended_stays_ended(
    directory, alice_signs_in, visit, identity, database, moment
):
    id = await directory.hire("alice")
    key = await mint(identity, await alice_signs_in())
    await directory.set_active(id, False)
    with pytest.raises(SignInRefused) as refused:
        await visit.sign_in()
    assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_DEPROVISIONED]
    moment.pass_(seconds=60)
    await directory.set_active(id, True)
    assert directory.log.last(Event.PERSON_PROVISION.value)["is_back"] is True
    with pytest.raises(Unauthenticated):
        await visit.actor()
    with pytest.raises(Unauthenticated):
        await by_key(identity, key)
    assert (await alice_signs_in()).id == ALICE
    with pytest.raises(Unauthenticated):
        await by_key(identity, key)


async def test_who_was_deleted_and_is_sent_again_is_back(directory, alice_signs_in, visit):
    id = await directory.hire("alice")
    await alice_signs_in()
    await directory.send("DELETE", f"/Users/{id}")
    with pytest.raises(SignInRefused):
        await visit.sign_in()
    await directory.hire("alice")
    assert (await alice_signs_in()).id == ALICE


async def test_a_suspension_is_not_lifted_by_a_directory(directory, alice_signs_in, identity, visit):
    id = await directory.hire("alice")
    await alice_signs_in()
    await identity.people.set_status(ALICE, "suspended")
    await directory.set_active(id, False)
    await directory.set_active(id, True)
    with pytest.raises(SignInRefused) as refused:
        await visit.sign_in()
    assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_SUSPENDED]


async def test_who_was_taken_out_before_they_ever_signed_in_does_not_come_in(directory, issuer, visit):
    issuer.person["sub"] = "alice"
    await directory.set_active(await directory.hire("alice"), False)
    with pytest.raises(SignInRefused) as refused:
        await visit.sign_in()
    assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_DEPROVISIONED]


async def test_no_access_token_of_theirs_opens_anything_either(directory, identity, issuer, moment):
    id = await directory.hire("alice")
    assert (await by_token(identity, issuer, moment)).id == ALICE
    await directory.set_active(id, False)
    with pytest.raises(Unauthenticated):
        await by_token(identity, issuer, moment)


async def test_an_entry_that_begins_inactive_shuts_out_who_is_here_already(directory, alice_signs_in, visit):
    await alice_signs_in()
    body = {"schemas": [USER], "userName": "alice", "externalId": "alice", "active": False}
    assert (await directory.send("POST", "/Users", body)).status == 201
    with pytest.raises(Unauthenticated):
        await visit.actor()
    assert directory.gone == [(ALICE, Code.SUBJECT_DEPROVISIONED)]


async def test_who_nobody_provisioned_may_come_in_by_default(alice_signs_in, directory):
    assert (await alice_signs_in()).id == ALICE


class TestWhereProvisioningIsRequired:
    @pytest.fixture
    def scim(self):
        return {"is_required": True}

    async def test_only_who_was_provisioned_comes_in(self, directory, alice_signs_in, visit):
        with pytest.raises(SignInRefused) as refused:
            await visit.sign_in()
        assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_NOT_PROVISIONED]
        await directory.hire("alice")
        assert (await alice_signs_in()).id == ALICE

    async def test_only_whose_access_token_counts(self, directory, identity, issuer, moment):
        with pytest.raises(Unauthenticated):
            await by_token(identity, issuer, moment)
        await directory.hire("alice")
        assert (await by_token(identity, issuer, moment)).id == ALICE


@pytest.mark.parametrize(
    "operation", [{"op": "remove", "path": "active"}, {"op": "replace", "path": "title", "value": "x"}]
)
async def test_a_change_that_says_nothing_of_active_lets_nobody_back_in(operation, directory, database):
    id = await directory.hire("alice")
    await directory.set_active(id, False)
    assert (await directory.patch(f"/Users/{id}", operation)).status == 200
    body = {"schemas": [USER], "userName": "alice", "externalId": "alice"}
    assert (await directory.send("PUT", f"/Users/{id}", body)).status == 200
    assert (await row_of(database, scim_users, id=id)).is_active is False


async def test_who_becomes_somebody_else_leaves_as_who_they_were(directory, alice_signs_in, visit, database):
    """A row that is given another subject must not leave the old one behind, signed in and unknown."""
    id = await directory.hire("alice")
    await alice_signs_in()
    said = await directory.patch(f"/Users/{id}", {"op": "replace", "path": "externalId", "value": "bob"})
    assert said.status == 200
    with pytest.raises(Unauthenticated):
        await visit.actor()
    assert directory.gone == [(ALICE, Code.SUBJECT_DEPROVISIONED)]
    assert (await row_of(database, scim_users, id=id)).actor == "company|bob"


async def test_two_entries_are_never_one_person(directory):
    await directory.hire("alice", subject="7")
    said = await directory.send("POST", "/Users", {"schemas": [USER], "userName": "alice2", "externalId": "7"})
    assert (said.status, said.json["scimType"]) == (409, "uniqueness")
    other = await directory.hire("bob", subject="8")
    said = await directory.patch(f"/Users/{other}", {"op": "replace", "path": "externalId", "value": "7"})
    assert said.status == 409


class TestTheLogIsAway:
    async def test_nothing_is_provisioned(self, directory, database):
        directory.log.is_down = True
        said = await directory.send("POST", "/Users", {"schemas": [USER], "userName": "alice", "externalId": "alice"})
        assert (said.status, said.headers["Retry-After"]) == (503, "5")
        assert await row_of(database, scim_users, user_name="alice") is None

    async def test_the_door_is_shut_all_the_same_and_the_record_follows_when_it_is_sent_again(
        self, directory, alice_signs_in, visit, database
    ):
        id = await directory.hire("alice")
        await alice_signs_in()
        directory.log.is_down = True
        assert (await directory.set_active(id, False)).status == 503
        with pytest.raises(Unauthenticated):
            await visit.actor()
        assert directory.gone == [(ALICE, Code.SUBJECT_DEPROVISIONED)]
        assert (await row_of(database, scim_users, id=id)).is_active is True
        directory.log.is_down = False
        assert (await directory.set_active(id, False)).status == 200
        assert directory.log.actions().count(GONE) == 1

    async def test_nobody_is_let_back_in(self, directory, alice_signs_in, visit):
        id = await directory.hire("alice")
        await alice_signs_in()
        await directory.set_active(id, False)
        directory.log.is_down = True
        assert (await directory.set_active(id, True)).status == 503
        with pytest.raises(SignInRefused):
            await visit.sign_in()


async def test_every_change_is_recorded_without_its_values(directory):
    id = await directory.hire("alice", displayName="Secret Name")
    await directory.patch(f"/Users/{id}", {"op": "replace", "path": "name.givenName", "value": "Geheim"})
    group = await directory.group("Hidden project", id)
    await directory.patch(f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "Other project"})
    await directory.send("DELETE", f"/Groups/{group}")
    await directory.send("DELETE", f"/Users/{id}")
    assert directory.log.actions() == [
        "auth:person:provision",
        "auth:person:update",
        "auth:group:change",
        "auth:group:change",
        "auth:group:change",
        "auth:person:deprovision",
    ]
    assert directory.log.entries[1].content["changed"] == ["name"]
    assert directory.log.entries[2].content["added"] == [id]
    assert directory.log.entries[3].content["changed"] == ["displayName"]
    told = repr([entry.content for entry in directory.log.entries])
    assert not any(word in told for word in ("Secret", "Geheim", "Hidden", "Other project"))
    assert {entry.subject.actor for entry in directory.log.entries} == {"system:scim-company"}


async def test_what_changes_nothing_is_not_recorded_again(directory):
    id = await directory.hire("alice")
    await directory.set_active(id, False)
    number = len(directory.log.entries)
    said = await directory.set_active(id, False)
    assert said.status == 200
    assert len(directory.log.entries) == number


class TestGroupsThatCount:
    @pytest.fixture
    def scim(self):
        return {"gives_groups": True}

    async def test_they_give_roles_beside_those_of_the_provider(self, directory, alice_signs_in, issuer):
        id = await directory.hire("alice")
        await directory.group("compliance", id)
        actor = await alice_signs_in()
        assert Role.AUDITOR in actor.roles
        assert "compliance" in actor.groups

    async def test_sessions_of_before_end_when_the_roles_change(self, directory, alice_signs_in, visit):
        id = await directory.hire("alice")
        group = await directory.group("compliance", id)
        await alice_signs_in()
        operation = {"op": "remove", "path": f'members[value eq "{id}"]'}
        assert (await directory.patch(f"/Groups/{group}", operation)).status == 204
        with pytest.raises(Unauthenticated):
            await visit.actor()
        assert Role.AUDITOR not in (await alice_signs_in()).roles

    @pytest.mark.parametrize("how", ["rename", "delete"])
    async def test_a_group_that_goes_takes_its_roles_with_it(self, how, directory, alice_signs_in, visit, database):
        id = await directory.hire("alice")
        group = await directory.group("compliance", id)
        await alice_signs_in()
        if how == "rename":
            await directory.patch(f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "others"})
        else:
            await directory.send("DELETE", f"/Groups/{group}")
        with pytest.raises(Unauthenticated):
            await visit.actor()
        assert (await row_of(database, people, id=ALICE)).scim_groups == (["others"] if how == "rename" else [])

    async def test_a_group_without_roles_ends_no_session(self, directory, alice_signs_in, visit):
        id = await directory.hire("alice")
        await alice_signs_in()
        await directory.group("book club", id)
        assert "book club" in (await visit.actor()).groups

    async def test_a_setting_that_is_taken_back_takes_the_roles_back(self, directory, alice_signs_in, identity, visit):
        id = await directory.hire("alice")
        await directory.group("compliance", id)
        await alice_signs_in()
        identity.provisioned._settings = {}
        await identity.provisioned.settle()
        with pytest.raises(Unauthenticated):
            await visit.actor()


async def test_groups_do_not_count_unless_a_setting_says_so(directory, alice_signs_in):
    await directory.group("compliance", await directory.hire("alice"))
    actor = await alice_signs_in()
    assert Role.AUDITOR not in actor.roles
    assert "compliance" not in actor.groups


async def test_who_is_taken_out_is_found_by_other_replicas(directory, alice_signs_in, identity, database):
    id = await directory.hire("alice")
    await alice_signs_in()
    ids = frozenset({ALICE, ActorId("company|nobody")})
    assert await identity.people.shut_out(ids) == {}
    await directory.set_active(id, False)
    assert await identity.people.shut_out(ids) == {ALICE: Code.SUBJECT_DEPROVISIONED}
    async with database.transaction() as tx:
        await tx.execute(update(people).values(deprovisioned_at=None, status="suspended"))
        await tx.execute(update(scim_users).values(is_active=True))
    assert await identity.people.shut_out(ids) == {ALICE: Code.SUBJECT_SUSPENDED}


class TestTheDirectoryKnowsPeopleByAnotherClaim:
    """Entra ID: `sub` is another for each application and in no directory; `oid` is the directory's own."""

    @pytest.fixture
    def scim(self):
        return {"subject_claim": "oid", "is_required": True, "gives_groups": True}

    @pytest.fixture
    def oid(self, issuer):
        issuer.person["oid"] = "object-1"
        return "object-1"

    async def test_who_is_taken_out_is_found_by_it(self, oid, directory, alice_signs_in, visit, identity):
        id = await directory.hire("alice@example.com", subject=oid)
        key = await mint(identity, await alice_signs_in())
        await directory.set_active(id, False)
        with pytest.raises(Unauthenticated):
            await visit.actor()
        with pytest.raises(Unauthenticated):
            await by_key(identity, key)
        assert directory.gone == [(ALICE, Code.SUBJECT_DEPROVISIONED)]
        assert directory.log.last(GONE)["person"] == ALICE
        with pytest.raises(SignInRefused):
            await visit.sign_in()
        await directory.set_active(id, True)
        assert (await alice_signs_in()).id == ALICE

    async def test_a_sub_that_happens_to_be_the_same_is_nobody(self, oid, directory, visit):
        await directory.hire("other@example.com", subject="alice")
        with pytest.raises(SignInRefused) as refused:
            await visit.sign_in()
        assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_NOT_PROVISIONED]

    async def test_a_token_without_it_is_nobodys(self, directory, visit):
        await directory.hire("alice@example.com", subject="object-1")
        with pytest.raises(SignInRefused):
            await visit.sign_in()

    async def test_who_never_signed_in_is_refused_and_deleted_ones_too(self, oid, directory, visit):
        id = await directory.hire("alice@example.com", subject=oid)
        await directory.set_active(id, False)
        with pytest.raises(SignInRefused) as refused:
            await visit.sign_in()
        assert [reason.code for reason in refused.value.reasons] == [Code.SUBJECT_DEPROVISIONED]

    async def test_who_has_signed_in_before_the_directory_knew_them_is_found_all_the_same(
        self, oid, directory, alice_signs_in, visit, database
    ):
        id = await directory.hire("alice@example.com", subject=oid)
        await alice_signs_in()
        await directory.send("DELETE", f"/Users/{id}")
        with pytest.raises(Unauthenticated):
            await visit.actor()
        again = await directory.hire("alice@example.com", subject=oid)
        assert (await row_of(database, scim_users, id=again)).actor == ALICE
        assert (await alice_signs_in()).id == ALICE

    async def test_groups_count_from_the_first_sign_in_on(self, oid, directory, alice_signs_in, visit):
        id = await directory.hire("alice@example.com", subject=oid)
        group = await directory.group("compliance", id)
        assert Role.AUDITOR in (await alice_signs_in()).roles
        await directory.send("DELETE", f"/Groups/{group}")
        with pytest.raises(Unauthenticated):
            await visit.actor()

    async def test_everybody_who_had_it_is_taken_out(self, oid, directory, issuer, alice_signs_in, visit, identity):
        """A new client at Entra ID gives everybody a new `sub`: the old one must not be left behind."""
        id = await directory.hire("alice@example.com", subject=oid)
        old = await mint(identity, await alice_signs_in())
        issuer.person["sub"] = "alice-anew"
        await visit.sign_in()
        await directory.set_active(id, False)
        assert {actor for actor, _ in directory.gone} == {ALICE, ActorId("company|alice-anew")}
        with pytest.raises(Unauthenticated):
            await by_key(identity, old)
