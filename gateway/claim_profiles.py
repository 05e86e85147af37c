"""Ready claim profiles: how the usual providers show groups and a second factor. A provider's `preset` names one.

Data only, so that settings can fill themselves from it. Whatever a setting says itself wins over its preset, member by
member. Three were tried with the real server (the tests under `tests/interop` run them); the others come from their
vendors' documentation and were never tried: sign in once with `imprimatur doctor idp` before you rely on one.

No preset makes a weak sign-in pass: each names what proves a second factor, and what does not come is no proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

PresetName = Literal["canaille", "entra", "glewlwyd", "google", "keycloak", "oidc-provider", "okta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a provider's settings are unless they say otherwise."""

    label: str
    profile: Mapping[str, Any]
    """Members of the setting `profile`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other members of the provider."""
    tested_with: str = ""
    """The version of the real server that the tests run; empty: from documentation, untested."""
    sources: tuple[str, ...] = ()
    """Where the vendor says so."""
    needs: tuple[str, ...] = ()
    """What has to be set up there, in the order in which it is done."""


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "canaille": Preset(
            label="canaille",
            # Two factors by name: its word `mfa` counts steps, and a one-time code alone makes two of them.
            profile={"mfa_amr_two_distinct_of": ("pwd", "otp"), "trusts_auth_time": True},
            settings={"scopes": ("openid", "profile", "email", "groups")},
            tested_with="0.3.6",
            sources=("https://canaille.readthedocs.io/",),
            needs=(
                "Give the client an audience; without one its ID tokens say `aud: []` and are refused.",
                "Allow the grants `authorization_code` and `refresh_token` only: `password` asks for no one-time code.",
            ),
        ),
        "entra": Preset(
            label="Microsoft Entra ID",
            profile={
                "mfa_acrs_any_of": ("c1",),
                "mfa_amr_any_of": ("mfa",),
                # Its single sign-on may answer from weeks ago, so the moment has to come from there.
                "trusts_auth_time": True,
                "department_claim": "",
            },
            sources=(
                "https://learn.microsoft.com/en-us/entra/identity-platform/optional-claims-reference",
                "https://learn.microsoft.com/en-us/entra/identity-platform/developer-guide-conditional-access-authentication-context",
                "https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference",
            ),
            needs=(
                "Token configuration: add the optional claims `acrs`, `auth_time` and `email` to ID tokens, and the "
                "groups claim (assigned groups only: who is in more than 200 gets none).",
                "Protection, Conditional Access: make the authentication context `c1`, and a policy that asks for "
                "multifactor authentication for it. Tokens of version 2.0 carry no `amr`, so this is the proof.",
                "Groups arrive as object ids: map those under `identity.roles`.",
            ),
        ),
        "glewlwyd": Preset(
            label="glewlwyd",
            # `auth_time` is 0 for an application that exchanges its code without the person's cookies, as all do.
            profile={
                "mfa_amr_two_distinct_of": ("password", "otp"),
                "trusts_auth_time": False,
                "logout_token_typ_jwt": True,
            },
            tested_with="2.7.5",
            sources=("https://github.com/babelouest/glewlwyd/blob/v2.7.5/docs/OIDC.md",),
            needs=(
                "Ask for a scope that needs the one-time code, beside `openid`, in the setting `scopes`.",
                "Give the client's property `post_logout_redirect_uris` (plural; add it to the client module's data).",
            ),
        ),
        "google": Preset(
            label="Google Workspace",
            profile={"mfa_amr_any_of": ("mfa",), "trusts_auth_time": True, "groups_claim": "groups"},
            sources=(
                "https://developers.google.com/identity/openid-connect/openid-connect",
                "https://developers.google.com/identity/siwg/security-bundle",
            ),
            needs=(
                "Have your app verified and switch its session claims on: without them Google sends neither `amr` nor "
                "`auth_time`, and everybody is refused. That administrators enforce 2-Step Verification is not in any "
                "claim, so it counts for nothing here.",
                "Groups are in no claim either: provision them over SCIM (`scim.gives_groups`).",
            ),
        ),
        "keycloak": Preset(
            label="Keycloak",
            profile={
                "mfa_acr_in": ("2",),
                "mfa_amr_two_distinct_of": ("pwd", "otp"),
                "trusts_auth_time": True,
                "department_claim": "department",
            },
            settings={"acr_values": "2"},
            sources=(
                "https://www.keycloak.org/docs/latest/server_admin/#_step-up-flow",
                "https://www.keycloak.org/docs/latest/server_admin/#_mapping-acr-to-loa-realm",
            ),
            needs=(
                "A browser flow with the condition Level of Authentication: 1 for the password, 2 for the one-time "
                "code. Without it `acr` is never 2.",
                "A mapper Group Membership to the claim `groups`, full path off, on ID token and userinfo.",
            ),
        ),
        "oidc-provider": Preset(
            label="npm's oidc-provider",
            profile={"mfa_amr_two_distinct_of": ("pwd", "otp"), "trusts_auth_time": True},
            settings={"scopes": ("openid", "profile", "email", "groups")},
            tested_with="9.13.3",
            sources=("https://github.com/panva/node-oidc-provider/blob/main/docs/README.md",),
            needs=(
                "Its `acr` values are yours: name those that stand for two factors in `mfa_acr_in`.",
                "Put `acr`, `amr` and `auth_time` among the claims of the scope `openid`, or ID tokens lack them.",
            ),
        ),
        "okta": Preset(
            label="Okta",
            profile={"mfa_amr_any_of": ("mfa",), "trusts_auth_time": True, "department_claim": "department"},
            settings={"scopes": ("openid", "profile", "email", "groups")},
            sources=(
                "https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/",
                "https://developer.okta.com/docs/guides/step-up-authentication/main/",
            ),
            needs=(
                "An authentication policy of the app that asks for two factor types at every sign-in; `amr` says `mfa` "
                "when two were given.",
                "A groups claim in the app's ID token (a filter that takes only the groups you map).",
            ),
        ),
    }
)


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's settings as given, with what its preset says wherever they say nothing."""
    preset = PRESETS.get(str(given.get("preset") or ""))
    if preset is None:
        return dict(given)
    own = given.get("profile") or {}
    if not isinstance(own, Mapping):  # settings made in code: what was set there, and no defaults
        own = own.model_dump(exclude_unset=True)
    return {**preset.settings, **given, "profile": {**preset.profile, **own}}
