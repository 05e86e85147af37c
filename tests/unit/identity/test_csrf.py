from __future__ import annotations

import itertools

import pytest
from starlette.datastructures import Headers

from gateway.errors import Denied
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


async def test_session_cookie_alone_is_denied_on_unsafe_methods(visit: Visit) -> None:
    await visit.sign_in()
    with pytest.raises(Denied) as error:
        visit.credentials("POST", origin=HOME)
    assert error.value.code == "csrf_refused"


async def test_session_cookie_with_its_token_is_let_through_by_header_and_by_form(visit: Visit) -> None:
    await visit.sign_in()
    token = visit.identity.csrf_token(visit.credentials())
    shown = visit.credentials("POST", origin=HOME, x_csrf_token=token)
    assert (await visit.identity.authenticate(shown, HERE)).id == "company|alice"
    form = {"origin": HOME, "cookie": visit.cookie_header or ""}
    assert visit.identity.credentials("POST", form, form_token=token)


async def test_token_changes_with_the_session(visit: Visit) -> None:
    await visit.sign_in()
    old = visit.identity.csrf_token(visit.credentials())
    await visit.step_up()
    with pytest.raises(Denied):
        visit.credentials("POST", origin=HOME, x_csrf_token=old)


def test_api_key_needs_no_token_because_no_browser_adds_it(visit: Visit) -> None:
    assert visit.identity.credentials("POST", {"authorization": "Bearer imp_pat_x"}).cookie is None


def test_cookies_split_over_several_headers_are_all_judged(visit: Visit) -> None:
    raw = [(b"cookie", b"theme=dark"), (b"cookie", b"__Host-imprimatur-session=" + b"A" * 43)]
    with pytest.raises(Denied):
        visit.identity.credentials("POST", Headers(raw=raw))


def test_without_a_session_there_is_no_token(visit: Visit) -> None:
    assert visit.identity.csrf_token(visit.identity.credentials("GET", {})) == ""
