"""A provider tells us that somebody signed out there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from gateway.errors import IdentityUnavailable, Unauthenticated
from gateway.exchange import ActorId, Origin
from gateway.identity import Identity
from gateway.identity.backchannel import LoggedOut, LogoutRefused
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from tests.support import forge
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import Visit

IDP = Origin(ip="192.0.2.7")


@pytest.fixture
def refusals() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def identity(
    settings: IdentitySettings, database: Database, moment: Moment, refusals: list[tuple[str, str]]
) -> AsyncIterator[Identity]:
    async def tell(provider: str, fault: str, origin: Origin) -> None:
        refusals.append((provider, fault))

    identity = Identity(settings, "https://imprimatur.example", database, moment, on_refused_logout=tell)
    yield identity
    await identity.aclose()


def order(issuer: Issuer, moment: Moment, header: dict[str, Any] | None = None, **claims: Any) -> str:
    made = forge.good_claims("logout-token", int(moment().timestamp()), issuer.url) | claims
    return forge.token(
        forge.good_header("logout-token") | (header or {}), {k: v for k, v in made.items() if v is not None}
    )


async def log_out(identity: Identity, token: str, provider: str = "company") -> LoggedOut:
    async with identity.back_channel.logging_out(provider, token, IDP) as out:
        return out


async def is_in(visit: Visit) -> bool:
    try:
        await visit.actor()
    except Unauthenticated:
        return False
    return True


async def visits(identity: Identity, issuer: Issuer) -> tuple[Visit, Visit, Visit]:
    """Alice in two browsers, each from a session of its own at the provider; bob in one."""
    made = []
    for subject, session in (("alice", "s-1"), ("alice", "s-2"), ("bob", "s-3")):
        issuer.person = issuer.person | {"sub": subject, "sid": session}
        visit = Visit(identity, issuer)
        await visit.sign_in()
        made.append(visit)
    return made[0], made[1], made[2]


async def test_by_session_id_that_session_ends_and_no_other(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    first, second, bob = await visits(identity, issuer)
    actor = await first.actor()
    out = await log_out(identity, order(issuer, moment, sub=None, sid="s-1"))
    assert [await is_in(visit) for visit in (first, second, bob)] == [False, True, True]
    assert [one.credential_id for one in out.ended] == [actor.credential_id]
    assert (out.actor, out.is_everywhere) == ("", False)


async def test_by_subject_every_session_and_earlier_access_token_of_the_person_ends(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    first, second, bob = await visits(identity, issuer)
    out = await log_out(identity, order(issuer, moment))
    assert [await is_in(visit) for visit in (first, second, bob)] == [False, False, True]
    assert (out.actor, out.is_everywhere, len(out.ended)) == ("company|alice", True, 2)
    person = await identity.people.find(ActorId("company|alice"))
    assert person is not None
    assert person.revoked_at == moment()


async def test_session_id_of_somebody_else_ends_nothing(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    first, second, bob = await visits(identity, issuer)
    out = await log_out(identity, order(issuer, moment, sub="bob", sid="s-1"))
    assert out.ended == []
    assert [await is_in(visit) for visit in (first, second, bob)] == [True, True, True]


async def test_sessions_whose_provider_session_is_not_known_end_with_any_of_the_persons(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    """A provider that names sessions in logout tokens, but not in ID tokens: the one that it means may be any."""
    unnamed = Visit(identity, issuer)
    await unnamed.sign_in()
    await log_out(identity, order(issuer, moment, sid="s-9"))
    assert not await is_in(unnamed)


async def test_order_without_a_subject_does_not_end_sessions_that_have_no_id(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    unnamed = Visit(identity, issuer)
    await unnamed.sign_in()
    await log_out(identity, order(issuer, moment, sub=None, sid="s-9"))
    assert await is_in(unnamed)


async def test_same_session_id_at_another_provider_is_another_session(
    settings: IdentitySettings, database: Database, issuer: Issuer, moment: Moment
) -> None:
    twin = settings.providers[0].model_copy(update={"name": "company-b"})
    both = settings.model_copy(update={"providers": (*settings.providers, twin)})
    identity = Identity(both, "https://imprimatur.example", database, moment)
    issuer.person = issuer.person | {"sid": "s-1"}
    here = Visit(identity, issuer)
    await here.sign_in()
    await log_out(identity, order(issuer, moment, sub=None, sid="s-1"), provider="company-b")
    assert await is_in(here)
    await log_out(identity, order(issuer, moment, jti="l-2"), provider="company-b")
    assert await is_in(here)
    await identity.aclose()


async def test_order_works_once(
    identity: Identity, issuer: Issuer, moment: Moment, refusals: list[tuple[str, str]]
) -> None:
    token = order(issuer, moment)
    await log_out(identity, token)
    visit = Visit(identity, issuer)
    await visit.sign_in()
    moment.pass_(seconds=120)
    with pytest.raises(LogoutRefused):
        await log_out(identity, token)
    assert await is_in(visit)
    assert refusals == [("company", "replay")]


async def test_order_is_remembered_for_as_long_as_it_could_pass(
    identity: Identity, issuer: Issuer, moment: Moment, refusals: list[tuple[str, str]]
) -> None:
    """From the edge to the edge: issued half a minute ahead of our clock, shown again at its last moment."""
    ahead = int(moment().timestamp()) + 30
    token = order(issuer, moment, iat=ahead, exp=ahead + 600)
    await log_out(identity, token)
    moment.pass_(seconds=179)
    for seconds in (0, 1, 1):
        moment.pass_(seconds=seconds)
        with pytest.raises(LogoutRefused):
            await log_out(identity, token)
    assert [fault for _, fault in refusals] == ["replay", "replay", "stale"]


async def test_remembered_orders_are_forgotten_in_time(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    for number in range(5):
        await log_out(identity, order(issuer, moment, jti=f"l-{number}"))
    moment.pass_(seconds=300)
    await log_out(identity, order(issuer, moment, jti="l-9"))
    assert len(identity.back_channel._seen) == 1


async def test_order_that_could_not_be_carried_out_may_come_again(
    identity: Identity, issuer: Issuer, moment: Moment, database: Database
) -> None:
    token = order(issuer, moment)
    async with database.transaction() as tx:
        await tx.execute(text("alter table sessions rename to away"))
    with pytest.raises(IdentityUnavailable):
        await log_out(identity, token)
    async with database.transaction() as tx:
        await tx.execute(text("alter table away rename to sessions"))
    assert await log_out(identity, token)


async def test_order_that_could_not_be_recorded_may_come_again(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    token = order(issuer, moment)
    with pytest.raises(OSError, match="full"):
        async with identity.back_channel.logging_out("company", token, IDP):
            raise OSError("the log's disk is full")
    assert await log_out(identity, token)


@pytest.mark.parametrize(
    ("claims", "header", "fault"),
    [
        ({"nonce": "n"}, {}, "nonce"),
        ({"events": None}, {}, "events"),
        ({"aud": ["wiki"]}, {}, "audience"),
        ({"sub": None}, {}, "subject"),
        ({"jti": None}, {}, "token-id"),
        ({"iat": 1}, {}, "stale"),
        ({}, {"typ": "JWT"}, "type"),
        ({}, {"kid": "unknown"}, "key-id"),
    ],
)
async def test_order_that_is_not_good_ends_nothing_and_is_told(
    identity: Identity,
    issuer: Issuer,
    moment: Moment,
    refusals: list[tuple[str, str]],
    claims: dict[str, Any],
    header: dict[str, Any],
    fault: str,
) -> None:
    first, *_ = await visits(identity, issuer)
    with pytest.raises(LogoutRefused) as error:
        await log_out(identity, order(issuer, moment, header, **claims))
    assert await is_in(first)
    assert refusals == [("company", fault)]
    assert (error.value.status, error.value.code) == (400, "invalid_request")
    assert fault not in error.value.message


async def test_unknown_provider_is_refused_like_a_bad_token(
    identity: Identity, issuer: Issuer, moment: Moment, refusals: list[tuple[str, str]]
) -> None:
    with pytest.raises(LogoutRefused):
        await log_out(identity, order(issuer, moment), provider="nobody")
    assert refusals == [("", "provider")]


async def test_id_token_is_no_order(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    made = forge.token(
        forge.good_header("id-token"), forge.good_claims("id-token", int(moment().timestamp()), issuer.url)
    )
    with pytest.raises(LogoutRefused):
        await log_out(identity, made)


async def test_plain_type_passes_only_where_the_profile_says_so(
    settings: IdentitySettings, database: Database, issuer: Issuer, moment: Moment
) -> None:
    provider = settings.providers[0]
    odd = provider.model_copy(update={"profile": provider.profile.model_copy(update={"logout_token_typ_jwt": True})})
    identity = Identity(
        settings.model_copy(update={"providers": (odd,)}), "https://imprimatur.example", database, moment
    )
    assert await log_out(identity, order(issuer, moment, {"typ": "JWT"}))
    assert await log_out(identity, order(issuer, moment, {"typ": "JWT"}, exp=None, jti="i-2"))
    old = int(moment().timestamp()) - 200
    for claims in ({"exp": None, "iat": old}, {"exp": None, "iat": None}, {"exp": old}):
        with pytest.raises(LogoutRefused):
            await log_out(identity, order(issuer, moment, {"typ": "JWT"}, jti="i-3", **claims))
    id_token = forge.good_claims("id-token", int(moment().timestamp()), issuer.url) | {"jti": "i-1"}
    with pytest.raises(LogoutRefused):
        await log_out(identity, forge.token(forge.good_header("id-token"), id_token))
    await identity.aclose()


async def test_provider_whose_keys_cannot_be_had_is_not_a_refusal(
    identity: Identity, issuer: Issuer, moment: Moment, refusals: list[tuple[str, str]]
) -> None:
    issuer.lies.is_down = True
    with pytest.raises(IdentityUnavailable):
        await log_out(identity, order(issuer, moment))
    assert refusals == []
