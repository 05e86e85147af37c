from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse

from gateway.errors import IdentityUnavailable, InvalidRequest, Unauthenticated
from gateway.identity import Identity, SignInRefused
from gateway.identity.transactions import Transaction
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Code, Event, Role
from tests.support.issuer import Issuer
from tests.support.moment import Moment
from tests.support.visit import Visit


async def refused(visit: Visit, parameters: dict[str, str], provider: str = "company") -> SignInRefused:
    with pytest.raises(SignInRefused) as error:
        await visit.arrive(parameters, provider)
    assert "__Host-imprimatur-session" not in visit.cookies
    return error.value


async def test_person_with_two_factors_comes_in_with_the_roles_of_their_groups(visit: Visit, moment: Moment) -> None:
    assert await visit.sign_in("/studio?draft=1") == "/studio?draft=1"
    actor = await visit.actor()
    assert actor.id == "company|alice"
    assert actor.roles == {Role.EMPLOYEE}
    assert actor.method == "session"
    assert actor.scopes is None
    assert actor.mfa.age_seconds(moment()) == 0
    assert actor.mfa.amr == ("pwd", "otp")


async def test_authorization_request_carries_state_nonce_and_pkce(visit: Visit) -> None:
    asked = parse_qs(urlsplit(await visit.depart()).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    assert len(asked["state"][0]) == 43
    assert len(asked["nonce"][0]) == 43
    assert asked["scope"] == ["openid profile email"]
    assert asked["redirect_uri"] == ["https://imprimatur.example/auth/callback/company"]
    assert "prompt" not in asked


async def test_sign_in_cookie_shows_none_of_what_it_holds(visit: Visit) -> None:
    asked = parse_qs(urlsplit(await visit.depart()).query)
    sealed = next(iter(visit.cookies.values()))
    assert asked["nonce"][0] not in sealed
    assert "studio" not in sealed


async def test_code_works_once(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    before = dict(visit.cookies)
    await visit.arrive(answer)
    visit.cookies = before  # someone who kept a copy of everything
    assert (await refused(visit, answer)).reasons[0].code == Code.SUBJECT_SIGN_IN_INVALID


async def test_state_of_another_browser_is_refused_before_the_provider_is_asked(
    identity: Identity, visit: Visit
) -> None:
    victim = Visit(identity, visit.issuer)
    await victim.depart()
    answer = visit.issuer.approve(await visit.depart())
    await refused(victim, answer)
    assert "/token" not in visit.issuer.asked


@pytest.mark.parametrize("change", [{"state": ""}, {"state": "x" * 43}, {"state": "é" * 43}])
async def test_state_that_does_not_match_is_refused(visit: Visit, change: dict[str, str]) -> None:
    await refused(visit, visit.issuer.approve(await visit.depart()) | change)


async def test_state_is_compared_and_not_only_found(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    # The cookie's name shows the first 16 characters of the state: an attacker may know those.
    forged = answer["state"][:16] + "A" * 27
    await refused(visit, answer | {"state": forged})


async def test_missing_state_is_refused(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    del answer["state"]
    await refused(visit, answer)


async def test_sign_in_older_than_ten_minutes_is_refused(visit: Visit, moment: Moment) -> None:
    answer = visit.issuer.approve(await visit.depart())
    moment.pass_(seconds=601)
    await refused(visit, answer)


async def test_changed_sign_in_cookie_is_refused(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    name, value = next(iter(visit.cookies.items()))
    visit.cookies[name] = value[:-3] + ("AAA" if value[-3:] != "AAA" else "BBB")
    await refused(visit, answer)


async def test_answer_brought_to_another_providers_callback_is_refused(visit: Visit) -> None:
    await refused(visit, visit.issuer.approve(await visit.depart()), provider="other")


async def test_sign_in_begun_at_one_provider_does_not_end_at_another(
    settings: IdentitySettings, database: Database, moment: Moment, issuer: Issuer
) -> None:
    """The mix-up attack, with a second provider that would accept all the rest."""
    twin = settings.providers[0].model_copy(update={"name": "twin"})
    both = settings.model_copy(update={"providers": (*settings.providers, twin)})
    identity = Identity(both, "https://imprimatur.example", database, moment)
    visit = Visit(identity, issuer)
    answer = issuer.approve(await visit.depart())
    await refused(visit, answer, provider="twin")
    assert "/token" not in issuer.asked
    await identity.aclose()


async def test_sign_in_at_a_provider_that_is_no_longer_ours_is_refused(visit: Visit) -> None:
    """Begun before the settings were changed."""
    transaction = Transaction(provider="gone", return_to="/")
    name = visit.identity._cookie_names.sign_in(transaction.state)
    visit.cookies[name] = visit.identity._sign_in._box.seal(transaction)
    await refused(visit, {"state": transaction.state, "code": "c", "iss": visit.issuer.url}, provider="gone")


async def test_nonce_of_another_sign_in_is_refused(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    visit.issuer.lies.claims = {"nonce": "of-another-sign-in"}
    await refused(visit, answer)


async def test_code_without_its_pkce_verifier_buys_nothing(visit: Visit) -> None:
    """Code injection: an attacker's browser brings a code that was made for the victim's sign-in."""
    victims = visit.issuer.approve(await visit.depart())
    attacker = Visit(visit.identity, visit.issuer)
    own = visit.issuer.approve(await attacker.depart())
    await refused(attacker, own | {"code": victims["code"]})


@pytest.mark.parametrize("named", ["https://other.example", "", None])
async def test_response_issuer_must_be_the_providers_own(visit: Visit, named: str | None) -> None:
    answer = visit.issuer.approve(await visit.depart())
    answer = {k: v for k, v in answer.items() if k != "iss"} | ({} if named is None else {"iss": named})
    await refused(visit, answer)
    assert "/token" not in visit.issuer.asked


async def test_wrong_response_issuer_is_refused_also_where_it_is_not_promised(visit: Visit) -> None:
    visit.issuer.lies.discovery = {"authorization_response_iss_parameter_supported": None}
    await refused(visit, visit.issuer.approve(await visit.depart()) | {"iss": "https://other.example"})


@pytest.mark.parametrize(
    ("claims", "header", "sign"),
    [
        ({"iss": "https://evil.example"}, {}, "rsa-1"),
        ({"aud": []}, {}, "rsa-1"),
        ({"aud": ["wiki"]}, {}, "rsa-1"),
        ({"azp": "wiki"}, {}, "rsa-1"),
        ({"exp": 1}, {}, "rsa-1"),
        ({"sub": None}, {}, "rsa-1"),
        ({}, {"alg": "none"}, "garbage"),
        ({}, {"alg": "HS256"}, "hmac-public-pem"),
        ({}, {"typ": "at+jwt"}, "rsa-1"),
        ({}, {"kid": None}, "rsa-1"),
        ({}, {}, "rsa-attacker"),
    ],
)
async def test_id_token_that_is_not_good_lets_nobody_in(
    visit: Visit, claims: dict[str, object], header: dict[str, object], sign: str
) -> None:
    answer = visit.issuer.approve(await visit.depart())
    visit.issuer.lies.claims, visit.issuer.lies.header, visit.issuer.lies.sign = claims, header, sign
    assert (await refused(visit, answer)).code == "sign_in_refused"


async def test_answer_without_an_id_token_lets_nobody_in(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    visit.issuer.lies.token_answer = lambda: JSONResponse({"access_token": "a", "token_type": "Bearer"})
    await refused(visit, answer)


async def test_providers_refusal_is_told_without_repeating_its_words(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    del answer["code"]
    error = await refused(visit, answer | {"error": "access_denied", "error_description": "<script>"})
    assert error.reasons[0].code == Code.SUBJECT_SIGN_IN_REFUSED
    assert "script" not in error.message


@pytest.mark.parametrize("amr", [["pwd"], ["otp"], ["pwd", "pwd"], ["otp", "mfa"], [], "pwd otp", None])
async def test_without_two_different_factors_nobody_comes_in(visit: Visit, amr: object) -> None:
    """`otp mfa` is what canaille sends for somebody who never gave a password (see demo/idp/serve.py)."""
    visit.issuer.person["amr"] = amr
    error = await refused(visit, visit.issuer.approve(await visit.depart()))
    assert error.reasons[0].code == Code.MFA_MISSING
    assert error.actor == "company|alice"
    assert "authenticator app" in error.message


async def test_person_without_a_known_group_comes_in_without_a_role(visit: Visit) -> None:
    visit.issuer.person["groups"] = ["visitors"]
    await visit.sign_in()
    assert (await visit.actor()).roles == frozenset()


async def test_groups_come_from_userinfo_when_the_id_token_has_none(visit: Visit) -> None:
    visit.issuer.person.pop("groups")
    visit.issuer.userinfo = {"groups": ["compliance"], "amr": ["pwd", "otp", "hwk"]}
    await visit.sign_in()
    actor = await visit.actor()
    assert actor.roles == {Role.AUDITOR}
    assert actor.mfa.amr == ("pwd", "otp")


async def test_userinfo_is_never_asked_about_the_second_factor(visit: Visit) -> None:
    visit.issuer.person |= {"groups": None, "amr": None}
    visit.issuer.userinfo = {"groups": ["staff"], "amr": ["pwd", "otp"]}
    visit.issuer.lies.claims = {"groups": None}
    error = await refused(visit, visit.issuer.approve(await visit.depart()))
    assert error.reasons[0].code == Code.MFA_MISSING


async def test_userinfo_of_somebody_else_is_refused(visit: Visit) -> None:
    visit.issuer.person.pop("groups")
    visit.issuer.lies.userinfo = {"sub": "erin", "groups": ["platform"]}
    await refused(visit, visit.issuer.approve(await visit.depart()))


async def test_suspended_person_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    await visit.identity.people.set_status((await visit.actor()).id, "suspended")
    fresh = Visit(visit.identity, visit.issuer)
    answer = visit.issuer.approve(await fresh.depart())
    with pytest.raises(SignInRefused) as error:  # before anything is recorded as a sign-in
        await visit.identity.identify("company", answer, fresh.cookie_header)
    assert error.value.reasons[0].code == Code.SUBJECT_SUSPENDED


async def test_person_suspended_between_judgement_and_entry_is_refused(visit: Visit) -> None:
    await visit.sign_in()
    again = Visit(visit.identity, visit.issuer)
    answer = visit.issuer.approve(await again.depart())
    arrival = await visit.identity.identify("company", answer, again.cookie_header)
    await visit.identity.people.set_status(arrival.actor.id, "suspended")
    with pytest.raises(SignInRefused):
        await visit.identity.admit(arrival)


async def test_identifying_somebody_stores_nothing(visit: Visit) -> None:
    answer = visit.issuer.approve(await visit.depart())
    arrival = await visit.identity.identify("company", answer, visit.cookie_header)
    assert arrival.event is Event.SIGN_IN
    assert await visit.identity.people.find(arrival.actor.id) is None
    visit.cookies["__Host-imprimatur-session"] = arrival.session_id.secret
    with pytest.raises(Unauthenticated):
        await visit.actor()


async def test_secrets_of_a_sign_in_are_in_no_repr(visit: Visit) -> None:
    departure = await visit.identity.begin_sign_in("company", "/")
    visit.keep(departure.cookie)
    arrival = await visit.identity.identify("company", visit.issuer.approve(departure.url), visit.cookie_header)
    cookies = await visit.identity.admit(arrival)
    seen = repr(departure) + repr(arrival) + repr(cookies)
    assert departure.cookie.value not in seen
    assert arrival.session_id.secret not in seen
    assert parse_qs(urlsplit(departure.url).query)["state"][0] not in seen


async def test_two_tabs_can_sign_in_at_once(visit: Visit) -> None:
    first = visit.issuer.approve(await visit.depart("/one"))
    second = visit.issuer.approve(await visit.depart("/two"))
    assert await visit.arrive(first) == "/one"
    assert await visit.arrive(second) == "/two"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: PlainTextResponse("<html>", 200),
        lambda: PlainTextResponse("down", 503),
        lambda: RedirectResponse("https://elsewhere.example/"),
        lambda: JSONResponse({"error": "invalid_client"}, 401),
    ],
)
async def test_provider_that_breaks_while_the_code_is_exchanged_is_unavailable(visit: Visit, answer: object) -> None:
    back = visit.issuer.approve(await visit.depart())
    visit.issuer.lies.token_answer = answer  # type: ignore[assignment]
    with pytest.raises(IdentityUnavailable):
        await visit.arrive(back)


async def test_provider_that_is_down_is_said_to_be_down(visit: Visit) -> None:
    visit.issuer.lies.is_down = True
    with pytest.raises(IdentityUnavailable) as error:
        await visit.depart()
    assert error.value.status == 503


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": ["https://a.example"]},
    ],
)
async def test_discovery_that_lies_about_where_things_are_is_not_believed(visit: Visit, lie: dict[str, object]) -> None:
    visit.issuer.lies.discovery = lie
    with pytest.raises(IdentityUnavailable):
        await visit.depart()


async def test_known_provider_that_goes_down_still_lets_people_depart(visit: Visit, moment: Moment) -> None:
    await visit.depart()
    visit.issuer.lies.is_down = True
    moment.pass_(seconds=4000)
    assert (await visit.depart()).startswith(visit.issuer.url)


async def test_unknown_provider_is_a_wrong_request(identity: Identity) -> None:
    with pytest.raises(InvalidRequest) as error:
        await identity.begin_sign_in("nobody", "/")
    assert error.value.param == "provider"
    assert "company" in error.value.message


async def test_only_provider_needs_no_name(identity: Identity, issuer: Issuer) -> None:
    assert (await identity.begin_sign_in(None, None)).url.startswith(issuer.url)


async def test_provider_that_only_takes_the_secret_in_the_form_gets_it_there(visit: Visit) -> None:
    visit.issuer.lies.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    answer = visit.issuer.approve(await visit.depart())
    with pytest.raises(IdentityUnavailable):  # our issuer wants it in the header, and says invalid_client
        await visit.arrive(answer)


@pytest.mark.parametrize("issuer_url", ["http://idp.example", "ftp://idp.example", "idp.example"])
async def test_issuer_that_is_not_https_stops_the_start(
    settings: IdentitySettings, database: Database, moment: Moment, issuer_url: str
) -> None:
    provider = settings.providers[0].model_copy(update={"issuer": issuer_url})
    with pytest.raises(ValueError, match="https"):
        Identity(settings.model_copy(update={"providers": (provider,)}), "https://x.example", database, moment)


@pytest.mark.parametrize("field", ["client_secret_path", "secret_path"])
async def test_missing_secret_stops_the_start_and_names_the_file(
    settings: IdentitySettings, database: Database, moment: Moment, tmp_path: Path, field: str
) -> None:
    gone = tmp_path / "gone"
    if field == "secret_path":
        settings = settings.model_copy(update={field: gone})
    else:
        provider = settings.providers[0].model_copy(update={field: gone})
        settings = settings.model_copy(update={"providers": (provider,)})
    with pytest.raises(ValueError, match=str(gone)):
        Identity(settings, "https://x.example", database, moment)


async def test_short_secret_stops_the_start(settings: IdentitySettings, database: Database, moment: Moment) -> None:
    settings.secret_path.write_bytes(b"short")
    with pytest.raises(ValueError, match="32"):
        Identity(settings, "https://x.example", database, moment)
