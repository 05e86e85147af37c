"""Programs that act in their own name: two people agreed, somebody answers for them, they stay where they belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from gateway.errors import Denied, InvalidRequest, NotFound, Unauthenticated
from gateway.exchange import Actor, ActorId, Credentials, Mfa, Origin
from gateway.identity import Identity
from gateway.identity.api_keys import NewKey, checksum
from gateway.identity.profile import Described
from gateway.identity.proposals import Proposal
from gateway.identity.service_accounts import Terms, id_of
from gateway.settings import Provider
from gateway.vocabulary import Code, Event, Permission, Role
from tests.support import forge
from tests.support.moment import Moment
from tests.support.visit import HERE

NEWSLETTER = id_of("newsletter")
OFFICE = Origin(ip="10.1.2.3")
ABROAD = Origin(ip="198.51.100.7")
CLIENT = "svc-client-1"


def admin(name: str) -> Actor:
    return Actor(
        id=ActorId(f"company|{name}"),
        display_name=name,
        method="session",
        credential_id="s",
        roles=frozenset({Role.ADMIN}),
    )


CAROL, DAN = admin("carol"), admin("dan")

TERMS = Terms(
    description="Writes the newsletter",
    owner=ActorId("company|olga"),
    scopes=frozenset({Permission.IMAGE_GENERATE, Permission.MODEL_LIST}),
    networks=("10.0.0.0/8",),
    client_provider="company",
    client_subject=CLIENT,
)


@pytest.fixture(autouse=True)
async def olga(identity: Identity, database: Any) -> None:
    """Who answers for it."""
    async with database.transaction() as tx:
        for name in ("olga", "oleg"):
            described = Described(display_name=name, groups=("staff",))
            await identity.people.seen(tx, ActorId(f"company|{name}"), described)


@pytest.fixture
def decide(identity: Identity, database: Any) -> Callable[..., Any]:
    async def decide(proposal: Proposal, by: Actor = DAN) -> Proposal:
        """As the route of proposals does it, without its records."""
        kind = identity.proposal_kinds[proposal.kind]
        identity.proposals.check_decidable(proposal, by=by.id, digest=proposal.digest)
        await kind.check(proposal, by)
        async with database.transaction() as tx:
            await identity.proposals.decide(tx, proposal, by=by.id, status="approved")
            await kind.carry_out(tx, proposal, by)
        return await identity.proposals.find(proposal.id)

    return decide


@pytest.fixture
def agree(identity: Identity, decide: Callable[..., Any]) -> Callable[..., Any]:
    async def agree(before: Terms | None, after: Terms, name: str = "newsletter") -> None:
        draft = await identity.services.draft_account(CAROL, name, before, after, note="because")
        await identity.proposals.submit(draft)
        await decide(draft)

    return agree


@pytest.fixture
def key_for(identity: Identity, decide: Callable[..., Any]) -> Callable[..., Any]:
    async def key_for(**asked: Any) -> NewKey:
        wanted = {"name": "robot", "scopes": ["image:generate"], "networks": [], "days": 30, "note": "because"} | asked
        account = await identity.services.accounts.get("newsletter")
        draft = await identity.services.draft_key(CAROL, account, **wanted)
        await identity.proposals.submit(draft)
        await decide(draft)
        key = await identity.services.prepare_key(CAROL, draft.id)
        await identity.services.store_key(key)
        return key

    return key_for


async def use(identity: Identity, secret: str, origin: Origin = OFFICE) -> Actor:
    return await identity.authenticate(Credentials(method="POST", authorization=f"Bearer {secret}"), origin)


def token(issuer: Any, moment: Moment, **claims: Any) -> str:
    good = forge.good_claims("access-token", int(moment().timestamp()), issuer.url)
    plain = {"sub": CLIENT, "client_id": CLIENT, "scope": "image:generate credit:read service:manage", "jti": "t1"}
    return forge.token(forge.good_header("access-token"), good | plain | claims)


async def is_refused(identity: Identity, secret: str, origin: Origin = OFFICE) -> bool:
    try:
        await use(identity, secret, origin)
    except Unauthenticated:
        return True
    return False


# What it takes to have one


async def test_nothing_of_a_service_exists_before_a_second_person_agrees(identity, decide):
    draft = await identity.services.draft_account(CAROL, "newsletter", None, TERMS, note="because")
    await identity.proposals.submit(draft)
    assert await identity.services.accounts.list() == []
    with pytest.raises(Denied, match="proposed this yourself"):
        await decide(draft, by=CAROL)
    assert await identity.services.accounts.list() == []
    await decide(draft)
    account = await identity.services.accounts.get("newsletter")
    assert (account.id, account.terms, account.owner.id) == (NEWSLETTER, TERMS, TERMS.owner)
    assert (account.created_by, account.approved_by) == (CAROL.id, DAN.id)
    assert identity.services.account_kind.event(draft.payload) is Event.SERVICE_CREATE


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"owner": ActorId("company|nobody")}, "owner"),
        ({"owner": ActorId("service|other")}, "owner"),
        ({"owner": ActorId("emergency|1")}, "owner"),
        ({"client_subject": "olga"}, "client_subject"),
        ({"client_provider": "elsewhere"}, "client_provider"),
    ],
)
async def test_service_needs_a_person_behind_it_and_a_client_that_is_none(identity, change, param):
    with pytest.raises(InvalidRequest) as error:
        await identity.services.draft_account(CAROL, "newsletter", None, replace(TERMS, **change), note="because")
    assert error.value.param == param


async def test_an_owner_who_is_another_service_is_refused_although_it_is_known(identity, agree):
    await agree(None, TERMS)
    other = replace(TERMS, owner=NEWSLETTER, client_provider="", client_subject="")
    with pytest.raises(InvalidRequest, match="owner is a person"):
        await agree(None, other, "other")


async def test_owner_who_left_between_proposal_and_approval_stops_it(identity, decide, database):
    draft = await identity.services.draft_account(CAROL, "newsletter", None, TERMS, note="because")
    await identity.proposals.submit(draft)
    await identity.people.set_status(TERMS.owner, "suspended")
    warnings = (await identity.services.account_kind.describe(draft.payload)).warnings
    assert any("owner's account is not active" in warning for warning in warnings)
    with pytest.raises(InvalidRequest, match="not active"):
        await decide(draft)

    async def without_looking_before() -> None:
        async with database.transaction() as tx:
            await identity.proposals.decide(tx, draft, by=DAN.id, status="approved")
            await identity.services.account_kind.carry_out(tx, draft, DAN)

    with pytest.raises(InvalidRequest, match="not active"):
        await without_looking_before()
    assert (await identity.proposals.find(draft.id)).status == "open"
    assert await identity.services.accounts.list() == []


async def test_name_and_client_belong_to_one_service(identity, agree):
    await agree(None, TERMS)
    with pytest.raises(InvalidRequest, match="called newsletter already"):
        await agree(None, replace(TERMS, client_provider="", client_subject=""))
    with pytest.raises(InvalidRequest, match="Another service is this client"):
        await agree(None, TERMS, "other")


async def test_subject_of_somebody_whom_only_the_directory_knows_is_no_client(identity, database):
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "insert into scim_users (id, provider, user_name, actor, is_active, resource, version, created_at,"
                " modified_at) values ('1', 'company', 'svc', :actor, 1, '{}', 1, :at, :at)"
            ),
            {"actor": f"company|{CLIENT}", "at": "2026-01-01 00:00:00"},
        )
    with pytest.raises(InvalidRequest, match="is a person's"):
        await identity.services.draft_account(CAROL, "newsletter", None, TERMS, note="because")


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("name", "News", "name"),
        ("name", "n", "name"),
        ("name", "news|x", "name"),
        ("name", "n" * 41, "name"),
        ("description", " ", "description"),
        ("description", "x" * 501, "description"),
        ("description", "a\nb", "description"),
        ("scopes", ["key:manage"], "scopes"),
        ("scopes", ["service:approve", "image:generate"], "scopes"),
        ("networks", ["10.1.1.1/8"], "networks"),
        ("client_subject", "", "client_subject"),
        ("client_subject", "two words", "client_subject"),
        ("client_subject", "ü", "client_subject"),
        ("client_subject", "x" * 221, "client_subject"),
        ("client_provider", "elsewhere", "client_provider"),
    ],
)
def test_odd_field_is_named(identity, field, value, param):
    fields: dict[str, Any] = {
        "name": "newsletter",
        "description": "d",
        "owner": "company|olga",
        "scopes": [],
        "networks": [],
        "client_provider": "company",
        "client_subject": CLIENT,
    } | {field: value}
    with pytest.raises(InvalidRequest) as error:
        identity.services.account_kind.read(fields.pop("name"), **fields)
    assert error.value.param == param


def test_service_needs_no_client(identity):
    terms = identity.services.account_kind.read(
        "newsletter",
        description=" d ",
        owner=" company|olga ",
        scopes=["model:list"],
        networks=["10.0.0.1", ""],
        client_provider="",
        client_subject=" ",
    )
    assert terms == Terms(
        description="d",
        owner=ActorId("company|olga"),
        scopes=frozenset({Permission.MODEL_LIST}),
        networks=("10.0.0.1/32",),
    )


async def test_what_can_not_be_carried_out_is_refused_before_it_is_recorded(identity, agree, decide):
    """The kinds' own `check`, which runs before the decision is on record."""
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    wider = await identity.services.draft_account(CAROL, "newsletter", TERMS, replace(TERMS, networks=()), note="why")
    key = await identity.services.draft_key(
        CAROL, account, name="r", scopes=["image:generate"], networks=[], days=1, note="why"
    )
    for draft in (wider, key):
        assert await identity.proposal_kinds[draft.kind].check(draft, DAN) is None
    await identity.services.accounts.narrow(account, replace(TERMS, scopes=frozenset()))
    for draft in (wider, key):
        with pytest.raises(InvalidRequest):
            await identity.proposal_kinds[draft.kind].check(draft, DAN)


