"""The doors as HTTP knows them: back-channel logout, signing out at the provider, coming back to a form intact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import update

from gateway.identity.tables import sessions
from tests.support import forge
from tests.support.front_door import URL, FrontDoor, open_front_door, path_of
from tests.support.issuer import Issuer, running_issuer

pytestmark = [pytest.mark.xdist_group("front-door"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FrontDoor]:
    async with open_front_door(tmp_path_factory.mktemp("door"), issuer, acr_values="urn:example:two") as door:
        yield door


@pytest.fixture
def door(opened: FrontDoor, issuer: Issuer) -> FrontDoor:
    issuer.forget()
    return opened


def order(door: FrontDoor, **claims: Any) -> str:
    made = forge.good_claims("logout-token", int(door.services.clock().timestamp()), door.issuer.url) | claims
    return forge.token(forge.good_header("logout-token"), {k: v for k, v in made.items() if v is not None})


async def forget_second_factor(door: FrontDoor) -> None:
    async with door.services.database.transaction() as tx:
        await tx.execute(update(sessions).values(mfa_at=None))


async def test_back_channel_logout_ends_the_session_and_is_recorded(door: FrontDoor) -> None:
    async with door.browser() as alice, door.browser() as provider:
        await door.sign_in(alice, "anna", sid="s-1")
        token = order(door, sub="anna", sid="s-1", jti="http-1")
        answer = await provider.post("/auth/back-channel-logout/company", data={"logout_token": token})
        assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
        assert (await alice.get("/v1/session")).status_code == 401
    row = (await door.records("auth:session:revoke"))[0]
    content = await door.content_of(row)
    assert (content["provider"], content["actor"], content["everywhere"]) == ("company", "company|anna", False)
    assert len(content["credentials"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "logout_token=",
        "logout_token=a.b.c",
        "logout_token={good}&logout_token={good}",
        "other={good}",
        "logout_token=" + "a" * 20_000,
        "logout_token=%ff",
        b"\xff",
    ],
)
async def test_what_is_no_logout_token_is_a_400_as_the_specification_writes_it(
    door: FrontDoor, body: str | bytes
) -> None:
    if isinstance(body, str):
        body = body.replace("{good}", order(door, jti="http-2")).encode()
    async with door.browser("192.0.2.1") as provider:
        answer = await provider.post(
            "/auth/back-channel-logout/company",
            content=body,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["error_description"]
    assert "no-store" in answer.headers["cache-control"]


async def test_refused_orders_are_told_once_a_minute_and_their_sender_has_to_wait(door: FrontDoor) -> None:
    before = len(await door.records("auth:logout:refuse"))
    async with door.browser("192.0.2.2") as stranger:
        answers = [
            (await stranger.post("/auth/back-channel-logout/company", data={"logout_token": "a.b.c"})).status_code
            for _ in range(40)
        ]
        assert set(answers) == {400, 429}
        async with door.browser() as alice:
            await door.sign_in(alice, "ada", sid="s-7")
            good = order(door, sub="ada", sid="s-7", jti="http-7")  # judged first: it passes whoever floods from there
            answer = await stranger.post("/auth/back-channel-logout/company", data={"logout_token": good})
            assert answer.status_code == 200
            assert (await alice.get("/v1/session")).status_code == 401
    assert len(await door.records("auth:logout:refuse")) <= before + 1
    assert await door.records("auth:logout:refuse")


async def test_session_cookie_or_foreign_page_neither_helps_nor_hinders_an_order(door: FrontDoor) -> None:
    """The token is the only credential here: no cookie is looked at, so there is nothing to forge across sites."""
    async with door.browser() as alice:
        await door.sign_in(alice, sid="s-2")
        token = order(door, sub="bob", sid="s-9", jti="http-3")
        answer = await alice.post(
            "/auth/back-channel-logout/company",
            data={"logout_token": token},
            headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        )
        assert answer.status_code == 200
        assert (await alice.get("/v1/session")).status_code == 200


async def test_signing_out_goes_on_to_the_provider_with_the_id_token_and_comes_back(door: FrontDoor) -> None:
    door.issuer.gives_refresh_tokens = True
    async with door.browser() as alice:
        await door.sign_in(alice, "amy")
        headers = await door.page_headers(alice)
        answer = await alice.post("/auth/sign-out", headers=headers)
        away = answer.headers["location"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
        assert away.startswith(door.issuer.url + "/end?")
        assert asked["id_token_hint"].count(".") == 2
        assert (asked["client_id"], asked["post_logout_redirect_uri"]) == ("imprimatur", f"{URL}/signed-out")
        back = await alice.get(path_of(asked["post_logout_redirect_uri"]), params={"state": asked["state"]})
        assert back.status_code == 200
        assert "You are signed out" in back.text
    assert len(door.issuer.revoked) == 1


async def test_session_that_lapsed_is_on_record_with_whose_and_why(door: FrontDoor) -> None:
    door.issuer.gives_refresh_tokens = True
    async with door.browser() as alice:
        await door.sign_in(alice, "alma")
        door.issuer.no_longer = "invalid_grant"
        async with door.services.database.transaction() as tx:
            long_ago = door.services.clock().replace(year=2020)
            await tx.execute(update(sessions).values(checked_at=long_ago))
        answer = await alice.get("/v1/session")
        assert answer.status_code == 401, answer.text
    row = (await door.records("auth:session:lapse"))[0]
    assert (row.effect, row.reasons, row.subject.actor) == ("deny", ("subject.lapsed",), "company|alma")
    content = await door.content_of(row)
    assert content["cause"] == "invalid_grant"
    assert "refresh-" not in str(content)


async def test_own_sessions_show_where_from_and_with_what(door: FrontDoor) -> None:
    firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
    async with door.browser(**{"user-agent": firefox}) as alice:
        await door.sign_in(alice, "dora")
        found = (await alice.get("/account", headers={"accept": "application/json"})).json()["sessions"]
    assert [(one["network"], one["device"]) for one in found] == [("127.0.0.1", "Firefox on Windows")]


async def test_form_that_needs_a_fresh_second_factor_comes_back_as_it_was(door: FrontDoor) -> None:
    why = "Order 17/26 of the district court, “urgent”"
    html = {"accept": "text/html"}
    async with door.browser() as bob:
        await door.sign_in(bob, "bob", "compliance")
        await forget_second_factor(door)
        proof = await door.page_headers(bob)
        form = {"csrf_token": proof.pop("x-csrf-token"), "kind": "abuse", "reason": why, "actor": "company|eve"}
        sent = await bob.post("/holds", data=form, headers={**proof, **html, "referer": f"{URL}/holds/new"})
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("/auth/step-up?")
        away = await bob.get(sent.headers["location"])
        back = await door.walk(bob, away)
        assert back.headers["location"] == "/holds/new"
        page = (await bob.get("/holds/new", headers=html)).text
        assert why in page
        assert 'value="company|eve"' in page
        assert 'value="abuse" required="" checked=""' in page or 'value="abuse" checked=""' in page
        assert "send it again" in page
        again = (await bob.get("/holds/new", headers=html)).text
        assert why not in again  # once
        assert (await bob.get("/holds", headers={"accept": "application/json"})).json()["holds"] == []  # not sent


async def test_draft_of_one_person_is_not_shown_to_the_next_at_the_same_machine(door: FrontDoor) -> None:
    html = {"accept": "text/html"}
    async with door.browser() as shared:
        await door.sign_in(shared, "bob", "compliance")
        await forget_second_factor(door)
        proof = await door.page_headers(shared)
        form = {"csrf_token": proof.pop("x-csrf-token"), "reason": "what bob wrote about somebody"}
        await shared.post("/holds", data=form, headers={**proof, **html, "referer": f"{URL}/holds/new"})
        await door.sign_in(shared, "berta", "compliance")
        assert "what bob wrote" not in (await shared.get("/holds/new", headers=html)).text


async def test_program_that_needs_a_fresh_second_factor_is_told_how_to_get_one(door: FrontDoor) -> None:
    """RFC 9470, section 3, and RFC 9728, section 5.1; the address is ours, whatever Host the request names."""
    async with door.browser() as bob:
        await door.sign_in(bob, "bob", "compliance")
        await forget_second_factor(door)
        answer = await bob.get("/v1/organization/audit_logs", headers={"host": "evil.example"})
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'max_age="900"' in challenge
    assert 'acr_values="urn:example:two"' in challenge
    assert f'resource_metadata="{URL}/.well-known/oauth-protected-resource"' in challenge


async def test_sign_in_page_names_every_provider(door: FrontDoor) -> None:
    async with door.browser() as stranger:
        page = (await stranger.get("/welcome", headers={"accept": "text/html"})).text
    assert "/auth/sign-in?provider=company" in page
    assert "The Company" in page
