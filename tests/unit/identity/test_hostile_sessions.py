"""Attacks on a session, each by its name: none opens anything, and the person's own session is unharmed by most.

Sources: OWASP ASVS 5.0 chapter 7, OWASP Session Management and CSRF Prevention Cheat Sheets, RFC 6265bis, RFC 6750.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.errors import Denied, Unauthenticated
from gateway.exchange import Credentials
from gateway.identity.sessions import digest_of
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit

NAME = "__Host-imprimatur-session"
ORIGIN = "https://imprimatur.example"
Attack = Callable[[Visit, Moment], Awaitable[Credentials]]
ATTACKS: dict[str, Attack] = {}
OVER: set[str] = set()
"""Attacks that use a session that is over: its owner has to sign in again."""


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__.replace("_", "-")] = function
    return function


def over(function: Attack) -> Attack:
    OVER.add(function.__name__.replace("_", "-"))
    return attack(function)


def show(value: str, **more: str) -> Credentials:
    return Credentials(method="GET", cookie=f"{NAME}={value}", **more)


def forged(visit: Visit, **proof: str) -> Credentials:
    """A POST with the victim's cookie, as a page elsewhere makes the browser send it."""
    return replace(visit.credentials("POST"), **proof)


# -- the id


@attack
async def id_planted_before_the_sign_in(visit: Visit, moment: Moment) -> Credentials:
    """Session fixation: the attacker knows an id, the victim signs in with it in the browser."""
    visit.cookies[NAME] = "A" * 43
    await visit.sign_in()
    return show("A" * 43)


@attack
async def id_from_the_database(visit: Visit, moment: Moment) -> Credentials:
    return show(digest_of(visit.session_cookie))


@attack
async def id_one_character_short(visit: Visit, moment: Moment) -> Credentials:
    return show(visit.session_cookie[:-1])


@attack
async def id_one_character_long(visit: Visit, moment: Moment) -> Credentials:
    return show(visit.session_cookie + "A")


@attack
async def id_in_other_case(visit: Visit, moment: Moment) -> Credentials:
    return show(visit.session_cookie.swapcase())


@attack
async def id_as_a_pattern(visit: Visit, moment: Moment) -> Credentials:
    return show("%" * 43)


@attack
async def id_as_a_statement(visit: Visit, moment: Moment) -> Credentials:
    return show("x' or '1'='1")


@attack
async def id_under_a_name_without_its_prefix(visit: Visit, moment: Moment) -> Credentials:
    return Credentials(method="GET", cookie=f"imprimatur-session={visit.session_cookie}")


@attack
async def id_under_a_name_in_other_case(visit: Visit, moment: Moment) -> Credentials:
    return Credentials(method="GET", cookie=f"{NAME.lower()}={visit.session_cookie}")


@attack
async def id_as_a_bearer_token(visit: Visit, moment: Moment) -> Credentials:
    return Credentials(method="GET", authorization=f"Bearer {visit.session_cookie}")


@attack
async def two_ids_one_of_them_planted(visit: Visit, moment: Moment) -> Credentials:
    return Credentials(method="GET", cookie=f"{NAME}={'A' * 43}; {NAME}={visit.session_cookie}")


@attack
async def two_credentials_at_once(visit: Visit, moment: Moment) -> Credentials:
    return show(visit.session_cookie, authorization="Bearer imp_pat_x")


# -- sessions that are over


@attack
async def id_from_before_signing_in_again(visit: Visit, moment: Moment) -> Credentials:
    before = visit.session_cookie
    await visit.sign_in()
    return show(before)


@attack
async def id_from_before_a_step_up(visit: Visit, moment: Moment) -> Credentials:
    before = visit.session_cookie
    await visit.step_up()
    return show(before)


@over
async def id_after_signing_out(visit: Visit, moment: Moment) -> Credentials:
    await visit.identity.sign_out(await visit.actor())
    return visit.credentials()