async def test_approved_key_whose_service_changed_in_that_moment_is_not_agreed_to(identity, agree, database):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    key = await identity.services.draft_key(
        CAROL, account, name="r", scopes=["image:generate"], networks=[], days=1, note="why"
    )
    await identity.proposals.submit(key)
    await identity.services.accounts.narrow(account, replace(TERMS, scopes=frozenset()))

    async def without_looking_before() -> None:
        async with database.transaction() as tx:
            await identity.proposals.decide(tx, key, by=DAN.id, status="approved")
            await identity.services.key_kind.carry_out(tx, key, DAN)

    with pytest.raises(InvalidRequest, match="may not do this"):
        await without_looking_before()
    assert (await identity.proposals.find(key.id)).status == "open"


async def test_there_has_to_be_a_service_to_change_or_to_give_a_key(identity, agree):
    with pytest.raises(InvalidRequest, match="was changed since"):
        await identity.services.draft_account(CAROL, "nobody", TERMS, replace(TERMS, networks=()), note="why")
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    gone = replace(account, person=replace(account.person, id=id_of("gone")))
    with pytest.raises(InvalidRequest, match="changed just now"):
        await identity.services.accounts.narrow(gone, replace(TERMS, scopes=frozenset()))
    with pytest.raises(NotFound):
        await identity.services.draft_key(CAROL, gone, name="r", scopes=[], networks=[], days=1, note="why")


