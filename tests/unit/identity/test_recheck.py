"""A session asks its provider again whether the person may still come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.responses import JSONResponse, PlainTextResponse

from gateway.errors import IdentityUnavailable, Unauthenticated
from gateway.identity import Identity
from gateway.identity.sealing import Purpose, Sealer
from gateway.identity.sessions import Session
from gateway.identity.tables import people, sessions
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Role
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import HERE, Visit

INTERVAL = 600
PUBLIC_URL = "https://imprimatur.example"


@pytest.fixture
def lapses() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def identity(
    settings: IdentitySettings, database: Database, moment: Moment, lapses: list[tuple[str, str]]
) -> AsyncIterator[Identity]:
    async def tell(session: Session, cause: str, origin: object) -> None:
        lapses.append((session.person.id, cause))

    identity = Identity(settings, PUBLIC_URL, database, moment, on_lapse=tell)
    yield identity
    await identity.aclose()


@pytest.fixture
async def alice(visit: Visit, issuer: Issuer) -> Visit:
    """Signed in, with a refresh token behind her session."""
    issuer.gives_refresh_tokens = True
    await visit.sign_in()
    return visit


def asked(issuer: Issuer) -> int:
    """Refreshes so far: one token request was the sign-in."""
    return issuer.asked.get("/token", 0) - 1


async def row_of(database: Database) -> Any:
    async with database.reading() as tx:
        return (await tx.execute(select(sessions))).one()


async def test_within_the_interval_nobody_is_asked(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    moment.pass_(seconds=INTERVAL - 1)
    await alice.actor()
    assert asked(issuer) == 0


async def test_after_the_interval_the_provider_is_asked_once_and_the_successor_kept(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    first = set(issuer.refresh_tokens)
    for round_ in (1, 2):
        moment.pass_(seconds=INTERVAL)
        await alice.actor()
        await alice.actor()
        assert asked(issuer) == round_  # the second round only works with the token of the first
    assert first.isdisjoint(issuer.refresh_tokens)


async def test_session_without_a_refresh_token_is_never_asked_about(
    visit: Visit, issuer: Issuer, moment: Moment
) -> None:
    await visit.sign_in()
    moment.pass_(seconds=INTERVAL * 2 + 60)
    await visit.actor()
    assert asked(issuer) == 0


@pytest.mark.parametrize(
    "error", ["invalid_grant", "access_denied", "login_required", "interaction_required", "consent_required"]
)
async def test_provider_that_says_no_ends_the_session_at_once(
    alice: Visit, issuer: Issuer, moment: Moment, database: Database, lapses: list[tuple[str, str]], error: str
) -> None:
    issuer.no_longer = error
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    issuer.no_longer = None
    with pytest.raises(Unauthenticated):  # for good, not for this request
        await alice.actor()
    assert lapses == [("company|alice", error)]
    async with database.reading() as tx:
        assert (await tx.execute(select(sessions))).first() is None


async def test_other_sessions_of_the_person_are_asked_about_by_themselves(
    alice: Visit, issuer: Issuer, moment: Moment, identity: Identity
) -> None:
    laptop = Visit(identity, issuer)
    await laptop.sign_in()
    issuer.refresh_tokens.pop(next(iter(issuer.refresh_tokens)))
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    assert (await laptop.actor()).id == "company|alice"


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: PlainTextResponse("down", 503),
        lambda: PlainTextResponse("<html>", 200),
        lambda: JSONResponse({}, 200),
        lambda: JSONResponse({"error": "invalid_client"}, 401),
        lambda: JSONResponse({"error": "temporarily_unavailable"}, 400),
        lambda: JSONResponse({"error": "slow_down"}, 429),
    ],
)
async def test_provider_that_is_away_is_forgiven_until_twice_the_interval(
    alice: Visit, issuer: Issuer, moment: Moment, lapses: list[tuple[str, str]], trouble: Any
) -> None:
    issuer.lies.token_answer = trouble
    moment.pass_(seconds=INTERVAL)
    await alice.actor()
    moment.pass_(seconds=INTERVAL - 1)
    await alice.actor()
    moment.pass_(seconds=1)
    with pytest.raises(IdentityUnavailable) as error:
        await alice.actor()
    assert error.value.status == 503
    issuer.lies.token_answer = None
    moment.pass_(seconds=11)
    assert (await alice.actor()).id == "company|alice"  # it was never over
    assert lapses == []


async def test_provider_that_does_not_answer_is_left_alone_for_a_while(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.lies.is_down = True
    moment.pass_(seconds=INTERVAL)
    for _ in range(5):
        await alice.actor()
    assert asked(issuer) == 1
    moment.pass_(seconds=11)
    await alice.actor()
    assert asked(issuer) == 2


async def test_an_answer_about_one_person_holds_up_nobody_else(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    bob = Visit(alice.identity, issuer)
    issuer.person = issuer.person | {"sub": "bob"}
    await bob.sign_in()
    moment.pass_(seconds=INTERVAL)
    issuer.lies.token_answer = lambda: JSONResponse({"error": "invalid_request"}, 400)
    before = asked(issuer)
    for _ in range(5):
        await alice.actor()
    assert asked(issuer) == before + 1  # about her, not again at once
    issuer.lies.token_answer = None
    await bob.actor()
    assert asked(issuer) == before + 2
    issuer.person = issuer.person | {"sub": "alice"}
    moment.pass_(seconds=11)
    await alice.actor()
    assert asked(issuer) == before + 3


async def test_many_requests_at_once_ask_once(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    issuer.seconds_to_refresh = 0.1
    moment.pass_(seconds=INTERVAL)
    actors = await asyncio.gather(*(alice.actor() for _ in range(20)))
    assert {actor.id for actor in actors} == {"company|alice"}
    assert asked(issuer) == 1


async def test_two_gateways_at_once_ask_once(
    alice: Visit, issuer: Issuer, moment: Moment, settings: IdentitySettings, database: Database
) -> None:
    """A refresh token that is used twice looks like theft to the provider, and ends the session."""
    second = Identity(settings, PUBLIC_URL, database, moment)
    there = Visit(second, issuer)
    there.cookies = alice.cookies
    issuer.seconds_to_refresh = 0.2
    moment.pass_(seconds=INTERVAL)
    await asyncio.gather(alice.actor(), there.actor())
    assert asked(issuer) == 1
    await second.aclose()


@pytest.mark.parametrize("column", ["checked_at", "sealed_refresh_token"])
async def test_session_read_before_another_gateway_asked_is_not_asked_about_with_the_old_token(
    alice: Visit, issuer: Issuer, moment: Moment, identity: Identity, database: Database, column: str
) -> None:
    """Each of the two things that the other gateway wrote is enough to stop the second question."""
    moment.pass_(seconds=INTERVAL)
    read_before = await identity._sessions.find(alice.session_cookie)
    await alice.actor()
    kept = {"checked_at": read_before.checked_at, "sealed_refresh_token": read_before.sealed_refresh_token}  # type: ignore[union-attr]
    del kept[column]
    async with database.transaction() as tx:
        await tx.execute(update(sessions).values(**kept))
    recheck = identity.authenticator._recheck
    assert recheck is not None
    await recheck.confirm(read_before, HERE)  # type: ignore[arg-type]
    assert asked(issuer) == 1


async def test_waiting_for_another_gateway_hears_its_no(
    alice: Visit, issuer: Issuer, moment: Moment, settings: IdentitySettings, database: Database
) -> None:
    second = Identity(settings, PUBLIC_URL, database, moment)
    there = Visit(second, issuer)
    there.cookies = alice.cookies
    issuer.seconds_to_refresh, issuer.no_longer = 0.2, "invalid_grant"
    moment.pass_(seconds=INTERVAL)
    said = await asyncio.gather(alice.actor(), there.actor(), return_exceptions=True)
    assert [type(one) for one in said] == [Unauthenticated, Unauthenticated]
    await second.aclose()


async def test_a_gateway_that_died_while_asking_does_not_keep_the_session_for_ever(
    alice: Visit, issuer: Issuer, moment: Moment, database: Database
) -> None:
    moment.pass_(seconds=INTERVAL)
    async with database.transaction() as tx:
        await tx.execute(update(sessions).values(rechecking_since=moment()))
    moment.pass_(seconds=21)
    await alice.actor()
    assert asked(issuer) == 1
    assert (await row_of(database)).rechecking_since is None


async def test_person_who_closes_the_page_meanwhile_does_not_lose_the_session(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.seconds_to_refresh = 0.2
    moment.pass_(seconds=INTERVAL)
    request = asyncio.create_task(alice.actor())
    await asyncio.sleep(0.05)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.sleep(0.4)
    moment.pass_(seconds=INTERVAL)
    assert (await alice.actor()).id == "company|alice"
    assert asked(issuer) == 2


async def test_lost_group_takes_its_role_and_ends_every_session(
    alice: Visit, issuer: Issuer, moment: Moment, lapses: list[tuple[str, str]]
) -> None:
    issuer.person["groups"] = ["visitors"]
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    assert lapses == [("company|alice", "roles-changed")]
    await alice.sign_in()
    assert (await alice.actor()).roles == frozenset()


async def test_new_group_gives_its_role_at_the_next_sign_in_and_not_inside_a_session(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.person["groups"] = ["staff", "compliance"]
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    await alice.sign_in()
    assert Role.AUDITOR in (await alice.actor()).roles


async def test_groups_come_from_userinfo_where_the_refreshed_token_has_none(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.lies.refreshed_claims = {"groups": None}
    issuer.userinfo = {"groups": ["staff", "colour-printing"]}
    moment.pass_(seconds=INTERVAL)
    assert (await alice.actor()).groups == ("colour-printing", "staff")


async def test_answer_without_an_id_token_is_judged_by_userinfo(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    issuer.refreshes_with_id_token = False
    issuer.userinfo = {"groups": []}
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()


async def test_provider_that_tells_nothing_of_the_person_leaves_what_is_known(
    visit: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.gives_refresh_tokens, issuer.refreshes_with_id_token = True, False
    issuer.lies.discovery = {"userinfo_endpoint": None}
    await visit.sign_in()
    moment.pass_(seconds=INTERVAL)
    actor = await visit.actor()
    assert (actor.groups, asked(issuer)) == (("staff",), 1)


async def test_shorter_token_does_not_rename_the_person(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    issuer.lies.refreshed_claims = {"name": None}
    moment.pass_(seconds=INTERVAL)
    assert (await alice.actor()).display_name == "Alice"


async def test_second_factor_does_not_get_younger(alice: Visit, issuer: Issuer, moment: Moment) -> None:
    began = moment()
    moment.pass_(seconds=INTERVAL)
    issuer.lies.refreshed_claims = {"auth_time": int(moment().timestamp()), "amr": ["pwd", "otp", "hwk"], "acr": "best"}
    mfa = (await alice.actor()).mfa
    assert (mfa.at, mfa.amr, mfa.acr) == (began, ("pwd", "otp"), "")


async def test_last_sign_in_does_not_move_and_what_the_provider_says_is_of_now(
    alice: Visit, moment: Moment, database: Database
) -> None:
    began = moment()
    moment.pass_(seconds=INTERVAL)
    await alice.actor()
    async with database.reading() as tx:
        person = (await tx.execute(select(people))).one()
    assert (person.last_seen, person.groups_at) == (began, moment())


@pytest.mark.parametrize(
    ("claims", "header", "sign", "cause"),
    [
        ({"sub": "erin"}, {}, "rsa-1", "other-subject"),
        ({"nonce": "of-another-sign-in"}, {}, "rsa-1", "id-token-nonce"),
        ({"aud": ["wiki"]}, {}, "rsa-1", "id-token-audience"),
        ({"iss": "https://evil.example"}, {}, "rsa-1", "id-token-issuer"),
        ({"exp": 1}, {}, "rsa-1", "id-token-expired"),
        ({}, {"alg": "none"}, "garbage", "id-token-algorithm"),
        ({}, {"typ": "at+jwt"}, "rsa-1", "id-token-type"),
        ({}, {}, "rsa-attacker", "id-token-signature"),
    ],
)
async def test_answer_about_somebody_else_or_badly_signed_ends_the_session(
    alice: Visit,
    issuer: Issuer,
    moment: Moment,
    lapses: list[tuple[str, str]],
    claims: dict[str, Any],
    header: dict[str, Any],
    sign: str,
    cause: str,
) -> None:
    issuer.lies.refreshed_claims, issuer.lies.header, issuer.lies.sign = claims, header, sign
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    assert lapses == [("company|alice", cause)]


async def test_nonce_of_the_first_id_token_is_accepted_in_a_refreshed_one(
    visit: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.gives_refresh_tokens = True
    await visit.sign_in()
    nonce = next(iter(issuer.refresh_tokens.values()))["nonce"]
    issuer.lies.refreshed_claims = {"nonce": nonce}
    moment.pass_(seconds=INTERVAL)
    assert (await visit.actor()).id == "company|alice"


async def test_userinfo_of_somebody_else_ends_the_session(
    alice: Visit, issuer: Issuer, moment: Moment, lapses: list[tuple[str, str]]
) -> None:
    issuer.refreshes_with_id_token = False
    issuer.lies.userinfo = {"sub": "erin", "groups": ["platform"]}
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await alice.actor()
    assert lapses == [("company|alice", "userinfo")]


async def test_successor_is_kept_even_when_the_rest_of_the_answer_cannot_be_judged(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.refreshes_with_id_token = False
    issuer.lies.userinfo = {"groups": "x" * 600_000}  # longer than we read
    moment.pass_(seconds=INTERVAL)
    await alice.actor()
    issuer.lies.userinfo = {"groups": ["staff"]}
    moment.pass_(seconds=11)
    await alice.actor()
    assert asked(issuer) == 2  # with the first token again, the provider would have said no


async def test_other_identity_secret_ends_the_sessions_that_it_cannot_ask_about(
    alice: Visit, issuer: Issuer, moment: Moment, settings: IdentitySettings, database: Database
) -> None:
    settings.secret_path.write_bytes(b"o" * 32)
    other = Identity(settings, PUBLIC_URL, database, moment)
    there = Visit(other, issuer)
    there.cookies = alice.cookies
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated):
        await there.actor()
    assert asked(issuer) == 0
    await other.aclose()


async def test_signing_out_asks_nobody_and_works_while_the_provider_is_away(
    alice: Visit, issuer: Issuer, moment: Moment, identity: Identity
) -> None:
    issuer.lies.is_down = True
    moment.pass_(seconds=INTERVAL * 2 + 60)
    with pytest.raises(IdentityUnavailable):
        await alice.actor()
    before = asked(issuer)
    moment.pass_(seconds=11)
    credentials = alice.credentials()
    actor = await identity.authenticate(credentials, HERE, is_leaving=True)
    await identity.sign_out(actor)
    assert asked(issuer) == before
    with pytest.raises(Unauthenticated):
        await alice.actor()


async def test_signing_out_gives_every_refresh_token_back(alice: Visit, issuer: Issuer, identity: Identity) -> None:
    laptop = Visit(identity, issuer)
    await laptop.sign_in()
    tokens = set(issuer.refresh_tokens)
    await identity.sign_out(await alice.actor())
    assert len(tokens) == 2
    assert set(issuer.revoked) == tokens
    assert issuer.refresh_tokens == {}


async def test_provider_without_revocation_is_not_asked_for_it(visit: Visit, issuer: Issuer) -> None:
    issuer.gives_refresh_tokens = True
    issuer.lies.discovery = {"revocation_endpoint": None}
    await visit.sign_in()
    await visit.identity.sign_out(await visit.actor())
    assert "/revoke" not in issuer.asked


async def test_tokens_stand_in_the_database_sealed_for_their_session_and_purpose(
    alice: Visit, issuer: Issuer, database: Database
) -> None:
    row = await row_of(database)
    token = next(iter(issuer.refresh_tokens))
    assert token.encode() not in row.sealed_refresh_token
    assert b"eyJ" not in row.sealed_id_token
    opened = alice.identity.leaving._sealer
    assert opened.open(row.sealed_refresh_token, Purpose.REFRESH, row.id_sha256) == token
    assert opened.open(row.sealed_refresh_token, Purpose.ID_TOKEN, row.id_sha256) is None
    assert opened.open(row.sealed_refresh_token, Purpose.REFRESH, "0" * 64) is None
    assert opened.open(row.sealed_refresh_token[:-1] + b"\x00", Purpose.REFRESH, row.id_sha256) is None
    assert Sealer(b"o" * 32).open(row.sealed_refresh_token, Purpose.REFRESH, row.id_sha256) is None


async def test_step_up_without_a_new_refresh_token_keeps_the_old_one(
    alice: Visit, issuer: Issuer, moment: Moment
) -> None:
    issuer.gives_refresh_tokens = False
    moment.pass_(seconds=30)
    await alice.step_up()
    moment.pass_(seconds=INTERVAL)
    before = issuer.asked["/token"]
    await alice.actor()
    assert issuer.asked["/token"] == before + 1


async def test_no_token_is_in_a_repr_or_a_log_line(
    alice: Visit, issuer: Issuer, moment: Moment, identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    token = next(iter(issuer.refresh_tokens))
    session = await identity._sessions.find(alice.session_cookie)
    issuer.no_longer = "invalid_grant"
    moment.pass_(seconds=INTERVAL)
    with pytest.raises(Unauthenticated) as error:
        await alice.actor()
    seen = repr(session) + caplog.text + repr(error.value) + error.value.message
    assert token not in seen
    assert str(session.sealed_refresh_token) not in seen  # type: ignore[union-attr]
