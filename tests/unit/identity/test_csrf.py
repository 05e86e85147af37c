from __future__ import annotations

import itertools

import pytest

from gateway.errors import Denied, Unauthenticated
from gateway.exchange import Credentials
from gateway.identity import Identity
from gateway.identity.csrf import CsrfGuard
from tests.support.visit import HERE, Visit

HOME = "https://imprimatur.example"
SESSION = "S" * 43
GUARD = CsrfGuard(b"k" * 32, HOME)

ORIGINS = {"ours": HOME, "absent": None, "null": "null", "other": "https://evil.example", "port": f"{HOME}:8443"}
SITES = {
    "same-origin": "same-origin",
    "absent": None,
    "same-site": "same-site",
    "cross-site": "cross-site",
    "none": "none",
}
TOKENS = {"right": GUARD.token(SESSION), "absent": None, "empty": "", "of another session": GUARD.token("T" * 43)}


@pytest.mark.parametrize(("origin", "site", "token"), itertools.product(ORIGINS, SITES, TOKENS))
def test_unsafe_request_needs_a_place_of_ours_and_the_right_token(origin: str, site: str, token: str) -> None:
    expected = (
        origin in ("ours", "absent")
        and site in ("same-origin", "absent")
        and not (origin == "absent" and site == "absent")
        and token == "right"
    )
    for method in ("POST", "PUT", "PATCH", "DELETE", "post", "UNKNOWN"):
        found = GUARD.is_ours(
            method=method, session_id=SESSION, origin=ORIGINS[origin], fetch_site=SITES[site], token=TOKENS[token]
        )
        assert found is expected


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_request_needs_nothing(method: str) -> None:
    assert GUARD.is_ours(method=method, session_id=SESSION, origin=None, fetch_site="cross-site", token=None)


def test_token_of_another_gateway_is_not_ours() -> None:
    other = CsrfGuard(b"x" * 32, HOME).token(SESSION)
    assert not GUARD.is_ours(method="POST", session_id=SESSION, origin=HOME, fetch_site=None, token=other)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY", "get "])
async def test_session_cookie_alone_is_denied_on_unsafe_methods(visit: Visit, method: str) -> None:
    await visit.sign_in()
    for proof in ({"site_origin": HOME}, {"fetch_site": "same-origin"}, {}):
        with pytest.raises(Denied) as error:
            await visit.identity.authenticate(visit.credentials(method, **proof), HERE)
        assert error.value.code == "csrf_refused"


async def test_session_cookie_with_its_token_is_let_through(visit: Visit) -> None:
    await visit.sign_in()
    token = visit.identity.csrf_token(visit.credentials())
    shown = visit.credentials("POST", site_origin=HOME, csrf_token=token)
    assert (await visit.identity.authenticate(shown, HERE)).id == "company|alice"


async def test_token_changes_with_the_session(visit: Visit) -> None:
    await visit.sign_in()
    old = visit.identity.csrf_token(visit.credentials())
    await visit.step_up()
    with pytest.raises(Denied):
        await visit.identity.authenticate(visit.credentials("POST", site_origin=HOME, csrf_token=old), HERE)


async def test_answer_to_a_forged_request_does_not_tell_whether_the_session_is_good(identity: Identity) -> None:
    shown = Credentials(cookie="__Host-imprimatur-session=" + "A" * 43, method="POST", site_origin=HOME)
    with pytest.raises(Denied):
        await identity.authenticate(shown, HERE)


async def test_planted_second_cookie_does_not_switch_the_check_off(visit: Visit, identity: Identity) -> None:
    await visit.sign_in()
    cookie = f"{visit.cookie_header}; __Host-imprimatur-session=x"
    with pytest.raises(Denied):
        await identity.authenticate(Credentials(cookie=cookie, method="POST", site_origin=HOME), HERE)


async def test_bearer_credential_needs_no_token_because_no_browser_adds_it(identity: Identity) -> None:
    shown = Credentials(authorization="Bearer imp_pat_x", method="POST", site_origin="https://elsewhere.example")
    with pytest.raises(Unauthenticated):  # judged as a credential, not as a forgery
        await identity.authenticate(shown, HERE)


def test_without_a_session_there_is_no_token(identity: Identity) -> None:
    assert identity.csrf_token(Credentials(method="GET")) == ""