@pytest.mark.parametrize("days", [0, 181])
async def test_lifetime_of_a_key_is_judged_when_it_is_proposed(identity, agree, days):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    with pytest.raises(InvalidRequest) as error:
        await identity.services.draft_key(CAROL, account, name="r", scopes=[], networks=[], days=days, note="why")
    assert error.value.param == "days"


@pytest.mark.parametrize("name", ["service", "emergency", "system"])
def test_no_provider_can_pass_its_people_off_as_services(name):
    with pytest.raises(ValidationError, match="Imprimatur's own"):
        Provider(name=name, issuer="https://x.example", client_id="x")


# Widening and narrowing


@pytest.mark.parametrize(
    "change",
    [
        {"networks": ()},
        {"networks": ("10.0.0.0/8", "192.0.2.0/24")},
        {"owner": ActorId("company|oleg")},
        {"client_subject": "svc-client-2"},
    ],
)
async def test_widening_is_not_done_by_one_person(identity, agree, change):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    wider = replace(TERMS, **change)
    with pytest.raises(InvalidRequest, match="widen"):
        await identity.services.accounts.narrow(account, wider)
    assert (await identity.services.accounts.get("newsletter")).terms == TERMS
    await agree(TERMS, wider)
    assert (await identity.services.accounts.get("newsletter")).terms == wider


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": frozenset()},
        {"networks": ("10.1.0.0/16",)},
        {"client_provider": "", "client_subject": ""},
        {"description": "Writes it monthly"},
        {"is_enabled": False},
    ],
)
async def test_narrowing_is_done_at_once(identity, agree, change):
    await agree(None, TERMS)
    await identity.services.accounts.narrow(
        await identity.services.accounts.get("newsletter"), replace(TERMS, **change)
    )
    assert (await identity.services.accounts.get("newsletter")).terms == replace(TERMS, **change)
    back = replace(TERMS, **change)
    assert back.is_within(TERMS)
    assert TERMS.is_within(back) is ("description" in change)


