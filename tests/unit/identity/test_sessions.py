from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from gateway.errors import IdentityUnavailable, Unauthenticated
from gateway.exchange import Credentials
from gateway.identity import Identity, SignInRefused
from gateway.identity.cookies import CookieNames
from gateway.identity.sessions import digest_of
from gateway.identity.tables import people, sessions
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Code, Event, Role
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit

NAME = "__Host-imprimatur-session"


async def is_in(visit: Visit) -> bool:
    try:
        await visit.actor()
    except Unauthenticated:
        return False
    return True


async def test_session_id_has_256_random_bits_and_is_not_in_the_database(visit: Visit, tmp_path: Path) -> None:
    await visit.sign_in()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", visit.session_cookie)
    actor = await visit.actor()
    assert visit.session_cookie not in actor.credential_id
    with sqlite3.connect(tmp_path / "gateway.sqlite") as database:
        stored = repr(list(database.execute("select * from sessions")))
    assert visit.session_cookie not in stored


async def test_planted_session_id_is_never_adopted(visit: Visit) -> None:
    visit.cookies[NAME] = "A" * 43
    assert not await is_in(visit)
    await visit.sign_in()
    assert visit.session_cookie != "A" * 43
    visit.cookies[NAME] = "A" * 43
    assert not await is_in(visit)


async def test_only_what_looks_like_a_session_id_is_looked_for(visit: Visit, database: Database) -> None:
    """Nothing long or odd is hashed and asked the database for, even where something lay under its digest."""
    await visit.sign_in()
    for odd in ("short", "A" * 44, "A" * 3000, "A" * 42 + "~"):
        async with database.transaction() as tx:
            await tx.execute(update(sessions).values(id_sha256=digest_of(odd)))
        visit.cookies[NAME] = odd
        assert not await is_in(visit)


async def test_signing_in_again_ends_the_session_before(visit: Visit) -> None:
    await visit.sign_in()
    before = visit.session_cookie
    await visit.sign_in()
    assert visit.session_cookie != before
    visit.cookies[NAME] = before
    assert not await is_in(visit)


