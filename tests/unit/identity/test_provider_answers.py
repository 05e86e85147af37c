"""What a provider may answer, and what it may not: each odd answer against one check of `discovery` and `oidc`."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse

from gateway.errors import IdentityUnavailable
from gateway.identity import SignInRefused
from gateway.identity.discovery import MAX_DOCUMENT_BYTES, Discovery, client, fetch_object
from gateway.identity.oidc import OidcProvider
from gateway.settings import IdentitySettings
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import Visit

ELSEWHERE = "https://issuer.example"


def answering(status: int = 200, **answer: Any) -> httpx2.AsyncClient:
    """A client whose every request is answered with this."""
    return httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(status, **answer)))


def document(issuer: str = ELSEWHERE, **members: Any) -> dict[str, Any]:
    """What discovery must have, and no more."""
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return {"issuer": issuer, **{name: f"{issuer}/{name}" for name in names}, **members}


async def test_an_object_is_read() -> None:
    async with answering(json={"keys": []}) as http:
        assert await fetch_object(http, ELSEWHERE) == {"keys": []}


@pytest.mark.parametrize("status", [201, 204, 302, 404, 500])
async def test_an_object_under_another_status_is_not_read(status: int) -> None:
    async with answering(status, json={"keys": []}) as http:
        with pytest.raises(IdentityUnavailable):
            await fetch_object(http, ELSEWHERE)


async def test_a_document_beyond_the_bound_is_not_read() -> None:
    async with answering(content=json.dumps({"pad": "x" * MAX_DOCUMENT_BYTES}).encode()) as http:
        with pytest.raises(IdentityUnavailable):
            await fetch_object(http, ELSEWHERE)


@pytest.mark.parametrize("text", ["[]", '["keys"]', "null", "7", '"keys"'])
async def test_what_is_no_object_is_not_read(text: str) -> None:
    async with answering(content=text.encode()) as http:
        with pytest.raises(IdentityUnavailable):
            await fetch_object(http, ELSEWHERE)


async def test_addresses_that_a_provider_need_not_have_may_be_missing(moment: Moment) -> None:
    async with answering(json=document()) as http:
        metadata = await Discovery(ELSEWHERE, http, moment).metadata()
    assert (metadata.userinfo_endpoint, metadata.end_session_endpoint, metadata.revocation_endpoint) == ("", "", "")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/token",  # plain, while the issuer itself is not on this machine
        "ftp://127.0.0.1/token",
        "http://issuer.example/token",
        "https:///token",
        "javascript:alert(1)",
        "",
        7,
    ],
)
async def test_an_address_that_is_not_safe_is_refused(address: Any, moment: Moment) -> None:
    async with answering(json=document(token_endpoint=address)) as http:
        with pytest.raises(IdentityUnavailable):
            await Discovery(ELSEWHERE, http, moment).metadata()


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/token", "gopher://localhost/token", "http://10.0.0.1/token"])
async def test_an_issuer_on_this_machine_may_only_name_plain_http_here(address: str, moment: Moment) -> None:
    async with answering(json=document("http://127.0.0.1:9", token_endpoint=address)) as http:
        with pytest.raises(IdentityUnavailable):
            await Discovery("http://127.0.0.1:9", http, moment).metadata()


async def test_a_provider_that_names_no_issuer_in_its_answers_is_believed_without(visit: Visit, issuer: Issuer) -> None:
    issuer.lies.discovery = {"authorization_response_iss_parameter_supported": None}
    answer = issuer.approve(await visit.depart())
    del answer["iss"]
    assert await visit.arrive(answer) == "/studio"


@pytest.mark.parametrize("code", ["", "c" * 4097])
async def test_a_code_that_can_be_none_is_not_taken_to_the_provider(code: str, visit: Visit, issuer: Issuer) -> None:
    answer = issuer.approve(await visit.depart())
    with pytest.raises(SignInRefused):
        await visit.arrive(answer | {"code": code})
    assert "/token" not in issuer.asked


@pytest.mark.parametrize("bearer", [None, 7, "", "two\nlines", "é"])
async def test_person_is_not_looked_up_with_what_is_no_access_token(bearer: Any, visit: Visit, issuer: Issuer) -> None:
    issuer.person = {"sub": "alice", "amr": ["pwd", "otp"]}  # their groups stand in the userinfo answer alone
    issuer.userinfo = {"groups": ["staff"], "name": "Alice"}
    answer = issuer.approve(await visit.depart())
    true = issuer._tokens(issuer.person | {"nonce": issuer._codes[answer["code"]]["nonce"], "auth_time": issuer.now()})
    issuer.lies.token_answer = lambda: JSONResponse(true | {"access_token": bearer})
    with pytest.raises(SignInRefused):
        await visit.arrive(answer)
    assert "/userinfo" not in issuer.asked


@pytest.fixture
async def oidc(settings: IdentitySettings, issuer: Issuer, moment: Moment) -> AsyncIterator[OidcProvider]:
    tls = ssl.create_default_context()
    async with client(tls) as http:
        yield OidcProvider(
            settings.providers[0],
            settings,
            redirect_uri="https://imprimatur.example/auth/callback/company",
            http=http,
            tls=tls,
            clock=moment,
        )


async def test_a_refresh_token_is_given_back(
    oidc: OidcProvider, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    await oidc.revoke("refresh-1")
    assert issuer.revoked == ["refresh-1"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_nothing_is_asked_of_a_provider_that_takes_no_tokens_back(
    oidc: OidcProvider, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.lies.discovery = {"revocation_endpoint": None}
    await oidc.revoke("refresh-1")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_the_log_tells_of_a_token_that_the_provider_may_still_take(
    oidc: OidcProvider, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.lies.revocation_status = 202
    await oidc.revoke("refresh-1")
    assert "sign-out.token-not-given-back" in [record.message for record in caplog.records]


async def test_where_a_provider_ends_its_session(oidc: OidcProvider) -> None:
    address = await oidc.logout_url("https://imprimatur.example/")
    assert address is not None
    assert "/end?realm=a&" in address


async def test_there_is_nowhere_to_go_when_the_provider_has_no_such_page(oidc: OidcProvider, issuer: Issuer) -> None:
    issuer.lies.discovery = {"end_session_endpoint": None}
    assert await oidc.logout_url("https://imprimatur.example/") is None