async def test_service_that_was_switched_off_comes_back_by_two_people_only(identity, agree):
    await agree(None, TERMS)
    off = replace(TERMS, is_enabled=False)
    await identity.services.accounts.narrow(await identity.services.accounts.get("newsletter"), off)
    with pytest.raises(InvalidRequest, match="widen"):
        await identity.services.accounts.narrow(await identity.services.accounts.get("newsletter"), TERMS)
    await agree(off, TERMS)
    assert (await identity.services.accounts.get("newsletter")).person.is_active


async def test_service_that_is_off_can_be_narrowed_all_the_same(identity, agree):
    await agree(None, replace(TERMS, is_enabled=False))
    account = await identity.services.get("newsletter")
    await identity.services.narrow(account, replace(TERMS, is_enabled=False, scopes=frozenset()))
    assert (await identity.services.get("newsletter")).terms.scopes == frozenset()


@pytest.mark.parametrize("name", ["nobody", "No", "service|newsletter", ""])
async def test_service_that_there_is_not_is_not_found(identity, agree, name):
    await agree(None, TERMS)
    with pytest.raises(NotFound):
        await identity.services.get(name)


async def test_change_proposed_on_a_picture_that_is_gone_is_refused(identity, agree, decide):
    await agree(None, TERMS)
    wider = await identity.services.draft_account(CAROL, "newsletter", TERMS, replace(TERMS, networks=()), note="why")
    await identity.proposals.submit(wider)
    narrower = replace(TERMS, scopes=frozenset())
    await identity.services.accounts.narrow(await identity.services.accounts.get("newsletter"), narrower)
    assert (await identity.services.account_kind.describe(wider.payload)).warnings
    with pytest.raises(InvalidRequest, match="was changed since"):
        await decide(wider)
    assert (await identity.services.accounts.get("newsletter")).terms == narrower


async def test_proposal_reads_as_what_it_changes(identity, agree):
    await agree(None, TERMS)
    payload = {
        "name": "newsletter",
        "before": TERMS.as_json(),
        "after": replace(TERMS, networks=()).as_json(),
    }
    wording = await identity.services.account_kind.describe(payload)
    assert wording.title == "Change the service newsletter"
    assert ("From", "anywhere (until now: 10.0.0.0/8)") in wording.lines
    assert ("Answers for it", "olga (company|olga)") in wording.lines
    assert wording.warnings == ("It may come from anywhere.",)


# Its keys


async def test_service_acts_by_its_key_within_its_scopes_and_nothing_of_a_person(identity, agree, key_for, database):
    await agree(None, TERMS)
    key = await key_for(scopes=["image:generate"])
    assert key.secret.startswith("imp_svc_")
    assert len(key.secret) == 58
    actor = await use(identity, key.secret)
    assert (actor.id, actor.roles, actor.method) == (NEWSLETTER, {Role.SERVICE}, "api-key")
    assert actor.scopes == {Permission.IMAGE_GENERATE}
    assert (actor.mfa, actor.groups, actor.credential_id) == (Mfa(), (), f"key-{key.info.id}")
    (kept,) = await identity.services.keys_of(await identity.services.accounts.get("newsletter"))
    assert (kept.minted_by, kept.used_from) == (CAROL.id, OFFICE.ip)


async def test_key_is_made_when_its_proposer_collects_it_once(identity, agree, decide):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    draft = await identity.services.draft_key(
        CAROL, account, name="robot", scopes=[], networks=[], days=30, note="because"
    )
    await identity.proposals.submit(draft)
    with pytest.raises(InvalidRequest, match="is open"):
        await identity.services.prepare_key(CAROL, draft.id)
    await decide(draft)
    assert [one.proposal.id for one in await identity.services.waiting_for(CAROL.id)] == [draft.id]
    assert await identity.services.waiting_for(DAN.id) == []
    with pytest.raises(Denied, match="Only who proposed"):
        await identity.services.prepare_key(DAN, draft.id)
    assert await identity.services.keys_of(account) == []
    first, second = [await identity.services.prepare_key(CAROL, draft.id) for _ in range(2)]
    await identity.services.store_key(first)
    with pytest.raises(InvalidRequest, match="just now"):  # both were asked for at the same moment
        await identity.services.store_key(second)
    with pytest.raises(InvalidRequest, match="collected already"):
        await identity.services.prepare_key(CAROL, draft.id)
    assert await identity.services.waiting_for(CAROL.id) == []
    assert await is_refused(identity, second.secret)


