"""What every identity provider has to let us do, run against real ones. Today canaille; others join by a fixture."""

from __future__ import annotations

from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.vocabulary import Code, Event
from tests.contract.identity.conftest import House
from tests.support.idp import PUBLIC_URL, SignInStopped, follow, sign_in

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

SESSION = "__Host-imprimatur-session"


async def session_of(browser: httpx.AsyncClient) -> dict[str, object]:
    return dict((await browser.get("/v1/session")).raise_for_status().json())


async def unsafe(browser: httpx.AsyncClient) -> dict[str, str]:
    return {"x-csrf-token": str((await session_of(browser))["csrf_token"]), "origin": PUBLIC_URL}


async def come_back(browser: httpx.AsyncClient, house: House, name: str, start: str) -> str:
    """Through the provider's forms, stopping in front of our callback: its address, with the code in it."""

    async def stop(request: httpx.Request) -> None:
        if request.url.path.startswith("/auth/callback/"):
            raise _AtTheCallback(str(request.url))

    browser.event_hooks = {"request": [stop]}
    try:
        await follow(browser, start, PUBLIC_URL, house.idp.people[name])
    except _AtTheCallback as reached:
        return reached.address
    finally:
        browser.event_hooks = {}
    raise AssertionError("the provider did not send the person back")


class _AtTheCallback(Exception):
    def __init__(self, address: str) -> None:
        super().__init__("at the callback")
        self.address = address


async def test_employee_signs_in_with_password_and_totp(house: House) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"], return_to="/studio?draft=1")
        found = await session_of(browser)
    assert found["actor"] == "canaille|alice"
    assert found["name"] == "Alice Marsh"
    assert found["roles"] == ["employee"]
    assert isinstance(found["mfa_age_seconds"], int)
    assert found["mfa_age_seconds"] < 30
    person = await house.services.identity.people.find("canaille|alice")  # type: ignore[arg-type]
    assert person is not None
    assert (person.department, person.email, person.groups) == ("Design", "alice@example.com", ("staff",))


async def test_person_comes_back_to_where_they_wanted_to_go(house: House) -> None:
    async with house.browser() as browser:
        start = f"{PUBLIC_URL}/auth/sign-in?provider=canaille&return_to=/audit/records%3Fq%3Dx"
        answer = await follow(browser, start, PUBLIC_URL, house.idp.people["bob"])
    assert answer.status_code == 303
    assert answer.headers["location"] == "/audit/records?q=x"


async def test_session_cookie_has_every_flag_and_the_sign_in_cookie_is_gone(house: House) -> None:
    async with house.browser() as browser:
        start = f"{PUBLIC_URL}/auth/sign-in?provider=canaille"
        answer = await follow(browser, start, PUBLIC_URL, house.idp.people["alice"])
        set_ = [SimpleCookie(header) for header in answer.headers.get_list("set-cookie")]
        session = next(cookie[SESSION] for cookie in set_ if SESSION in cookie)
        gone = next(morsel for cookie in set_ for name, morsel in cookie.items() if "sign-in" in name)
        assert not any("sign-in" in cookie.name for cookie in browser.cookies.jar)
    assert session["secure"]
    assert session["httponly"]
    assert session["samesite"].lower() == "lax"
    assert session["path"] == "/"
    assert session["domain"] == ""
    assert gone["max-age"] == "0"
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("name", "roles"),
    [("bob", ["auditor"]), ("erin", ["admin"]), ("pat", ["policy-author"]), ("dave", []), ("frank", [])],
)
async def test_roles_come_from_the_groups_and_a_conflicting_pair_gives_neither(
    house: House, name: str, roles: list[str]
) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people[name])
        assert (await session_of(browser))["roles"] == roles


async def test_person_without_a_second_factor_is_refused_and_told_what_to_do(house: House) -> None:
    async with house.browser() as browser:
        with pytest.raises(SignInStopped, match="authenticator app") as stopped:
            await sign_in(browser, PUBLIC_URL, house.idp.people["carol"])
        assert stopped.value.response.status_code == 401
        assert (await browser.get("/v1/session")).status_code == 401
    row = (await house.records(Event.SIGN_IN_REFUSED))[0]
    assert (row.effect, row.reasons) == ("deny", (Code.MFA_MISSING,))
    assert (await house.content_of(row))["actor"] == "canaille|carol"


