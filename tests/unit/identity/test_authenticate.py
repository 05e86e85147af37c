from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.errors import IdentityUnavailable, RateLimited, Unauthenticated
from gateway.exchange import Actor, Credentials
from gateway.identity import Identity
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Permission, Role
from tests.support import forge
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit


def access_token(issuer: Issuer, moment: Moment, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(moment().timestamp())
    good = forge.good_claims("access-token", now, issuer.url)
    return forge.token(forge.good_header("access-token") | (header or {}), good | claims)


async def bearer(identity: Identity, token: str, scheme: str = "Bearer") -> Actor:
    return await identity.authenticate(Credentials(method="GET", authorization=f"{scheme} {token}"), HERE)


async def test_nothing_shown_is_told_what_to_show(identity: Identity) -> None:
    with pytest.raises(Unauthenticated) as error:
        await identity.authenticate(Credentials(method="GET"), HERE)
    assert error.value.code == "missing_credentials"
    assert "API key" in error.value.message


async def test_cookie_of_somebody_else_is_no_credential(identity: Identity) -> None:
    with pytest.raises(Unauthenticated) as error:
        await identity.authenticate(Credentials(method="GET", cookie="theme=dark; imprimatur-session=x"), HERE)
    assert error.value.code == "missing_credentials"


async def test_two_credentials_are_refused_even_when_both_are_good(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    token = access_token(visit.issuer, moment)
    assert await bearer(visit.identity, token)
    with pytest.raises(Unauthenticated):
        await visit.identity.authenticate(
            Credentials(method="GET", authorization=f"Bearer {token}", cookie=visit.cookie_header), HERE
        )


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6eA==",
        "Bearer  two-spaces",
        "Bearer a b",
        "Bearer a,b",
        "Bearer\ttab",
        "Token x",
        "Bearer é",
        "Bearer \x00",
        "Bearerx",
        "Bearer null",
        "Bearer imp_pat_x",
    ],
)
async def test_authorization_header_that_is_no_bearer_credential_is_refused(
    identity: Identity, authorization: str
) -> None:
    with pytest.raises(Unauthenticated):
        await identity.authenticate(Credentials(method="GET", authorization=authorization), HERE)


