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