async def test_wrong_password_and_wrong_code_never_reach_us(house: House) -> None:
    alice = house.idp.people["alice"]
    for wrong in ({"password": "wrong"}, {"totp_secret": "A" * 32}):
        attacker = type(alice)(**{f: getattr(alice, f) for f in alice.__slots__} | wrong)
        async with house.browser() as browser:
            with pytest.raises(SignInStopped, match="did not accept"):
                await sign_in(browser, PUBLIC_URL, attacker)
    assert not await house.records(Event.SIGN_IN)
    assert not await house.records(Event.SIGN_IN_REFUSED)


async def test_sign_in_is_on_the_record_with_its_evidence_and_no_secret(house: House) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        cookie = browser.cookies[SESSION]
    row = (await house.records(Event.SIGN_IN))[0]
    content = await house.content_of(row)
    assert row.subject is not None
    assert row.subject.actor == "canaille|alice"
    assert content["amr"] == ["pwd", "otp", "mfa"]
    assert content["roles"] == ["employee"]
    assert cookie not in repr(content)


async def test_nobody_comes_in_while_the_log_can_not_be_written(doomed_house: House) -> None:
    await doomed_house.services.audit.aclose()
    async with doomed_house.browser() as browser:
        with pytest.raises(SignInStopped) as stopped:
            await sign_in(browser, PUBLIC_URL, doomed_house.idp.people["alice"])
        assert stopped.value.response.status_code == 503
        assert SESSION not in browser.cookies


async def test_code_works_once_and_only_in_the_browser_that_began(house: House) -> None:
    async with house.browser() as browser, house.browser() as other:
        callback = await come_back(browser, house, "alice", f"{PUBLIC_URL}/auth/sign-in?provider=canaille")
        stolen = await other.get(callback)
        assert stolen.status_code == 401
        assert stolen.json()["error"]["code"] == "sign_in_refused"
        kept = [(c.name, c.value) for c in browser.cookies.jar if "sign-in" in c.name]
        assert (await browser.get(callback)).status_code == 303
        for name, value in kept:
            browser.cookies.set(name, value, domain="imprimatur.example")
        assert (await browser.get(callback)).status_code == 401
    codes = [row.reasons for row in await house.records(Event.SIGN_IN_REFUSED)]
    assert codes == [(Code.SUBJECT_SIGN_IN_INVALID,)] * 2


async def test_parameter_given_twice_is_not_used(house: House) -> None:
    async with house.browser() as browser:
        callback = await come_back(browser, house, "alice", f"{PUBLIC_URL}/auth/sign-in?provider=canaille")
        assert (await browser.get(f"{callback}&code=another")).status_code == 401


async def test_sign_in_whose_pkce_challenge_was_removed_on_the_way_fails(house: House) -> None:
    async with house.browser() as browser:
        away = (await browser.get("/auth/sign-in?provider=canaille")).headers["location"]
        bare = httpx.URL(away).copy_remove_param("code_challenge").copy_remove_param("code_challenge_method")
        callback = await come_back(browser, house, "alice", str(bare))
        # Either the provider says no at once, or our exchange shows a verifier for which it never saw a challenge.
        assert (await browser.get(callback)).status_code == 401


async def test_step_up_asks_for_the_second_factor_again_and_rotates_the_session(house: House) -> None:
    async with house.browser() as browser:
        alice = house.idp.people["alice"]
        await sign_in(browser, PUBLIC_URL, alice)
        before = browser.cookies[SESSION]
        away = (await browser.get("/auth/step-up?max_age=300&return_to=/keys")).headers["location"]
        asked = parse_qs(urlsplit(away).query)
        assert asked["prompt"] == ["login"]
        page = await browser.get(away, follow_redirects=True)
        assert page.url.path == "/auth/password"
        answer = await follow(browser, f"{PUBLIC_URL}/auth/step-up?max_age=300&return_to=/keys", PUBLIC_URL, alice)
        assert answer.headers["location"] == "/keys"
        assert browser.cookies[SESSION] != before
        browser.cookies.delete(SESSION)
        old = await browser.get("/v1/session", headers={"cookie": f"{SESSION}={before}"})
        assert old.status_code == 401
    assert len(await house.records(Event.STEP_UP)) == 1


async def test_step_up_without_a_session_is_refused(house: House) -> None:
    async with house.browser() as browser:
        assert (await browser.get("/auth/step-up")).status_code == 401