async def test_rejected_key_is_never_made(identity, agree, database):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    draft = await identity.services.draft_key(CAROL, account, name="r", scopes=[], networks=[], days=1, note="why")
    await identity.proposals.submit(draft)
    async with database.transaction() as tx:
        await identity.proposals.decide(tx, draft, by=DAN.id, status="rejected")
    with pytest.raises(InvalidRequest, match="is rejected"):
        await identity.services.prepare_key(CAROL, draft.id)


async def test_agreement_about_something_else_gives_no_key(identity, agree, decide):
    draft = await identity.services.draft_account(CAROL, "newsletter", None, TERMS, note="because")
    await identity.proposals.submit(draft)
    await decide(draft)
    with pytest.raises(NotFound):
        await identity.services.prepare_key(CAROL, draft.id)


async def test_key_that_waited_a_day_is_not_made_any_more(identity, agree, decide, moment):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    draft = await identity.services.draft_key(CAROL, account, name="r", scopes=[], networks=[], days=1, note="why")
    await identity.proposals.submit(draft)
    await decide(draft)
    moment.pass_(seconds=86_399)
    assert await identity.services.prepare_key(CAROL, draft.id)
    moment.pass_(seconds=1)
    with pytest.raises(InvalidRequest, match="longer than a day"):
        await identity.services.prepare_key(CAROL, draft.id)
    assert await identity.services.waiting_for(CAROL.id) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"is_enabled": False}, "switched off"),
        ({"scopes": frozenset({Permission.MODEL_LIST})}, "may not do this: image:generate"),
        ({"networks": ("10.9.0.0/16",)}, "may not come from"),
    ],
)
async def test_service_that_was_narrowed_meanwhile_gets_no_such_key(identity, agree, decide, change, says):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    draft = await identity.services.draft_key(
        CAROL, account, name="r", scopes=["image:generate"], networks=["10.1.0.0/16"], days=1, note="why"
    )
    await identity.proposals.submit(draft)
    await decide(draft)
    await identity.services.accounts.narrow(account, replace(TERMS, **change))
    assert says in (await identity.services.key_kind.describe(draft.payload)).warnings[0]
    with pytest.raises(InvalidRequest, match=says):
        await identity.services.prepare_key(CAROL, draft.id)


@pytest.mark.parametrize(
    ("asked", "param"), [({"days": 181}, "days"), ({"days": 0}, "days"), ({"name": ""}, "name"), ({"note": ""}, "note")]
)
async def test_odd_key_is_refused_when_it_is_proposed(key_for, agree, asked, param):
    await agree(None, TERMS)
    with pytest.raises(InvalidRequest) as error:
        await key_for(**asked)
    assert error.value.param == param


async def test_keys_of_a_service_are_counted(identity, agree, key_for, moment):
    await agree(None, TERMS)
    for _ in range(20):
        await key_for(days=1)
    with pytest.raises(InvalidRequest, match="20 keys already"):
        await key_for()
    moment.pass_(days=1, seconds=1)
    assert await key_for()


async def test_prefix_of_a_person_opens_nothing_of_a_service(identity, agree, key_for):
    await agree(None, TERMS)
    key = await key_for()
    disguised = "imp_pat_" + key.secret[8:-6]
    assert await is_refused(identity, disguised + checksum(disguised))


async def test_revoked_key_is_over_at_once(identity, agree, key_for):
    await agree(None, TERMS)
    key = await key_for()
    account = await identity.services.accounts.get("newsletter")
    await identity.services.revoke_key(account, key.info.id)
    assert await is_refused(identity, key.secret)
    with pytest.raises(NotFound):
        await identity.services.revoke_key(account, "AAAAAAAAAAAA")


# What holds each time it comes


