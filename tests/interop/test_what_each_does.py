"""What each provider sends and takes, asserted both ways: `Features` says that it does a thing, or that it does not.

docs/reference/claim-profiles.md prints these tables; `tests/unit/identity/test_profiles.py` compares.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.relying_party import RelyingParty, header, payload
from tests.support.providers import RunningProvider
from tests.support.providers.base import ROBOT_CLIENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_id_token_after_password_and_code_shows_what_the_table_says(party: RelyingParty) -> None:
    features = party.idp.features
    claims = await party.claims("alice")
    assert tuple(claims["amr"]) == features.amr
    assert claims.get("acr") == features.acr
    assert ("sid" in claims) is features.sid
    assert claims["groups"] == ["staff"]
    assert claims["name"] == "Alice Marsh"
    assert claims["aud"] in ("imprimatur", ["imprimatur"])


async def test_id_token_after_the_password_alone_shows_less(party: RelyingParty) -> None:
    claims = await party.claims("carol")
    assert set(claims["amr"]) < set(party.idp.features.amr)
    assert len(claims["amr"]) == 1
    assert claims.get("acr") is None or claims["acr"] != party.idp.features.acr


async def test_auth_time_is_the_moment_of_the_last_real_sign_in(party: RelyingParty) -> None:
    first = (await party.claims("alice"))["auth_time"]
    await asyncio.sleep(1.2)
    assert (await party.claims("alice"))["auth_time"] == first  # its own session answered
    again = (await party.claims("alice", prompt="login", max_age="60"))["auth_time"]
    assert (again > first) is party.idp.features.auth_time_moves


async def test_answer_names_its_issuer_and_discovery_says_whether_it_promises_that(party: RelyingParty) -> None:
    back, _ = await party.answer("alice")
    assert back["iss"] == party.idp.issuer
    promised = (await party.discovery()).get("authorization_response_iss_parameter_supported") is True
    assert promised is party.idp.features.promises_iss


async def test_code_works_once_and_only_with_its_verifier(party: RelyingParty) -> None:
    back, verifier = await party.answer("alice")
    redirect = party.idp.redirect_uri
    stolen = await party.ask("authorization_code", code=back["code"], code_verifier="x" * 64, redirect_uri=redirect)
    assert "error" in stolen
    back, verifier = await party.answer("alice")
    form = {"code": back["code"], "code_verifier": verifier, "redirect_uri": redirect}
    assert "id_token" in await party.ask("authorization_code", **form)
    assert "error" in await party.ask("authorization_code", **form)


async def test_refresh_rotates_the_token_and_brings_an_id_token_or_not(party: RelyingParty) -> None:
    features = party.idp.features
    first = await party.tokens("alice")
    assert ("refresh_token" in first) is features.refresh_token
    second = await party.ask("refresh_token", refresh_token=first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert ("id_token" in second) is features.refresh_id_token
    assert "error" in await party.ask("refresh_token", refresh_token=first["refresh_token"])


async def test_refresh_of_somebody_who_was_let_go(party: RelyingParty, restored: RunningProvider) -> None:
    tokens = await party.tokens("alice")
    await restored.dismiss("alice")
    answer = await party.ask("refresh_token", refresh_token=tokens["refresh_token"])
    assert answer.get("error") == party.idp.features.refresh_error_of_the_dismissed


async def test_userinfo_after_a_refresh_tells_the_groups_of_now(party: RelyingParty, restored: RunningProvider) -> None:
    tokens = await party.tokens("alice")
    await restored.regroup("alice", ("compliance",))
    fresh = await party.ask("refresh_token", refresh_token=tokens["refresh_token"])
    bearer = {"authorization": f"Bearer {fresh['access_token']}"}
    found = (await party.browser.get((await party.discovery())["userinfo_endpoint"], headers=bearer)).json()
    assert found["groups"] == ["compliance"]


async def test_device_flow_gives_an_access_token_for_the_gateway_or_is_not_offered(party: RelyingParty) -> None:
    offered = "device_authorization_endpoint" in await party.discovery()
    assert offered is party.idp.features.device_flow
    if offered:
        token = (await party.device_tokens("alice"))["access_token"]
        assert header(token)["typ"] == "at+jwt"
        claims = payload(token)
        assert claims["aud"] == party.idp.resource
        assert ("amr" in claims) is party.idp.features.access_token_shows_factors
        assert claims["groups"] == (["staff"] if party.idp.features.access_token_groups == "list" else "staff")


async def test_program_gets_a_token_by_its_key_or_there_is_no_such_thing(party: RelyingParty) -> None:
    methods = (await party.discovery()).get("token_endpoint_auth_methods_supported", [])
    answer = await party.robot_token() if party.idp.robot_key_path.exists() else {}
    assert ("access_token" in answer) is party.idp.features.private_key_jwt, answer
    if party.idp.features.private_key_jwt:
        assert "private_key_jwt" in methods
        claims = payload(answer["access_token"])
        assert header(answer["access_token"])["typ"] == "at+jwt"
        assert claims["client_id"] == ROBOT_CLIENT
        assert claims["aud"] == party.idp.resource


async def test_discovery_offers_back_channel_logout_or_not(party: RelyingParty) -> None:
    said = (await party.discovery()).get("backchannel_logout_supported") is True
    assert said is party.idp.features.says_back_channel_logout
