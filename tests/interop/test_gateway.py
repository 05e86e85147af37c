"""The gateway before three real providers: signing in, stepping up, being asked about again, signing out.

Where a provider can't do a thing, the test asserts what happens instead: nothing is skipped. `Features` says which.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from demo.idp.browserless import SignInStopped
from gateway.identity.recheck import AWAY_SECONDS
from gateway.vocabulary import Code, Event
from tests.interop.conftest import House
from tests.interop.relying_party import NOBODY, RelyingParty
from tests.support.providers import RunningProvider, follow, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION = "imprimatur-session"


async def enter(house: House, browser: httpx.AsyncClient, name: str) -> None:
    await sign_in(browser, house.idp, house.url, house.idp.people[name])


async def session_of(browser: httpx.AsyncClient) -> dict[str, object]:
    return dict((await browser.get("/v1/session")).raise_for_status().json())


async def sign_out(house: House, browser: httpx.AsyncClient) -> str:
    """Sign out at the gateway; where it then sends the person."""
    token = (await session_of(browser))["csrf_token"]
    out = await browser.post("/auth/sign-out", data={"csrf_token": token}, headers={"origin": house.url})
    assert out.status_code == 303
    return str(out.headers["location"])


async def is_known_at_the_provider(house: House, browser: httpx.AsyncClient) -> bool:
    """Whether its own session still answers for alice: a wrong password is then not asked for."""
    forgetful = replace(house.idp.people["alice"], password="wrong")
    try:
        await sign_in(browser, house.idp, house.url, forgetful)
    except SignInStopped:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "roles"),
    [("alice", ["employee"]), ("bob", ["auditor"]), ("erin", ["admin"]), ("dave", []), ("frank", [])],
)
async def test_person_signs_in_with_two_factors_and_has_the_roles_of_their_groups(
    house: House, name: str, roles: list[str]
) -> None:
    async with house.browser() as browser:
        await enter(house, browser, name)
        found = await session_of(browser)
    assert str(found["actor"]).startswith(f"{house.idp.name}|")
    assert found["name"] == house.idp.people[name].display_name
    assert found["roles"] == roles
    assert isinstance(found["mfa_age_seconds"], int)
    assert found["mfa_age_seconds"] < 30
    row = (await house.records(Event.SIGN_IN))[0]
    content = await house.content_of(row)
    assert tuple(content["amr"]) == house.idp.features.amr
    assert content["acr"] == (house.idp.features.acr or "")


async def test_person_with_a_password_alone_is_refused(house: House) -> None:
    async with house.browser() as browser:
        with pytest.raises(SignInStopped) as stopped:
            await enter(house, browser, "carol")
        assert stopped.value.response.status_code == 401
        assert (await browser.get("/v1/session")).status_code == 401
    row = (await house.records(Event.SIGN_IN_REFUSED))[0]
    assert (row.effect, row.reasons) == ("deny", (Code.MFA_MISSING,))


async def test_wrong_password_and_wrong_code_stop_at_the_provider(house: House) -> None:
    alice = house.idp.people["alice"]
    for wrong in (replace(alice, password="wrong"), replace(alice, totp_secret="A" * 32)):
        async with house.browser() as browser:
            with pytest.raises(SignInStopped, match="did not accept"):
                await sign_in(browser, house.idp, house.url, wrong)
    assert not await house.records(Event.SIGN_IN)


async def test_step_up_asks_for_both_factors_again_and_rotates_the_session(house: House) -> None:
    alice = house.idp.people["alice"]
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        before = browser.cookies[SESSION]
        start = f"{house.url}/auth/step-up?max_age=300&return_to=/keys"
        for wrong in (replace(alice, password="wrong"), replace(alice, totp_secret="A" * 32)):
            with pytest.raises(SignInStopped, match="did not accept"):
                await follow(browser, house.idp, house.url, start, wrong)
        assert not await house.records(Event.STEP_UP)
        back = await follow(browser, house.idp, house.url, start, alice)
        assert back.headers["location"] == "/keys"
        assert browser.cookies[SESSION] != before
    async with house.browser() as other:
        assert (await other.get("/v1/session", headers={"cookie": f"{SESSION}={before}"})).status_code == 401
    assert len(await house.records(Event.STEP_UP)) == 1


async def test_recheck_of_somebody_who_is_still_there_changes_nothing(house: House) -> None:
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        for _ in range(2):  # the second time with the refresh token that the first one brought
            await house.last_asked(700)
            assert (await session_of(browser))["roles"] == ["employee"]
            assert await house.seconds_since_asked() < 60
    assert not await house.records(Event.SESSION_LAPSE)


async def test_recheck_of_somebody_who_was_let_go(
    house: House, restored: RunningProvider, caplog: pytest.LogCaptureFixture
) -> None:
    refused_with = house.idp.features.refresh_error_of_the_dismissed
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        await restored.dismiss("alice")
        await house.last_asked(700)
        status = (await browser.get("/v1/session")).status_code
        if refused_with == "invalid_grant":
            assert status == 401  # at once
            assert (await house.records(Event.SESSION_LAPSE))[0].reasons == (Code.SUBJECT_LAPSED,)
        elif refused_with is not None:
            # Its answer blames our request: taken for a provider that is unwell, which closes the door a little later.
            assert status == 200
            await house.last_asked(1300)
            await asyncio.sleep(AWAY_SECONDS)  # it is not asked about the same session at once
            assert (await browser.get("/v1/session")).status_code == 503
            assert [record.message for record in caplog.records].count("recheck.refused") == 2
        else:
            assert status == 200  # it goes on giving tokens: only SCIM or its logout end the session before its time
        with pytest.raises(SignInStopped):
            async with house.browser() as another:
                await enter(house, another, "alice")


async def test_recheck_of_somebody_whose_groups_changed_ends_the_session(
    house: House, restored: RunningProvider
) -> None:
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        await restored.regroup("alice", ("compliance",))
        await house.last_asked(700)
        assert (await browser.get("/v1/session")).status_code == 401
        await enter(house, browser, "alice")
        assert (await session_of(browser))["roles"] == ["auditor"]


async def test_sign_out_ends_both_sessions_and_comes_back(house: House) -> None:
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        cookie = browser.cookies[SESSION]
        away = await sign_out(house, browser)
        asked = parse_qs(urlsplit(away).query)
        assert asked["post_logout_redirect_uri"] == [f"{house.url}/signed-out"]
        end = await follow(browser, house.idp, house.url, away, house.idp.people["alice"])
        landed = end.headers.get("location", str(end.url))
        assert landed.startswith(f"{house.url}/signed-out")
        assert (await browser.get("/v1/session", headers={"cookie": f"{SESSION}={cookie}"})).status_code == 401
        assert not await is_known_at_the_provider(house, browser)


async def test_sign_out_at_the_provider_ends_the_session_here_where_it_tells_us(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.browser() as browser:
        await enter(house, browser, "alice")
        party = RelyingParty(house.idp, browser)
        hint = (await party.tokens("alice"))["id_token"]
        query = urlencode({"id_token_hint": hint})
        end = f"{(await party.discovery())['end_session_endpoint']}?{query}"
        await follow(browser, house.idp, NOBODY, end, house.idp.people["alice"])
        outcome = house.idp.features.back_channel_logout
        for _ in range(50):  # it tells us when it gets to it
            answer = await browser.get("/v1/session")
            if answer.status_code == 401 or outcome != "ends":
                break
            await asyncio.sleep(0.1)
    assert answer.status_code == (401 if outcome == "ends" else 200)
    assert len(await house.records(Event.SESSION_REVOKE)) == (1 if outcome == "ends" else 0)
    assert ("logout-token.refused" in [record.message for record in caplog.records]) is (outcome == "refused")


async def test_access_token_of_the_device_flow_opens_what_its_claims_show(house: House) -> None:
    async with house.browser() as browser, house.browser() as program:
        party = RelyingParty(house.idp, browser)
        features = house.idp.features
        if features.jwt_access_token:
            token = (await party.device_tokens("alice"))["access_token"]
        else:
            token = (await party.tokens("alice"))["access_token"]
        answer = await program.get("/v1/session", headers={"authorization": f"Bearer {token}"})
        if not features.jwt_access_token:
            assert answer.status_code == 401  # not typed as an access token, and for another audience
            return
        found = answer.raise_for_status().json()
        has_list = features.access_token_groups == "list"
        assert found["roles"] == (["employee"] if has_list else [])
        assert (found["mfa_age_seconds"] is not None) is features.access_token_shows_factors


async def test_id_token_is_no_access_token(house: House) -> None:
    async with house.browser() as browser, house.browser() as program:
        token = (await RelyingParty(house.idp, browser).tokens("alice"))["id_token"]
        answer = await program.get("/v1/session", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