@pytest.fixture
async def credentials(identity, agree, key_for, issuer, moment) -> dict[str, str]:
    """The same service by both ways; it came in before anything changed."""
    await agree(None, TERMS)
    shown = {"key": (await key_for()).secret, "token": token(issuer, moment)}
    assert [(await use(identity, secret)).id for secret in shown.values()] == [NEWSLETTER] * 2
    return shown


@pytest.mark.parametrize("way", ["key", "token"])
async def test_service_goes_with_its_owner(identity, credentials, way):
    await identity.people.set_status(TERMS.owner, "suspended")
    assert await is_refused(identity, credentials[way])
    assert await identity.people.shut_out(frozenset({NEWSLETTER})) == {NEWSLETTER: Code.SUBJECT_SUSPENDED}
    account = await identity.services.accounts.get("newsletter")
    assert identity.services.fault_of(account) == "service-orphaned"
    await identity.people.set_status(TERMS.owner, "active")
    assert await use(identity, credentials[way])
    assert await identity.people.shut_out(frozenset({NEWSLETTER})) == {}


@pytest.mark.parametrize("way", ["key", "token"])
async def test_service_of_somebody_whom_the_directory_took_out_is_refused(identity, credentials, database, way, moment):
    async with database.transaction() as tx:
        await tx.execute(
            text("update people set deprovisioned_at = :at where id = :id"),
            {"at": "2026-01-01 00:00:00.000000", "id": TERMS.owner},
        )
    assert await is_refused(identity, credentials[way])
    assert await identity.people.shut_out(frozenset({NEWSLETTER})) == {NEWSLETTER: Code.SUBJECT_DEPROVISIONED}


async def test_service_rests_when_its_owner_was_not_seen_for_long(identity, credentials, database, moment):
    moment.pass_(days=29)
    assert await use(identity, credentials["key"])
    moment.pass_(days=1)
    account = await identity.services.accounts.get("newsletter")
    assert identity.services.fault_of(account) == "owner-not-seen"
    assert await is_refused(identity, credentials["key"])
    async with database.transaction() as tx:
        await identity.people.seen(tx, TERMS.owner, Described(display_name="olga"))
    assert identity.services.fault_of(await identity.services.accounts.get("newsletter")) is None


@pytest.mark.parametrize("way", ["key", "token"])
async def test_service_that_is_switched_off_is_refused_and_its_tokens_stay_so(
    identity, credentials, agree, issuer, moment, way
):
    off = replace(TERMS, is_enabled=False)
    await identity.services.accounts.narrow(await identity.services.accounts.get("newsletter"), off)
    assert await is_refused(identity, credentials[way])
    assert NEWSLETTER in await identity.people.shut_out(frozenset({NEWSLETTER}))
    await agree(off, TERMS)
    assert await is_refused(identity, credentials[way]) is (way == "token")
    moment.pass_(seconds=5)
    assert await use(identity, token(issuer, moment))


@pytest.mark.parametrize("way", ["key", "token"])
async def test_service_comes_from_its_networks_only(identity, credentials, way):
    assert await is_refused(identity, credentials[way], ABROAD)
    assert await is_refused(identity, credentials[way], Origin(ip=""))
    assert await use(identity, credentials[way], Origin(ip="::ffff:10.9.9.9"))


async def test_key_may_be_held_to_less_than_its_service(identity, agree, key_for):
    await agree(None, TERMS)
    key = await key_for(networks=["10.1.0.0/16"])
    assert await use(identity, key.secret, Origin(ip="10.1.0.1"))
    assert await is_refused(identity, key.secret, Origin(ip="10.2.0.1"))
    with pytest.raises(InvalidRequest, match="may not come from"):
        await key_for(networks=["192.0.2.0/24"])


async def test_narrowed_service_takes_its_keys_and_tokens_with_it(identity, credentials):
    account = await identity.services.accounts.get("newsletter")
    await identity.services.accounts.narrow(account, replace(TERMS, scopes=frozenset({Permission.MODEL_LIST})))
    for secret in credentials.values():
        assert (await use(identity, secret)).scopes == frozenset()


# Its provider's tokens


async def test_token_of_its_client_makes_a_service_and_no_more_than_both_permit(identity, credentials, issuer, moment):
    actor = await use(identity, token(issuer, moment, groups=["platform"], acr="high", amr=["pwd", "otp"]))
    assert (actor.id, actor.roles, actor.groups) == (NEWSLETTER, {Role.SERVICE}, ())
    assert actor.scopes == {Permission.IMAGE_GENERATE}
    assert actor.mfa == Mfa()
    assert actor.method == "access-token"


