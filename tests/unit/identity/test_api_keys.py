from __future__ import annotations

import hmac
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Denied, InvalidRequest, NotFound, StepUpRequired, Unauthenticated
from gateway.exchange import Actor, ActorId, Credentials
from gateway.identity import Identity, api_keys
from gateway.identity.api_keys import GRANTABLE, ApiKeys, NewKey, checksum, is_well_formed
from gateway.storage.database import Database
from gateway.vocabulary import Permission, Role
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit

ALICE = ActorId("company|alice")


@pytest.fixture
async def actor(visit: Visit) -> Actor:
    await visit.sign_in()
    return await visit.actor()


async def mint(visit: Visit, scopes: tuple[str, ...] = ("image:generate",), days: int | None = None) -> NewKey:
    key = await visit.identity.keys.prepare(await visit.actor(), name="script", scopes=scopes, days=days)
    await visit.identity.keys.store(key)
    return key


async def use(identity: Identity, secret: str) -> Actor:
    return await identity.authenticate(Credentials(method="GET", authorization=f"Bearer {secret}"), HERE)


async def is_refused(identity: Identity, secret: str) -> bool:
    try:
        await use(identity, secret)
    except Unauthenticated:
        return True
    return False


async def test_key_acts_as_its_owner_within_its_scopes(visit: Visit, actor: Actor, moment: Moment) -> None:
    key = await mint(visit, ("image:generate", "model:list"))
    moment.pass_(seconds=120)
    found = await use(visit.identity, key.secret)
    assert found.id == ALICE
    assert found.method == "api-key"
    assert found.roles == {Role.EMPLOYEE}
    assert found.scopes == {Permission.IMAGE_GENERATE, Permission.MODEL_LIST}
    assert found.credential_id == f"key-{key.info.id}"
    assert found.mfa.age_seconds(moment()) == 120  # the evidence of the minting, growing older


async def test_key_looks_as_documented(visit: Visit, actor: Actor) -> None:
    secret = (await mint(visit)).secret
    assert len(secret) == 58
    assert secret.startswith("imp_pat_")
    assert checksum(secret[:-6]) == secret[-6:]


async def test_neither_key_nor_secret_is_in_the_database_or_in_a_repr(
    visit: Visit, actor: Actor, tmp_path: Path
) -> None:
    key = await mint(visit)
    with sqlite3.connect(tmp_path / "gateway.sqlite") as database:
        stored = repr(list(database.execute("select * from api_keys")))
    assert key.secret[20:52] not in stored + repr(key)


async def test_copy_of_the_table_verifies_nothing_without_the_pepper(
    visit: Visit, actor: Actor, database: Any, moment: Moment
) -> None:
    key = await mint(visit)
    thief = ApiKeys(database, b"another pepper" * 3, moment)
    assert await thief.find(key.secret) is None


@settings(deadline=None)
@given(st.integers(8, 57), st.sampled_from(api_keys.ALPHABET))
def test_any_one_changed_character_fails_the_checksum(place: int, instead: str) -> None:
    body = "imp_pat_" + "a" * 44
    key = body + checksum(body)
    changed = key[:place] + instead + key[place + 1 :]
    assert is_well_formed(changed) is (changed == key)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "imp_pat_",
        "imp_pat_" + "a" * 49,
        "imp_pat_" + "a" * 51,
        "imp_pat_" + "é" * 50,
        "IMP_PAT_" + "a" * 50,
        "imp_svc_" + "a" * 50,
        "imp_pat_" + "a" * 50,
        "imp_pat_" + "a" * 50 + "\n",
    ],
)
async def test_malformed_key_is_refused_before_the_database_is_asked(secret: str, moment: Moment) -> None:
    nowhere: Any = None
    assert await ApiKeys(nowhere, b"p" * 32, moment).find(secret) is None


