"""Ready claim profiles: what they fill in, what wins over them, and that none lets a weak sign-in pass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.claim_profiles import PRESETS
from gateway.identity import mfa
from gateway.settings import ClaimProfile, Provider
from tests.support.providers import PROVIDERS

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
AT = {"auth_time": NOW.timestamp() - 60}
PAGE = Path("docs/reference/claim-profiles.md")


def provider(preset: str | None, **more: Any) -> Provider:
    return Provider(name="a", issuer="https://idp.example.com", client_id="us", preset=preset, **more)  # type: ignore[arg-type]


def is_shown(preset: str, claims: dict[str, Any]) -> bool:
    found = mfa.evidence(provider(preset).profile, claims, now=NOW, callback=True, leeway_seconds=30)
    return found.at is not None


STRONG: dict[str, list[dict[str, Any]]] = {
    "canaille": [{"amr": ["pwd", "otp", "mfa"]}],
    "entra": [{"acrs": ["c1"]}, {"acrs": ["c3", "c1"]}, {"amr": ["pwd", "mfa"]}],
    "glewlwyd": [{"amr": ["password", "otp"]}],
    "google": [{"amr": ["pwd", "mfa"]}],
    "keycloak": [{"acr": "2"}, {"amr": ["pwd", "otp"], "acr": "1"}],
    "oidc-provider": [{"amr": ["pwd", "otp"]}],
    "okta": [{"amr": ["mfa", "otp", "pwd"]}],
}
WEAK: dict[str, list[dict[str, Any]]] = {
    "canaille": [{"amr": ["otp", "mfa"]}, {"amr": ["pwd"]}],
    "entra": [{"acrs": ["c2"]}, {"acrs": "c1"}, {"acrs": []}, {"amr": ["pwd", "rsa"]}, {"acr": "1"}],
    "glewlwyd": [{"amr": ["password"]}, {"amr": ["otp", "otp"]}],
    "google": [{"hd": "example.com", "email_verified": True}, {"amr": ["pwd"]}],
    "keycloak": [{"acr": "1"}, {"acr": "0"}, {"acr": 2}, {"amr": ["pwd"]}],
    "oidc-provider": [{"amr": ["otp", "mfa"]}],
    "okta": [{"amr": ["pwd"]}, {"amr": ["otp", "pwd"]}, {"amr": ["swk"]}],
}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_each_profile_takes_two_factors_and_nothing_less(preset: str) -> None:
    for claims in STRONG[preset]:
        assert is_shown(preset, {**claims, **AT}), claims
    for claims in (*WEAK[preset], {}):
        assert not is_shown(preset, {**claims, **AT}), claims


def test_what_the_settings_say_wins_over_the_preset_member_by_member() -> None:
    found = provider("keycloak", acr_values="gold", profile={"mfa_acr_in": ["gold"], "groups_claim": "roles"})
    assert (found.acr_values, found.profile.mfa_acr_in, found.profile.groups_claim) == ("gold", ("gold",), "roles")
    assert found.profile.trusts_auth_time
    in_code = provider("keycloak", profile=ClaimProfile(trusts_auth_time=False))
    assert not in_code.profile.trusts_auth_time
    assert in_code.profile.mfa_acr_in == ("2",)


def test_no_preset_is_the_profile_that_shows_nothing() -> None:
    assert provider(None).profile == ClaimProfile()


def test_unknown_preset_stops_the_start() -> None:
    with pytest.raises(ValidationError, match="preset"):
        provider("entraid")
    with pytest.raises(ValidationError, match="preset"):
        provider("")


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_each_preset_has_a_source_says_what_it_needs_and_stands_on_its_page(preset: str) -> None:
    found, page = PRESETS[preset], PAGE.read_text(encoding="utf-8")
    assert found.sources
    assert all(source.startswith("https://") and source in page for source in found.sources)
    assert found.needs
    row = next(line for line in page.splitlines() if line.startswith(f"| `{preset}` |"))
    assert (found.tested_with or "not tested") in row
    for member, value in found.profile.items():
        for one in value if isinstance(value, tuple) else (value,):
            assert isinstance(one, bool) or one == "" or f"`{one}`" in row or f"`{member}`" in row, (member, one)


def test_presets_that_say_tested_are_those_that_the_suite_runs() -> None:
    assert {name for name, preset in PRESETS.items() if preset.tested_with} == {kind.name for kind in PROVIDERS}


@pytest.mark.parametrize("kind", PROVIDERS, ids=[kind.name for kind in PROVIDERS])
def test_page_says_of_each_real_provider_what_the_suite_asserts(kind: Any) -> None:
    features, page = kind.features, PAGE.read_text(encoding="utf-8").splitlines()
    columns = [cell.strip() for cell in next(line for line in page if line.startswith("| what it does |")).split("|")]
    column = columns.index(kind.name)
    told = {
        cells[1].strip(): cells[column].strip()
        for line in page
        if len(cells := line.split("|")) == len(columns) and line.startswith("| ")
    }
    yes = {True: "yes", False: "no"}
    assert told["`amr` after password and code"] == ", ".join(f"`{word}`" for word in features.amr)
    assert told["`acr`"] == ("yes" if features.acr else "no")
    assert told["`auth_time` is the last real sign-in"] == yes[features.auth_time_moves]
    assert told["`sid`"] == yes[features.sid]
    assert told["promises the answer's `iss`"] == yes[features.promises_iss]
    assert told["a refresh brings an ID token"] == yes[features.refresh_id_token]
    assert told["refresh of somebody who was let go"] == (
        f"`{features.refresh_error_of_the_dismissed}`" if features.refresh_error_of_the_dismissed else "goes on"
    )
    assert (
        told["sign-out there ends the session here"]
        == {"ends": "yes", "refused": "refused", "none": "no"}[features.back_channel_logout]
    )
    assert told["sign-out here comes back with"] == f"`{features.logout_returns}`"
    assert told["device flow"] == yes[features.device_flow]
    assert told["access tokens of RFC 9068"] == yes[features.jwt_access_token]
    assert told["these carry `amr` and `auth_time`"] == yes[features.access_token_shows_factors]
    assert told["groups in them"] == features.access_token_groups
    assert told["programs by private key"] == yes[features.private_key_jwt]
