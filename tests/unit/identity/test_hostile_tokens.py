"""Every token of the corpus meets the step that must stop it, and every step has a token that only it stops."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity import tokens
from gateway.identity.jwks import KeyCache
from gateway.identity.tokens import Fault, TokenRefused, TokenVerifier, Use, VerifiedToken
from tests.support import forge

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "identity" / "tokens.json").read_text(encoding="utf-8")
)["vectors"]
HOSTILE = [v for v in VECTORS if v["expects"] != "accepted"]
GOOD = [v for v in VECTORS if v["expects"] == "accepted"]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PINNED = ("RS256", "ES256", "Ed25519")


async def _published() -> Mapping[str, Any]:
    return forge.jwks()


def verifier(pinned: tuple[str, ...] = PINNED) -> TokenVerifier:
    keys = KeyCache(_published, ttl_seconds=600, floor_seconds=30, clock=lambda: NOW)
    return TokenVerifier(issuer=forge.ISSUER, algorithms=pinned, keys=keys, leeway_seconds=30, clock=lambda: NOW)


async def verify(vector: Mapping[str, Any], pinned: tuple[str, ...] = PINNED) -> VerifiedToken:
    use = Use(vector.get("use", "id-token"))
    return await verifier(pinned).verify(
        forge.forge(vector, int(NOW.timestamp())),
        use,
        audience=forge.RESOURCE if use is Use.ACCESS_TOKEN else forge.CLIENT_ID,
        client_id=forge.CLIENT_ID,
        nonce=forge.NONCE if use in (Use.ID_TOKEN, Use.REFRESHED_ID_TOKEN) else None,
    )


@pytest.mark.parametrize("vector", HOSTILE, ids=lambda v: v["name"])
async def test_hostile_token_is_refused_by_the_step_that_is_there_for_it(vector: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused) as refused:
        await verify(vector)
    assert refused.value.fault == vector["expects"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda v: v["name"])
async def test_good_token_is_accepted(vector: dict[str, Any]) -> None:
    assert (await verify(vector)).subject == "alice"


def test_corpus_is_large_and_every_step_has_its_attack() -> None:
    assert len(HOSTILE) >= 60
    assert {v["expects"] for v in HOSTILE} == {fault.value for fault in Fault}


# One vector for each step that can be taken out alone: without the step it is accepted, so nothing else stops it.
ONLY_STOPPED_BY = {
    "_check_length": "oversize",
    "_check_type": "access-token-as-id-token",
    "_check_forbidden_headers": "header-crit-empty",
    "_check_issuer": "iss-another",
    "_check_subject": "sub-not-ascii",
    "_check_audience": "aud-other",
    "_check_authorised_party": "azp-other",
    "_check_not_before": "nbf-future",
    "_check_token_id": "jti-empty",
    "_check_nonce": "nonce-other",
    "_check_freshness": "logout-iat-old",
    "_check_events": "logout-events-missing",
}


@pytest.mark.parametrize(("step", "name"), ONLY_STOPPED_BY.items())
async def test_removing_a_step_lets_its_attack_through(step: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(v for v in HOSTILE if v["name"] == name)
    monkeypatch.setattr(tokens, step, lambda *_: None)
    assert await verify(vector)


@pytest.mark.parametrize(
    ("step", "name", "given_back"),
    [("_check_expiry", "exp-past", NOW), ("_check_issued_at", "iat-future", NOW)],
)
async def test_removing_a_step_on_time_lets_its_attack_through(
    step: str, name: str, given_back: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = next(v for v in HOSTILE if v["name"] == name)
    monkeypatch.setattr(tokens, step, lambda *_: given_back)
    assert await verify(vector)


async def test_removing_the_pinned_list_leaves_the_second_lock_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(v for v in HOSTILE if v["name"] == "rs512-not-pinned")
    monkeypatch.setattr(tokens, "_check_algorithm", lambda *_: None)
    with pytest.raises(TokenRefused) as refused:
        await verify(vector)
    assert refused.value.fault in {Fault.KEY_ID, Fault.SIGNATURE}


async def test_algorithm_that_the_settings_do_not_pin_is_refused_whatever_the_issuer_publishes() -> None:
    es256 = next(v for v in GOOD if v["name"] == "good-id-token-es256")
    assert await verify(es256)
    with pytest.raises(TokenRefused) as refused:
        await verify(es256, pinned=("RS256",))
    assert refused.value.fault is Fault.ALGORITHM


async def test_removing_the_signature_check_lets_a_forgery_through(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(v for v in HOSTILE if v["name"] == "signature-of-other-claims")
    monkeypatch.setattr(tokens.jws, "deserialize_compact", lambda *_, **__: None)
    assert (await verify(vector)).subject == "admin"


async def test_refusal_never_carries_the_token() -> None:
    vector = next(v for v in HOSTILE if v["name"] == "signature-garbage")
    made = forge.forge(vector, int(NOW.timestamp()))
    with pytest.raises(TokenRefused) as refused:
        await verify(vector)
    seen = repr(refused.value) + str(refused.value.args)
    assert not any(part in seen for part in made.split("."))


@settings(deadline=None)  # the machine is shared; what is tested is the answer
@given(st.text(max_size=200))
async def test_no_text_whatever_is_accepted_or_crashes(text: str) -> None:
    with pytest.raises(TokenRefused):
        await verifier().verify(text, Use.ID_TOKEN, audience="imprimatur", client_id="imprimatur", nonce="n-1")
    assert tokens.issuer_of(text) == ""


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=6))
async def test_signed_but_odd_claims_never_crash(claims: dict[str, Any]) -> None:
    made = forge.token(forge.good_header("id-token"), forge.good_claims("id-token", int(NOW.timestamp())) | claims)
    try:
        found = await verifier().verify(
            made, Use.ID_TOKEN, audience=forge.CLIENT_ID, client_id=forge.CLIENT_ID, nonce=forge.NONCE
        )
    except TokenRefused:
        return
    assert found.subject


async def test_unverified_issuer_is_read_from_a_token_and_from_nothing_else() -> None:
    made = forge.token(forge.good_header("access-token"), forge.good_claims("access-token", int(NOW.timestamp())))
    assert tokens.issuer_of(made) == forge.ISSUER
    assert tokens.issuer_of("") == ""
    assert tokens.issuer_of(forge.token({}, {"iss": 7})) == ""


def signed(use: Use, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A good token with these members instead; None takes one away."""
    made = forge.good_claims(use.value, int(NOW.timestamp())) | claims
    head = forge.good_header(use.value) | dict(header or {})
    return forge.token(
        {k: v for k, v in head.items() if v is not None}, {k: v for k, v in made.items() if v is not None}
    )