async def test_session_ends_after_half_an_hour_without_use(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    for _ in range(3):
        moment.pass_(seconds=1790)
        assert await is_in(visit)
    moment.pass_(seconds=1800)
    assert not await is_in(visit)


async def test_administrators_session_ends_after_ten_minutes_without_use(visit: Visit, moment: Moment) -> None:
    visit.issuer.person["groups"] = ["platform"]
    await visit.sign_in()
    moment.pass_(seconds=590)
    assert await is_in(visit)
    moment.pass_(seconds=600)
    assert not await is_in(visit)


async def test_session_ends_after_eight_hours_however_much_it_is_used(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    for _ in range(8 * 3600 // 1200 - 1):
        moment.pass_(seconds=1200)
        assert await is_in(visit)
    moment.pass_(seconds=1200)
    assert not await is_in(visit)


async def test_sign_out_ends_every_session_of_the_person_and_of_nobody_else(
    visit: Visit, identity: Identity, issuer: Issuer
) -> None:
    await visit.sign_in()
    other_device = Visit(identity, issuer)
    await other_device.sign_in()
    issuer.person = issuer.person | {"sub": "bob"}
    bob = Visit(identity, issuer)
    await bob.sign_in()
    cookie, elsewhere = await identity.sign_out(await visit.actor())
    assert not await is_in(visit)
    assert not await is_in(other_device)
    assert await is_in(bob)
    assert (cookie.value, cookie.max_age_seconds) == ("", 0)
    assert elsewhere is not None
    assert elsewhere.startswith(f"{issuer.url}/end?realm=a&id_token_hint=ey")
    asked = parse_qs(urlsplit(elsewhere).query)
    assert asked["client_id"] == ["imprimatur"]
    assert asked["post_logout_redirect_uri"] == ["https://imprimatur.example/signed-out"]
    assert len(asked["state"][0]) >= 16


async def test_sign_out_works_while_the_provider_is_down(
    visit: Visit, settings: IdentitySettings, database: Database, moment: Moment
) -> None:
    await visit.sign_in()
    actor = await visit.actor()
    restarted = Identity(settings, "https://imprimatur.example", database, moment)
    visit.issuer.lies.is_down = True
    assert (await restarted.sign_out(actor))[1] is None
    await restarted.aclose()
    assert not await is_in(visit)


async def test_provider_without_a_logout_page_is_left_alone(visit: Visit) -> None:
    visit.issuer.lies.discovery = {"end_session_endpoint": None}
    await visit.sign_in()
    assert (await visit.identity.sign_out(await visit.actor()))[1] is None


async def test_revocation_epoch_is_checked_on_every_request(visit: Visit) -> None:
    await visit.sign_in()
    actor = await visit.actor()
    await visit.identity.people.revoke(actor.id)
    assert not await is_in(visit)


async def test_suspended_person_is_out_with_the_next_request_and_stays_out_after_reinstatement(visit: Visit) -> None:
    await visit.sign_in()
    actor = await visit.actor()
    await visit.identity.people.set_status(actor.id, "suspended")
    assert not await is_in(visit)
    await visit.identity.people.set_status(actor.id, "active")
    assert not await is_in(visit)
    await visit.sign_in()
    assert await is_in(visit)


async def test_change_of_roles_seen_at_a_sign_in_ends_the_sessions_of_before(
    visit: Visit, identity: Identity, issuer: Issuer
) -> None:
    await visit.sign_in()
    issuer.person["groups"] = ["compliance"]
    elsewhere = Visit(identity, issuer)
    await elsewhere.sign_in()
    assert (await elsewhere.actor()).roles == {Role.AUDITOR}
    assert not await is_in(visit)


async def test_change_of_groups_that_changes_no_role_ends_nothing(
    visit: Visit, identity: Identity, issuer: Issuer
) -> None:
    await visit.sign_in()
    issuer.person["groups"] = ["staff", "choir"]
    await Visit(identity, issuer).sign_in()
    assert await is_in(visit)


async def test_step_up_rotates_the_session_renews_the_factor_and_keeps_its_end(visit: Visit, moment: Moment) -> None:
    await visit.sign_in()
    before = visit.session_cookie
    moment.pass_(seconds=1000)
    assert (await visit.actor()).mfa.age_seconds(moment()) == 1000
    assert await visit.step_up() == "/keys"
    assert visit.session_cookie != before
    assert (await visit.actor()).mfa.age_seconds(moment()) == 0
    assert visit.last_set[0].max_age_seconds == 8 * 3600 - 1000
    visit.cookies[NAME] = before
    assert not await is_in(visit)


async def test_step_up_is_recorded_as_such(visit: Visit) -> None:
    await visit.sign_in()
    departure = await visit.identity.begin_step_up(visit.credentials(), 300, "/keys")
    assert "prompt=login" in departure.url
    assert "max_age=300" in departure.url
    visit.keep(departure.cookie)
    answer = visit.issuer.approve(departure.url)
    arrival = await visit.identity.identify("company", answer, visit.cookie_header)
    assert arrival.event is Event.STEP_UP


async def test_step_up_that_the_provider_answered_from_memory_is_refused(visit: Visit, moment: Moment) -> None:
    """The browser can drop `prompt` and `max_age` on the way; what came back decides."""
    await visit.sign_in()
    visit.issuer.auth_time = moment().timestamp()
    moment.pass_(seconds=1000)
    before = visit.session_cookie
    with pytest.raises(SignInRefused) as error:
        await visit.step_up(300)
    assert error.value.reasons[0].code == Code.MFA_STALE
    assert visit.session_cookie == before
    assert await is_in(visit)


async def test_step_up_by_somebody_else_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    visit.issuer.person["sub"] = "mallory"
    with pytest.raises(SignInRefused) as error:
        await visit.step_up()
    assert error.value.reasons[0].code == Code.SUBJECT_OTHER_PERSON
    assert (await visit.actor()).id == "company|alice"


async def test_step_up_of_a_session_that_is_not_there_any_more_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    departure = await visit.identity.begin_step_up(visit.credentials(), 300, "/keys")
    visit.keep(departure.cookie)
    await visit.identity.people.revoke((await visit.actor()).id)
    with pytest.raises(SignInRefused):
        await visit.arrive(visit.issuer.approve(departure.url))


async def test_a_key_signs_nobody_out(visit: Visit) -> None:
    await visit.sign_in()
    identity = visit.identity
    key = await identity.keys.prepare(await visit.actor(), name="script", scopes=["image:generate"], days=1)
    await identity.keys.store(key)
    by_key = await identity.authenticate(Credentials(method="POST", authorization=f"Bearer {key.secret}"), HERE)
    with pytest.raises(Unauthenticated):
        await identity.sign_out(by_key)
    assert await is_in(visit)


async def test_step_up_of_a_browser_that_lost_its_session_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    departure = await visit.identity.begin_step_up(visit.credentials(), 300, "/keys")
    visit.keep(departure.cookie)
    del visit.cookies[NAME]
    with pytest.raises(SignInRefused) as error:
        await visit.arrive(visit.issuer.approve(departure.url))
    assert error.value.reasons[0].code == Code.SUBJECT_SIGN_IN_INVALID
    assert NAME not in visit.cookies


async def test_step_up_begun_in_another_session_of_this_browser_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    departure = await visit.identity.begin_step_up(visit.credentials(), 300, "/keys")
    await visit.sign_in()
    visit.keep(departure.cookie)
    with pytest.raises(SignInRefused):
        await visit.arrive(visit.issuer.approve(departure.url))
    assert (await visit.actor()).id == "company|alice"


async def test_step_up_needs_a_session(identity: Identity) -> None:
    with pytest.raises(Unauthenticated):
        await identity.begin_step_up(Credentials(method="GET"), 300, "/keys")


@pytest.mark.parametrize(("asked", "sent"), [(0, 60), (-5, 60), (300, 300), (10**9, 43200)])
async def test_step_up_asks_for_an_age_that_can_be_met(visit: Visit, asked: int, sent: int) -> None:
    await visit.sign_in()
    departure = await visit.identity.begin_step_up(visit.credentials(), asked, "/keys")
    assert f"max_age={sent}&" in departure.url + "&"


async def test_cookies_carry_the_host_prefix_and_every_flag(visit: Visit) -> None:
    await visit.sign_in()
    for cookie in visit.last_set:
        assert cookie.name.startswith("__Host-")
        assert cookie.secure
    assert visit.last_set[0].max_age_seconds == 8 * 3600
    assert visit.last_set[1].max_age_seconds == 0


@pytest.mark.parametrize(
    "public_url",
    ["http://imprimatur.example", "https://imprimatur.example", "http://10.0.0.1", "http://127.0.0.1.evil.example"],
)
def test_insecure_cookies_are_refused_anywhere_but_on_plain_loopback(public_url: str) -> None:
    with pytest.raises(ValueError, match="cookie_secure"):
        CookieNames(secure=False, public_url=public_url)


@pytest.mark.parametrize("public_url", ["http://127.0.0.1:8100", "http://localhost:1", "http://[::1]:8100"])
def test_plain_loopback_may_do_without_secure_cookies(public_url: str) -> None:
    assert CookieNames(secure=False, public_url=public_url).session == "imprimatur-session"


async def test_two_session_cookies_are_refused_because_one_was_planted(visit: Visit, identity: Identity) -> None:
    await visit.sign_in()
    header = f"{NAME}={visit.session_cookie}; {NAME}={'B' * 43}"
    with pytest.raises(Unauthenticated):
        await identity.authenticate(Credentials(method="GET", cookie=header), HERE)


@pytest.mark.parametrize("value", ["", "x", "A" * 42, "A" * 44, "A" * 42 + "é", "A" * 5000, "' or 1=1 --"])
async def test_malformed_session_cookie_opens_nothing(identity: Identity, value: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.authenticate(Credentials(method="GET", cookie=f"{NAME}={value}"), HERE)


async def test_expired_sessions_are_swept_at_the_next_sign_in(visit: Visit, moment: Moment, tmp_path: Path) -> None:
    await visit.sign_in()
    moment.pass_(days=1)
    visit.cookies.clear()
    await visit.sign_in()
    with sqlite3.connect(tmp_path / "gateway.sqlite") as database:
        assert database.execute("select count(*) from sessions").fetchone() == (1,)


async def test_database_that_does_not_answer_lets_nobody_in(
    settings: IdentitySettings, tmp_path: Path, moment: Moment
) -> None:
    empty = Database(f"sqlite+aiosqlite:///{tmp_path / 'without-tables.sqlite'}")
    identity = Identity(settings, "https://imprimatur.example", empty, moment)
    try:
        with pytest.raises(IdentityUnavailable):
            await identity.authenticate(Credentials(method="GET", cookie=f"{NAME}={'A' * 43}"), HERE)
    finally:
        await identity.aclose()
        await empty.aclose()


async def test_suspension_alone_ends_a_session_even_where_nobody_raised_the_epoch(
    visit: Visit, database: Database
) -> None:
    await visit.sign_in()
    async with database.transaction() as tx:
        await tx.execute(update(people).values(status="suspended"))
    assert not await is_in(visit)
