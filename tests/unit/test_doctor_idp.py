"""The doctor for identity providers: what it warns of, what it proposes, and a provider that lies to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.doctor_idp import claims_of, look, proposal
from gateway.identity import discovery
from gateway.settings import Provider
from gateway.trial_sign_in import Asked, Shown, Trial, TrialStopped
from tests.support import forge
from tests.support.issuer import CLIENT_SECRET, Issuer, running_issuer

ISSUER = "https://login.example.com"
NOW = datetime.now(UTC)
GOOD: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "response_types_supported": ["code"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
}
ASKED = Asked(client_id=forge.CLIENT_ID, client_secret=CLIENT_SECRET, patience_seconds=2)


def test_good_provider_gives_no_finding() -> None:
    assert look(ISSUER, GOOD) == []


@pytest.mark.parametrize(
    ("change", "is_problem", "word"),
    [
        ({"issuer": f"{ISSUER}/"}, True, "letter for letter"),
        ({"issuer": None}, True, "letter for letter"),
        ({"token_endpoint": "http://login.example.com/token"}, True, "token_endpoint"),
        ({"token_endpoint": None}, True, "token_endpoint"),
        ({"jwks_uri": "http://127.0.0.1/jwks"}, True, "jwks_uri"),
        ({"userinfo_endpoint": "ftp://login.example.com"}, True, "userinfo_endpoint"),
        ({"id_token_signing_alg_values_supported": ["HS256", "PS256"]}, True, "RS256"),
        ({"response_types_supported": ["id_token"]}, True, "code flow"),
        ({"id_token_signing_alg_values_supported": ["RS256", "none"]}, False, "alg none"),
        ({"code_challenge_methods_supported": ["plain"]}, False, "PKCE"),
        ({"code_challenge_methods_supported": None}, False, "PKCE"),
        ({"authorization_response_iss_parameter_supported": "true"}, False, "RFC 9207"),
        ({"grant_types_supported": ["authorization_code", "password"]}, False, "`password`"),
    ],
)
def test_what_would_not_work_or_is_not_safe_is_named(change: dict[str, Any], is_problem: bool, word: str) -> None:
    (finding,) = look(ISSUER, GOOD | change)
    assert finding.is_problem is is_problem
    assert word in finding.text


@pytest.mark.parametrize("address", ["http://login.example.com", "login.example.com", "file:///etc/passwd"])
def test_address_that_is_not_https_is_not_even_asked(address: str) -> None:
    said = CliRunner().invoke(app, ["doctor", "idp", address])
    assert said.exit_code == 1
    assert "https://" in said.output


def shown(**claims: Any) -> Shown:
    base = {"iss": ISSUER, "sub": "a", "aud": "us", "auth_time": NOW.timestamp() - 5, "groups": ["staff"]}
    return Shown(
        id_token={k: v for k, v in (base | claims).items() if v is not None},
        userinfo={},
        algorithm="RS256",
        gives_refresh_token=True,
        access_token=None,
    )


@pytest.mark.parametrize(
    ("claims", "member", "value"),
    [
        ({"amr": ["pwd", "otp", "mfa"]}, "mfa_amr_two_distinct_of", ("pwd", "otp")),
        ({"amr": ["password", "webauthn"]}, "mfa_amr_two_distinct_of", ("password", "webauthn")),
        ({"amr": ["mfa"]}, "mfa_amr_any_of", ("mfa",)),
        ({"acrs": ["c1", "c4"]}, "mfa_acrs_any_of", ("c1",)),
    ],
)
def test_profile_is_the_smallest_that_reads_the_second_factor(
    claims: dict[str, Any], member: str, value: tuple[str, ...]
) -> None:
    text, is_shown = proposal(ISSUER, ASKED, shown(**claims), NOW)
    (entry,) = yaml.safe_load(text)["identity"]["providers"]
    profile = Provider(**entry).profile
    assert is_shown
    assert getattr(profile, member) == value
    assert {
        m for m in ("mfa_acr_in", "mfa_amr_any_of", "mfa_amr_two_distinct_of", "mfa_acrs_any_of") if getattr(profile, m)
    } == {member}
    assert CLIENT_SECRET not in text


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"amr": ["pwd"]},
        {"amr": ["otp", "otp"]},
        {"amr": ["otp", "sms"]},  # two things one has, and nothing that one knows: not for us to call it two factors
        {"amr": "pwd otp"},
        {"acr": "gold"},
    ],
)
def test_weak_or_unclear_sign_in_gets_a_profile_that_takes_nobody(claims: dict[str, Any]) -> None:
    text, is_shown = proposal(ISSUER, ASKED, shown(**claims), NOW)
    assert not is_shown
    assert "No second factor was shown" in text
    assert ("mfa_acr_in" in text) is ("acr" in claims)


@pytest.mark.parametrize("auth_time", [0, None, True, "1795667963", "in an hour"])
def test_auth_time_that_is_no_moment_is_not_trusted(auth_time: object) -> None:
    if auth_time == "in an hour":
        auth_time = NOW.timestamp() + 3600
    text, _ = proposal(ISSUER, ASKED, shown(amr=["pwd", "otp"], auth_time=auth_time), NOW)
    assert "trusts_auth_time: false" in text


@pytest.mark.parametrize(
    ("claims", "claim", "form"),
    [
        ({"groups": "staff,visitors"}, "groups", "comma-string"),
        ({"groups": None, "roles": ["a"]}, "roles", "list"),
        ({"groups": None, "https://example.com/groups": ["a"]}, "https://example.com/groups", "list"),
    ],
)
def test_groups_are_found_where_they_are(claims: dict[str, Any], claim: str, form: str) -> None:
    (entry,) = yaml.safe_load(proposal(ISSUER, ASKED, shown(**claims), NOW)[0])["identity"]["providers"]
    profile = Provider(**entry).profile
    assert (profile.groups_claim, profile.groups_form) == (claim, form)


def test_without_groups_it_says_what_is_missing() -> None:
    assert "without groups nobody has a role" in proposal(ISSUER, ASKED, shown(groups=None), NOW)[0]


def test_claims_can_not_write_on_the_terminal_and_personal_values_are_not_shown() -> None:
    lines = "\n".join(claims_of(shown(groups=["\x1b[2Jstaff"], email="alice@example.com", amr=["\u202epwd"]), NOW))
    assert "\x1b" not in lines
    assert "\u202e" not in lines
    assert "alice@example.com" not in lines
    assert "email" in lines


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


async def trial(issuer: Issuer, **changed: str) -> Shown:
    """A browser sign-in at `issuer`, whose answer's parameters are `changed` on the way back."""
    said: list[str] = []
    async with discovery.client(ssl.create_default_context()) as http, httpx.AsyncClient(trust_env=False) as browser:
        metadata = await discovery.fetch_object(http, f"{issuer.url}/.well-known/openid-configuration")
        running = asyncio.create_task(Trial(metadata, ASKED, http, said.append).by_browser())
        while not any("state=" in line for line in said):
            await asyncio.sleep(0.01)
        address = said[-1].strip()
        redirect = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        assert redirect.startswith("http://127.0.0.1:")
        await browser.get(f"{redirect}?{urlencode(issuer.approve(address) | changed)}")
        return await running


