"""Two issuers at once: each is itself, and neither gets what belongs to the other (mix-up attacks, RFC 9700, 4.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.errors import Unauthenticated
from gateway.exchange import ActorId
from gateway.identity import Identity, SignInRefused
from gateway.identity.backchannel import LogoutRefused
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from tests.support import forge
from tests.support.issuer import Issuer, running_issuer
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit

PUBLIC_URL = "https://imprimatur.example"


@pytest.fixture(scope="module")
def listening_other() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def other(listening_other: Issuer, moment: Moment) -> Issuer:
    listening_other.forget()
    listening_other.now = lambda: moment().timestamp()
    return listening_other


@pytest.fixture
async def identity(
    settings: IdentitySettings, database: Database, moment: Moment, other: Issuer
) -> AsyncIterator[Identity]:
    second = settings.providers[0].model_copy(update={"name": "other", "label": "The Other", "issuer": other.url})
    identity = Identity(
        settings.model_copy(update={"providers": (*settings.providers, second)}), PUBLIC_URL, database, moment
    )
    yield identity
    await identity.aclose()


async def depart(visit: Visit, provider: str) -> str:
    departure = await visit.identity.begin_sign_in(provider, "/studio")
    visit.keep(departure.cookie)
    return departure.url


def asked_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def refused(visit: Visit, provider: str, answer: dict[str, str]) -> None:
    with pytest.raises(SignInRefused):
        await visit.arrive(answer, provider=provider)
    with pytest.raises(Unauthenticated):
        await visit.actor()


async def test_same_subject_at_two_providers_is_two_people(identity: Identity, issuer: Issuer, other: Issuer) -> None:
    other.person["groups"] = ["compliance"]
    people = []
    for name, at in (("company", issuer), ("other", other)):
        visit = Visit(identity, at)
        await visit.arrive(at.approve(await depart(visit, name)), provider=name)
        people.append(await visit.actor())
    assert [person.id for person in people] == ["company|alice", "other|alice"]
    assert people[0].roles.isdisjoint(people[1].roles)
    await identity.people.revoke(ActorId("company|alice"))
    assert (await visit.actor()).id == "other|alice"


async def test_sign_in_page_has_to_say_which(identity: Identity) -> None:
    assert identity.providers == {"company": "The Company", "other": "The Other"}
    with pytest.raises(Exception, match="company, other"):
        await identity.begin_sign_in(None, None)


async def test_each_provider_has_a_redirect_address_of_its_own(identity: Identity, issuer: Issuer) -> None:
    visit = Visit(identity, issuer)
    addresses = [asked_of(await depart(visit, name))["redirect_uri"] for name in ("company", "other")]
    assert addresses == [f"{PUBLIC_URL}/auth/callback/company", f"{PUBLIC_URL}/auth/callback/other"]


@pytest.mark.parametrize("promised", [True, None])
async def test_code_of_an_honest_provider_never_reaches_the_one_where_the_sign_in_began(
    identity: Identity, issuer: Issuer, other: Issuer, promised: bool | None
) -> None:
    """The mix-up: the person chose the attacker's provider, which sends them on to the honest one with our state. The
    honest one knows our address there, which is its own callback and not the attacker's; the state does not fit it.
    `promised`: with the `iss` of RFC 9207, and with a provider from before it."""
    issuer.lies.discovery = other.lies.discovery = {"authorization_response_iss_parameter_supported": promised}
    visit = Visit(identity, issuer)
    begun = asked_of(await depart(visit, "other"))
    sent_on: dict[str, Any] = begun | {"redirect_uri": f"{PUBLIC_URL}/auth/callback/company"}
    answer = issuer.approve(f"{issuer.url}/authorize?{urlencode(sent_on)}")
    if not promised:
        del answer["iss"]
    await refused(visit, "company", answer)
    assert "/token" not in other.asked
    assert "/token" not in issuer.asked


async def test_honest_provider_that_answers_at_the_attackers_callback_is_known_by_its_iss(
    identity: Identity, issuer: Issuer, other: Issuer
) -> None:
    """Where the honest provider lets any address of ours pass, RFC 9207 is what is left."""
    visit = Visit(identity, issuer)
    begun = asked_of(await depart(visit, "other"))
    answer = issuer.approve(f"{issuer.url}/authorize?{urlencode(begun)}")
    await refused(visit, "other", answer)
    assert "/token" not in other.asked


async def test_code_of_the_attackers_provider_opens_nothing_at_the_honest_callback(
    identity: Identity, issuer: Issuer, other: Issuer
) -> None:
    visit = Visit(identity, issuer)
    honest = asked_of(await depart(visit, "company"))
    planted = other.approve(f"{other.url}/authorize?{urlencode(honest)}")
    await refused(visit, "company", planted | {"iss": issuer.url})
    assert "/token" not in other.asked


async def test_id_token_of_one_provider_is_none_at_the_other(identity: Identity, issuer: Issuer, other: Issuer) -> None:
    """Both sign with the same key here, so that nothing but `iss` tells them apart."""
    visit = Visit(identity, other)
    answer = other.approve(await depart(visit, "other"))
    other.lies.claims = {"iss": issuer.url}
    await refused(visit, "other", answer)


async def test_step_up_goes_to_the_provider_of_the_session(identity: Identity, issuer: Issuer, other: Issuer) -> None:
    visit = Visit(identity, other)
    await visit.arrive(other.approve(await depart(visit, "other")), provider="other")
    departure = await identity.begin_step_up(visit.credentials(), 300, "/keys")
    assert departure.url.startswith(other.url)


async def test_order_to_log_out_of_one_provider_is_none_at_the_other(
    identity: Identity, issuer: Issuer, other: Issuer, moment: Moment
) -> None:
    visit = Visit(identity, other)
    await visit.arrive(other.approve(await depart(visit, "other")), provider="other")
    claims = forge.good_claims("logout-token", int(moment().timestamp()), issuer.url)
    token = forge.token(forge.good_header("logout-token"), claims)
    with pytest.raises(LogoutRefused):
        async with identity.back_channel.logging_out("other", token, HERE):
            pass
    assert (await visit.actor()).id == "other|alice"