async def checked(token: str, use: Use, audience: str | None = None, of: TokenVerifier | None = None) -> VerifiedToken:
    if audience is None:
        audience = forge.RESOURCE if use is Use.ACCESS_TOKEN else forge.CLIENT_ID
    nonce = forge.NONCE if use is Use.ID_TOKEN else None
    return await (of or verifier()).verify(token, use, audience=audience, client_id=forge.CLIENT_ID, nonce=nonce)


@pytest.mark.parametrize("key_id", [None, "", 7, ["rsa-1"]])
async def test_token_that_names_no_key_has_nobody_asked_for_one(key_id: Any) -> None:
    """Or a flood of such tokens would be a flood of requests to the provider."""
    fetched = 0

    async def published() -> Mapping[str, Any]:
        nonlocal fetched
        fetched += 1
        return forge.jwks()

    keys = KeyCache(published, ttl_seconds=600, floor_seconds=30, clock=lambda: NOW)
    of = TokenVerifier(issuer=forge.ISSUER, algorithms=PINNED, keys=keys, leeway_seconds=30, clock=lambda: NOW)
    with pytest.raises(TokenRefused) as refused:
        await checked(signed(Use.ACCESS_TOKEN, {"kid": key_id}), Use.ACCESS_TOKEN, of=of)
    assert refused.value.fault is Fault.KEY_ID
    assert fetched == 0


def test_issuer_of_an_overlong_token_is_not_looked_for() -> None:
    assert tokens.issuer_of(signed(Use.ACCESS_TOKEN)) == forge.ISSUER
    assert tokens.issuer_of(signed(Use.ACCESS_TOKEN, pad="x" * tokens.MAX_TOKEN_BYTES)) == ""


async def test_logout_token_may_name_a_session_alone() -> None:
    assert (await checked(signed(Use.LOGOUT_TOKEN, sub=None, sid="s-1"), Use.LOGOUT_TOKEN)).subject == ""


@pytest.mark.parametrize("subject", ["", "é", 7, "x" * 300])
async def test_logout_token_with_a_session_may_not_name_somebody_odd_besides(subject: Any) -> None:
    with pytest.raises(TokenRefused) as refused:
        await checked(signed(Use.LOGOUT_TOKEN, sub=subject, sid="s-1"), Use.LOGOUT_TOKEN)
    assert refused.value.fault is Fault.SUBJECT


async def test_nobody_is_the_audience_of_an_audience_without_a_name() -> None:
    with pytest.raises(TokenRefused) as refused:
        await checked(signed(Use.ACCESS_TOKEN, aud=["", forge.RESOURCE]), Use.ACCESS_TOKEN, audience="")
    assert refused.value.fault is Fault.AUDIENCE


async def test_only_an_order_has_to_be_of_just_now() -> None:
    """An access token lives as long as it says; a logout token is carried out at once or never."""
    hour_ago = int(NOW.timestamp()) - 3600
    assert await checked(signed(Use.ACCESS_TOKEN, iat=hour_ago), Use.ACCESS_TOKEN)
    with pytest.raises(TokenRefused) as refused:
        await checked(signed(Use.LOGOUT_TOKEN, iat=hour_ago), Use.LOGOUT_TOKEN)
    assert refused.value.fault is Fault.STALE


@pytest.mark.parametrize(("member", "fault"), [("iat", Fault.ISSUED_LATER), ("nbf", Fault.NOT_YET)])
async def test_true_is_not_the_first_second_of_1970(member: str, fault: Fault) -> None:
    with pytest.raises(TokenRefused) as refused:
        await checked(signed(Use.ACCESS_TOKEN, **{member: True}), Use.ACCESS_TOKEN)
    assert refused.value.fault is fault


async def test_a_moment_before_all_moments_is_none() -> None:
    claims = json.dumps(forge.good_claims("access-token", int(NOW.timestamp())) | {"nbf": 0})
    token = forge.token(forge.good_header("access-token"), claims.replace('"nbf": 0', '"nbf": -1e999'))
    with pytest.raises(TokenRefused) as refused:
        await checked(token, Use.ACCESS_TOKEN)
    assert refused.value.fault is Fault.NOT_YET