async def test_honest_provider_shows_its_claims(issuer: Issuer) -> None:
    found = await trial(issuer)
    assert found.id_token["amr"] == ["pwd", "otp"]
    assert found.algorithm == "RS256"
    assert "nonce" in found.id_token


@pytest.mark.parametrize(
    ("claims", "step"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"aud": []}, "audience"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"exp": 1}, "expired"),
    ],
)
async def test_id_token_that_the_gateway_would_refuse_is_not_looked_at(
    issuer: Issuer, claims: dict[str, Any], step: str
) -> None:
    issuer.lies.claims = claims
    with pytest.raises(TrialStopped, match=step):
        await trial(issuer)


async def test_token_signed_by_somebody_else_is_not_looked_at(issuer: Issuer) -> None:
    issuer.lies.header = {"alg": "none"}
    with pytest.raises(TrialStopped, match="algorithm"):
        await trial(issuer)


async def test_answer_of_another_issuer_is_not_used(issuer: Issuer) -> None:
    with pytest.raises(TrialStopped, match="another issuer"):
        await trial(issuer, iss="https://evil.example")
    assert "/token" not in issuer.asked


async def test_userinfo_about_somebody_else_is_not_shown(issuer: Issuer) -> None:
    issuer.lies.userinfo = {"sub": "mallory", "groups": ["admins"]}
    assert (await trial(issuer)).userinfo == {}


async def test_answer_without_our_state_is_not_taken(issuer: Issuer) -> None:
    with pytest.raises(TrialStopped, match="Nobody came back"):
        await trial(issuer, state="guessed")
    assert "/token" not in issuer.asked


async def test_refused_sign_in_says_what_the_provider_said(issuer: Issuer) -> None:
    with pytest.raises(TrialStopped, match="access_denied"):
        await trial(issuer, error="access_denied")