@pytest.mark.parametrize(
    "body",
    ["imp_pat_" + "a" * 43, "imp_pat_" + "a" * 45, "imp_abc_" + "a" * 44, "imp_pat_" + "-" * 44, "a" * 52, ""],
)
def test_a_checksum_alone_makes_no_key(body: str) -> None:
    assert not is_well_formed(body + checksum(body))


async def test_proposal_that_made_no_key_has_none(
    visit: Visit, actor: Actor, database: Database, moment: Moment
) -> None:
    await mint(visit)
    keys = ApiKeys(database, b"pepper" * 6, moment)
    assert await keys.of_proposal("0b5d5a52-6f5c-4f0a-9d34-6c0f7f5e7b11") is None


async def test_well_formed_key_that_nobody_made_is_refused(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    other_secret = key.secret[:20] + "A" * 32
    assert await is_refused(visit.identity, other_secret + checksum(other_secret))
    unknown_id = "imp_pat_" + "0" * 12 + key.secret[20:52]
    assert await is_refused(visit.identity, unknown_id + checksum(unknown_id))


async def test_secrets_are_compared_in_constant_time_also_for_unknown_keys(
    visit: Visit, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return real(a, b)

    key = await mint(visit)
    monkeypatch.setattr(api_keys.hmac, "compare_digest", spy)
    unknown = "imp_pat_" + "0" * 44
    assert await is_refused(visit.identity, unknown + checksum(unknown))
    assert await use(visit.identity, key.secret)
    assert [len(a) == len(b) == 64 for a, b in compared] == [True, True]


async def test_expired_key_is_refused(visit: Visit, actor: Actor, moment: Moment) -> None:
    key = await mint(visit, days=1)
    moment.pass_(days=1, seconds=-1)
    assert await use(visit.identity, key.secret)
    moment.pass_(seconds=1)
    assert await is_refused(visit.identity, key.secret)


async def test_revoked_key_is_refused_with_the_next_request(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    await visit.identity.keys.revoke(actor, key.info.id)
    assert await is_refused(visit.identity, key.secret)
    await visit.identity.keys.revoke(actor, key.info.id)  # again: no harm, no later date
    listed = await visit.identity.keys.list(actor)
    assert listed[0].revoked_at is not None


async def test_key_of_a_suspended_owner_is_refused_with_the_next_request(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    await visit.identity.people.set_status(actor.id, "suspended")
    assert await is_refused(visit.identity, key.secret)


async def test_key_has_the_roles_that_its_owner_has_today(
    visit: Visit, actor: Actor, identity: Identity, issuer: Issuer
) -> None:
    key = await mint(visit)
    issuer.person["groups"] = []
    await Visit(identity, issuer).sign_in()
    assert (await use(identity, key.secret)).roles == frozenset()


async def test_key_rests_when_its_owner_has_not_signed_in_for_a_month(
    visit: Visit, actor: Actor, moment: Moment
) -> None:
    key = await mint(visit, days=90)
    moment.pass_(days=30)
    assert await is_refused(visit.identity, key.secret)
    await visit.sign_in()
    assert await use(visit.identity, key.secret)


async def test_key_survives_sign_out(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    await visit.identity.sign_out(actor)
    assert await use(visit.identity, key.secret)


async def test_key_without_scopes_may_do_nothing(visit: Visit, actor: Actor) -> None:
    assert (await use(visit.identity, (await mint(visit, ())).secret)).scopes == frozenset()


async def test_scope_that_is_grantable_no_more_grants_nothing(
    visit: Visit, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await mint(visit, ("image:generate", "model:list"))
    monkeypatch.setattr(api_keys, "GRANTABLE", GRANTABLE - {Permission.IMAGE_GENERATE})
    assert (await use(visit.identity, key.secret)).scopes == {Permission.MODEL_LIST}


@pytest.mark.parametrize("scope", ["key:manage", "audit:search", "audit:prove", "image:*", "*", "", "image:Generate"])
async def test_scope_that_no_key_may_carry_is_refused(visit: Visit, actor: Actor, scope: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        await mint(visit, ("image:generate", scope))
    assert error.value.param == "scopes"


def test_keys_can_never_carry_what_people_alone_may_do() -> None:
    assert not GRANTABLE & {Permission.KEY_MANAGE, Permission.AUDIT_SEARCH, Permission.AUDIT_PROVE}


async def test_minting_needs_a_second_factor_of_the_last_five_minutes(
    visit: Visit, actor: Actor, moment: Moment
) -> None:
    moment.pass_(seconds=300)
    assert await mint(visit)
    moment.pass_(seconds=1)
    with pytest.raises(StepUpRequired) as error:
        await mint(visit)
    assert error.value.step_up.max_age_seconds == 300
    await visit.step_up()
    assert await mint(visit)


async def test_key_can_neither_mint_nor_list_nor_revoke_keys(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    program = await use(visit.identity, key.secret)
    keys = visit.identity.keys
    for attempt in (
        keys.prepare(program, name="child", scopes=(), days=1),
        keys.list(program),
        keys.revoke(program, key.info.id),
    ):
        with pytest.raises(Denied):
            await attempt


async def test_person_without_a_role_mints_nothing(visit: Visit) -> None:
    visit.issuer.person["groups"] = []
    await visit.sign_in()
    with pytest.raises(Denied):
        await mint(visit)


@pytest.mark.parametrize("days", [0, -1, 91, 10**9])
async def test_lifetime_out_of_range_is_refused(visit: Visit, actor: Actor, days: int) -> None:
    with pytest.raises(InvalidRequest) as error:
        await mint(visit, days=days)
    assert error.value.param == "days"


async def test_lifetime_is_thirty_days_unless_asked_otherwise(visit: Visit, actor: Actor) -> None:
    key = await mint(visit)
    assert key.info.expires_at - key.info.created_at == timedelta(days=30)


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "a\x1b[31m"])
async def test_name_that_could_not_be_shown_is_refused(visit: Visit, actor: Actor, name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        await visit.identity.keys.prepare(actor, name=name, scopes=(), days=1)
    assert error.value.param == "name"


async def test_twenty_first_living_key_is_refused_until_one_is_revoked(visit: Visit, actor: Actor) -> None:
    made = [await mint(visit) for _ in range(20)]
    with pytest.raises(InvalidRequest):
        await mint(visit)
    await visit.identity.keys.revoke(actor, made[0].info.id)
    assert await mint(visit)


async def test_keys_of_others_are_neither_seen_nor_revoked(
    visit: Visit, actor: Actor, identity: Identity, issuer: Issuer
) -> None:
    key = await mint(visit)
    issuer.person = issuer.person | {"sub": "bob"}
    bob = Visit(identity, issuer)
    await bob.sign_in()
    assert await identity.keys.list(await bob.actor()) == []
    with pytest.raises(NotFound):
        await identity.keys.revoke(await bob.actor(), key.info.id)
    assert await use(identity, key.secret)


async def test_prepared_key_opens_nothing_until_it_is_stored(visit: Visit, actor: Actor) -> None:
    key = await visit.identity.keys.prepare(actor, name="script", scopes=("image:generate",), days=1)
    assert await is_refused(visit.identity, key.secret)


async def test_last_use_is_noted_to_the_minute(visit: Visit, actor: Actor, moment: Moment) -> None:
    key = await mint(visit)
    assert (await visit.identity.keys.list(actor))[0].used_at is None
    moment.pass_(seconds=10)
    await use(visit.identity, key.secret)
    first = moment()
    moment.pass_(seconds=59)
    await use(visit.identity, key.secret)
    assert (await visit.identity.keys.list(actor))[0].used_at == first
    moment.pass_(seconds=1)
    await use(visit.identity, key.secret)
    assert (await visit.identity.keys.list(actor))[0].used_at == moment()