async def test_sign_out_ends_the_session_here_and_leads_to_the_providers_logout(house: House) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        cookie = browser.cookies[SESSION]
        assert (await browser.post("/auth/sign-out", headers={"origin": PUBLIC_URL})).status_code == 403
        token = (await session_of(browser))["csrf_token"]
        out = await browser.post("/auth/sign-out", data={"csrf_token": token}, headers={"origin": PUBLIC_URL})
        assert out.status_code == 303
        assert out.headers["location"].startswith(f"{house.idp.issuer}/oauth/end_session?")
        assert SESSION not in browser.cookies
        again = await browser.get("/v1/session", headers={"cookie": f"{SESSION}={cookie}"})
        assert again.status_code == 401
        page = await browser.get(out.headers["location"])
        assert page.status_code == 302  # the hint says whose session it is, so nobody is asked
        assert page.headers["location"].startswith(f"{PUBLIC_URL}/signed-out")
    assert len(await house.records(Event.SIGN_OUT)) == 1


async def test_key_is_minted_used_listed_and_revoked(house: House) -> None:
    async with house.browser() as browser, house.browser() as program:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        proof = await unsafe(browser)
        body = {"name": "script", "scopes": ["model:list", "credit:read"], "days": 7}
        assert (await browser.post("/v1/keys", json=body)).status_code == 403
        minted = await browser.post("/v1/keys", json=body, headers=proof)
        assert minted.status_code == 201
        made = minted.json()
        bearer = {"authorization": f"Bearer {made['key']}"}
        found = (await program.get("/v1/session", headers=bearer)).raise_for_status().json()
        assert found["roles"] == ["employee"]
        assert found["csrf_token"] == ""
        listed = (await browser.get("/v1/keys")).json()["data"]
        assert [row["id"] for row in listed] == [made["id"]]
        assert made["key"] not in repr(listed)
        assert (await program.get("/v1/keys", headers=bearer)).status_code == 403
        assert (await program.post("/v1/keys", json=body, headers=bearer)).status_code == 403
        assert (await browser.delete(f"/v1/keys/{made['id']}")).status_code == 403
        assert (await browser.delete(f"/v1/keys/{made['id']}", headers=proof)).json()["deleted"] is True
        assert (await program.get("/v1/session", headers=bearer)).status_code == 401
    for event in (Event.KEY_MINT, Event.KEY_REVOKE):
        row = (await house.records(event))[0]
        content = await house.content_of(row)
        assert content["key"] == made["id"]
        assert made["key"][20:] not in repr(content)


async def test_no_key_is_made_while_the_log_can_not_be_written_and_one_is_still_revoked(doomed_house: House) -> None:
    async with doomed_house.browser() as browser, doomed_house.browser() as program:
        await sign_in(browser, PUBLIC_URL, doomed_house.idp.people["alice"])
        proof = await unsafe(browser)
        body = {"name": "script", "scopes": ["model:list"], "days": 7}
        made = (await browser.post("/v1/keys", json=body, headers=proof)).json()
        await doomed_house.services.audit.aclose()
        assert (await browser.post("/v1/keys", json=body, headers=proof)).status_code == 503
        assert [row["id"] for row in (await browser.get("/v1/keys")).json()["data"]] == [made["id"]]
        assert (await browser.delete(f"/v1/keys/{made['id']}", headers=proof)).status_code == 503
        bearer = {"authorization": f"Bearer {made['key']}"}
        assert (await program.get("/v1/session", headers=bearer)).status_code == 401


async def test_person_without_a_role_makes_no_key(house: House) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["dave"])
        answer = await browser.post("/v1/keys", json={"name": "x"}, headers=await unsafe(browser))
    assert answer.status_code == 403


async def test_provider_access_token_is_not_accepted_where_none_is_set_up(house: House) -> None:
    async with house.browser() as browser:
        token = await browser.post(
            f"{house.idp.issuer}/oauth/token",
            data={"grant_type": "password", "username": "alice", "password": house.idp.people["alice"].password},
            auth=("imprimatur", house.idp.client_secret_path.read_text()),
        )
        assert token.status_code == 400  # the grant that would skip the second factor is not ours
        metadata = (await browser.get("/.well-known/oauth-protected-resource")).json()
    assert metadata["resource"] == PUBLIC_URL
    assert "authorization_servers" not in metadata