async def test_every_refusal_reads_the_same(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    """What was wrong would be a guide for guessing."""
    attempts = [
        Credentials(method="GET", authorization="Basic x"),
        Credentials(method="GET", authorization="Bearer imp_pat_" + "a" * 50),
        Credentials(method="GET", authorization=f"Bearer {access_token(issuer, moment, aud='other')}"),
        Credentials(method="GET", authorization=f"Bearer {access_token(issuer, moment, exp=1)}"),
        Credentials(method="GET", cookie="__Host-imprimatur-session=" + "A" * 43),
        Credentials(method="GET", authorization="Bearer x", cookie="__Host-imprimatur-session=" + "A" * 43),
    ]
    told = set()
    for attempt in attempts:
        with pytest.raises(Unauthenticated) as error:
            await identity.authenticate(attempt, HERE)
        told.add((error.value.status, error.value.code, error.value.message))
    assert len(told) == 1


async def test_refusals_are_logged_by_fault_and_never_with_the_credential(
    identity: Identity, issuer: Issuer, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    token = access_token(issuer, moment, aud="other")
    key = "imp_pat_" + "a" * 50
    with caplog.at_level(logging.DEBUG, logger="gateway"):
        for shown in (token, key):
            with pytest.raises(Unauthenticated):
                await bearer(identity, shown)
    faults = [record.fields["fault"] for record in caplog.records if hasattr(record, "fields")]
    assert faults == ["token-audience", "key-unknown"]
    seen = " ".join(repr(record.__dict__) for record in caplog.records if record.name.startswith("gateway"))
    assert key not in seen
    assert not any(part in seen for part in token.split("."))


async def test_credentials_show_nothing_in_their_repr() -> None:
    assert "secret" not in repr(Credentials(method="GET", authorization="Bearer secret", cookie="session=secret"))


async def test_access_token_of_somebody_unknown_acts_with_what_it_says(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    token = access_token(
        issuer,
        moment,
        groups=["staff"],
        scope="openid image:generate model:list nonsense",
        amr=["pwd", "otp"],
        auth_time=moment().timestamp() - 60,
    )
    actor = await bearer(identity, token, scheme="bearer")
    assert actor.id == "company|alice"
    assert actor.method == "access-token"
    assert actor.credential_id == "token-t-1"
    assert actor.roles == {Role.EMPLOYEE}
    assert actor.scopes == {Permission.IMAGE_GENERATE, Permission.MODEL_LIST}
    assert actor.mfa.age_seconds(moment()) == 60


@pytest.mark.parametrize("scope", [None, "", "openid profile", ["image:generate"], "IMAGE:GENERATE"])
async def test_access_token_without_a_permission_in_its_scope_may_do_nothing(
    identity: Identity, issuer: Issuer, moment: Moment, scope: Any
) -> None:
    assert (await bearer(identity, access_token(issuer, moment, scope=scope))).scopes == frozenset()


async def test_access_token_without_groups_has_the_roles_of_the_last_sign_in(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    assert (await bearer(visit.identity, access_token(visit.issuer, moment))).roles == {Role.EMPLOYEE}
    emptied = access_token(visit.issuer, moment, groups=[])
    assert (await bearer(visit.identity, emptied)).roles == frozenset()


async def test_access_token_issued_before_a_sign_out_is_over(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    token = access_token(visit.issuer, moment)
    moment.pass_(seconds=5)
    assert await bearer(visit.identity, token)
    await visit.identity.sign_out(await visit.actor())
    with pytest.raises(Unauthenticated):
        await bearer(visit.identity, token)
    moment.pass_(seconds=5)
    assert await bearer(visit.identity, access_token(visit.issuer, moment))


async def test_access_token_of_a_suspended_person_is_refused(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    await visit.identity.people.set_status((await visit.actor()).id, "suspended")
    moment.pass_(seconds=5)
    with pytest.raises(Unauthenticated):
        await bearer(visit.identity, access_token(visit.issuer, moment))


async def test_id_token_is_no_access_token(identity: Identity, issuer: Issuer, moment: Moment) -> None:
    claims = forge.good_claims("id-token", int(moment().timestamp()), issuer.url) | {"aud": [forge.RESOURCE]}
    with pytest.raises(Unauthenticated):
        await bearer(identity, forge.token(forge.good_header("id-token"), claims | {"jti": "x"}))


async def test_token_of_an_issuer_we_do_not_know_asks_nobody_for_keys(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    with pytest.raises(Unauthenticated):
        await bearer(identity, access_token(issuer, moment, iss="https://evil.example"))
    assert issuer.asked == {}


async def test_provider_without_an_audience_setting_gives_no_access_tokens(
    settings: IdentitySettings, database: Database, issuer: Issuer, moment: Moment
) -> None:
    provider = settings.providers[0].model_copy(update={"access_token_audience": ""})
    identity = Identity(
        settings.model_copy(update={"providers": (provider,)}), "https://imprimatur.example", database, moment
    )
    with pytest.raises(Unauthenticated):
        await bearer(identity, access_token(issuer, moment, aud=""))
    assert issuer.asked == {}
    assert "authorization_servers" not in identity.protected_resource()
    await identity.aclose()


async def test_issuer_that_is_down_means_nobody_can_be_recognised(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    issuer.lies.is_down = True
    with pytest.raises(IdentityUnavailable):
        await bearer(identity, access_token(issuer, moment))


async def test_thousand_tokens_with_unknown_keys_cause_one_fetch_a_floor(
    identity: Identity, issuer: Issuer, moment: Moment
) -> None:
    await bearer(identity, access_token(issuer, moment))
    for number in range(1000):
        with pytest.raises((Unauthenticated, RateLimited)):
            await bearer(identity, access_token(issuer, moment, {"kid": f"attacker-{number}"}))
        moment.pass_(seconds=0.07)  # 70 seconds in all
    assert issuer.asked["/jwks"] == 1 + 2  # at 30 and at 60 seconds
    assert issuer.asked["/.well-known/openid-configuration"] == 1


async def test_protected_resource_metadata_names_issuer_and_scopes(identity: Identity, issuer: Issuer) -> None:
    found = identity.protected_resource()
    assert found["resource"] == "https://imprimatur.example"
    assert found["authorization_servers"] == [issuer.url]
    assert found["bearer_methods_supported"] == ["header"]
    assert "key:manage" not in found["scopes_supported"]