async def test_token_of_another_client_is_no_service(identity, credentials, issuer, moment):
    actor = await use(identity, token(issuer, moment, sub="svc-client-2"))
    assert Role.SERVICE not in actor.roles
    assert actor.id == "company|svc-client-2"


async def test_same_subject_at_another_provider_is_no_service(settings, database, issuer, moment, credentials):
    elsewhere = settings.providers[0].model_copy(update={"name": "subsidiary"})
    identity = Identity(
        settings.model_copy(update={"providers": (elsewhere,)}), "https://imprimatur.example", database, moment
    )
    actor = await use(identity, token(issuer, moment))
    assert (actor.id, actor.roles) == (f"subsidiary|{CLIENT}", frozenset())
    await identity.aclose()


async def test_subject_that_became_a_person_is_neither(identity, credentials, database, issuer, moment):
    async with database.transaction() as tx:
        await identity.people.seen(tx, ActorId(f"company|{CLIENT}"), Described(display_name="x", groups=("staff",)))
    assert await is_refused(identity, token(issuer, moment))


async def test_client_that_two_services_claim_is_neither(identity, credentials, agree, database, issuer, moment):
    await agree(None, replace(TERMS, client_subject="svc-client-2"), "other")
    async with database.transaction() as tx:
        await tx.execute(text("update service_accounts set client_subject = :it"), {"it": CLIENT})
    assert await identity.services.accounts.of_client("company", CLIENT) is None
    assert (await use(identity, token(issuer, moment))).roles == frozenset()


async def test_service_without_a_client_is_not_found_by_an_empty_one(identity, agree):
    await agree(None, replace(TERMS, client_provider="", client_subject=""))
    assert await identity.services.accounts.of_client("", "") is None


async def test_client_that_it_no_longer_is_can_not_go_on(identity, credentials, agree, issuer, moment):
    await agree(TERMS, replace(TERMS, client_subject="svc-client-2"))
    before = token(issuer, moment, sub="svc-client-2", iat=int(moment().timestamp()) - 1)
    assert await is_refused(identity, before)
    assert (await use(identity, token(issuer, moment))).roles == frozenset()


async def test_bad_token_of_a_client_is_refused_like_any_other(identity, credentials, issuer, moment):
    for claims in ({"aud": "elsewhere"}, {"exp": int(moment().timestamp()) - 3600}):
        assert await is_refused(identity, token(issuer, moment, **claims))


# What is told


async def test_refused_service_is_told_of(settings, database, issuer, moment, credentials):
    told = []

    async def hear(fault, shown, origin):
        told.append((fault, shown.credential_id, shown.owner.id, origin.ip))

    identity = Identity(settings, "https://imprimatur.example", database, moment, hear)
    assert await is_refused(identity, credentials["key"], ABROAD)
    assert await is_refused(identity, credentials["token"], ABROAD)
    key_id = credentials["key"][8:20]
    assert told == [
        ("network-not-of-key", f"key-{key_id}", NEWSLETTER, ABROAD.ip),
        ("network-not-of-key", "token-t1", NEWSLETTER, ABROAD.ip),
    ]
    await identity.aclose()


async def test_a_person_s_key_is_held_to_its_networks(visit, identity):
    await visit.sign_in()
    key = await identity.keys.prepare(
        await visit.actor(), name="script", scopes=["image:generate"], days=1, networks=["10.0.0.0/8", "2001:db8::/32"]
    )
    await identity.keys.store(key)
    assert (await use(identity, key.secret)).roles == {Role.EMPLOYEE}
    assert await use(identity, key.secret, Origin(ip="2001:db8::7"))
    assert await is_refused(identity, key.secret, HERE)
    (kept,) = await identity.keys.list(await visit.actor())
    assert kept.networks == ("10.0.0.0/8", "2001:db8::/32")
    assert kept.used_from == OFFICE.ip


async def test_owner_days_are_counted_to_the_day(identity, agree, moment):
    await agree(None, TERMS)
    account = await identity.services.accounts.get("newsletter")
    assert account.fault(moment() + timedelta(days=30) - timedelta(seconds=1), 30) is None
    assert account.fault(moment() + timedelta(days=30), 30) == "owner-not-seen"