@over
async def id_left_alone_for_half_an_hour(visit: Visit, moment: Moment) -> Credentials:
    moment.pass_(seconds=1800)
    return visit.credentials()


@over
async def id_kept_busy_past_its_end(visit: Visit, moment: Moment) -> Credentials:
    for _ in range(8 * 3600 // 1200):
        moment.pass_(seconds=1200)
        if moment() < moment.at.replace(hour=17, minute=0):
            await visit.actor()
    return visit.credentials()


@over
async def id_of_somebody_suspended(visit: Visit, moment: Moment) -> Credentials:
    await visit.identity.people.set_status((await visit.actor()).id, "suspended")
    return visit.credentials()


@over
async def id_of_somebody_suspended_and_back(visit: Visit, moment: Moment) -> Credentials:
    id = (await visit.actor()).id
    await visit.identity.people.set_status(id, "suspended")
    await visit.identity.people.set_status(id, "active")
    return visit.credentials()


@over
async def id_from_before_the_roles_changed(visit: Visit, moment: Moment) -> Credentials:
    other = Visit(visit.identity, visit.issuer)
    visit.issuer.person["groups"] = ["compliance"]
    await other.sign_in()
    return visit.credentials()


# -- a good session, used from somewhere else (CSRF)


@attack
async def form_without_a_token(visit: Visit, moment: Moment) -> Credentials:
    return forged(visit, site_origin=ORIGIN, fetch_site="same-origin")


@attack
async def form_with_the_token_of_another_session(visit: Visit, moment: Moment) -> Credentials:
    other = Visit(visit.identity, visit.issuer)
    await other.sign_in()
    token = visit.identity.csrf_token(other.credentials())
    return forged(visit, site_origin=ORIGIN, fetch_site="same-origin", csrf_token=token)


@attack
async def form_with_the_token_from_before_a_step_up(visit: Visit, moment: Moment) -> Credentials:
    token = visit.identity.csrf_token(visit.credentials())
    await visit.step_up()
    return forged(visit, site_origin=ORIGIN, fetch_site="same-origin", csrf_token=token)


@attack
async def form_from_another_site(visit: Visit, moment: Moment) -> Credentials:
    token = visit.identity.csrf_token(visit.credentials())
    return forged(visit, site_origin="https://evil.example", fetch_site="cross-site", csrf_token=token)


@attack
async def form_from_a_neighbouring_subdomain(visit: Visit, moment: Moment) -> Credentials:
    token = visit.identity.csrf_token(visit.credentials())
    return forged(visit, site_origin="https://wiki.imprimatur.example", fetch_site="same-site", csrf_token=token)


@attack
async def form_from_a_sandboxed_frame(visit: Visit, moment: Moment) -> Credentials:
    token = visit.identity.csrf_token(visit.credentials())
    return forged(visit, site_origin="null", fetch_site="cross-site", csrf_token=token)


@attack
async def form_with_a_second_planted_cookie(visit: Visit, moment: Moment) -> Credentials:
    cookie = f"{visit.cookie_header}; {NAME}=planted"
    return Credentials(method="POST", cookie=cookie, site_origin="https://evil.example", fetch_site="cross-site")


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_opens_nothing(visit: Visit, moment: Moment, name: str) -> None:
    await visit.sign_in()
    credentials = await ATTACKS[name](visit, moment)
    with pytest.raises((Unauthenticated, Denied)):
        await visit.identity.authenticate(credentials, HERE)
    if name in OVER:
        with pytest.raises(Unauthenticated):
            await visit.actor()
    else:
        assert (await visit.actor()).id == "company|alice"


async def test_the_honest_request_works_beside_all_of_them(visit: Visit) -> None:
    await visit.sign_in()
    token = visit.identity.csrf_token(visit.credentials())
    honest = forged(visit, site_origin=ORIGIN, fetch_site="same-origin", csrf_token=token)
    assert (await visit.identity.authenticate(honest, HERE)).id == "company|alice"


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 15
