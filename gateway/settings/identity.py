"""Who may come in: providers, sessions, keys, provisioning, emergencies."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from gateway.claim_profiles import PresetName, filled
from gateway.settings.section import Section
from gateway.vocabulary import Role


class ClaimProfile(Section):
    """How one provider shows what we need to know. Unknown = no MFA."""

    mfa_acr_in: tuple[str, ...] = Field((), description="An `acr` in this list proves a second factor.")
    mfa_amr_any_of: tuple[str, ...] = Field((), description="An `amr` with any of these proves a second factor.")
    mfa_amr_two_distinct_of: tuple[str, ...] = Field(
        (), description="An `amr` with at least two different of these proves a second factor."
    )
    mfa_acrs_any_of: tuple[str, ...] = Field(
        (), description="An `acrs` (Entra's authentication contexts) with any of these proves a second factor."
    )
    mfa_by_userinfo_claim: str = Field(
        "",
        description="A userinfo claim whose truth says that this account can't sign in without a second factor "
        "(for providers that send neither acr nor amr).",
    )
    trusts_auth_time: bool = Field(False, description="Whether `auth_time` may date the MFA; else our own clock does.")
    logout_token_typ_jwt: bool = Field(
        False, description="Whether its logout tokens may say `typ: JWT` instead of `logout+jwt`."
    )
    groups_claim: str = Field("groups", description="Claim that holds the groups.")
    groups_form: Literal["list", "comma-string"] = Field("list", description="How that claim is written.")
    department_claim: str = Field("department", description="Claim that holds the department; empty when absent.")
    name_claims: tuple[str, ...] = Field(
        ("name", "preferred_username", "email"), description="First of these that is present is the display name."
    )


class ScimSettings(Section):
    """One provider's SCIM client. What it provisions are people of that provider and no other."""

    token_path: Path = Field(description="File with the bearer token (32+ characters) that the SCIM client shows.")
    subject_from: Literal["externalId", "userName", "id"] = Field(
        "externalId", description="Which SCIM attribute says who it is: equal to `subject_claim` in the ID tokens."
    )
    subject_claim: str = Field(
        "sub",
        min_length=1,
        description="Claim of this provider's tokens that the directory knows somebody by. Entra ID's `sub` is another "
        "for each application and in no directory: there it is `oid`, and `externalId` is mapped to the object id.",
    )
    is_required: bool = Field(False, description="Whether only people who were provisioned may sign in.")
    gives_groups: bool = Field(
        False, description="Whether the groups of a provisioned person count as well, beside those in tokens."
    )


class ThrottleSettings(Section):
    """How often one network, and one account from one network, may try to get in."""

    network_per_minute: PositiveInt = Field(
        120, description="Sign-ins begun by unknown browsers, a network (IPv4 address, IPv6 /64)."
    )
    refusals_per_minute: PositiveInt = Field(
        20, description="Refused credentials (keys, tokens, sessions) from one network before it has to wait."
    )
    account_refusals: PositiveInt = Field(
        5, description="Refused answers about one account from one network before that pair has to wait."
    )
    wait_seconds: PositiveInt = Field(60, description="The first wait; each further one is twice as long.")
    longest_wait_seconds: PositiveInt = Field(3600, description="No wait is longer than this.")


class EmergencySettings(Section):
    """Break-glass: two sealed accounts for the day when the provider is away or the admins are locked out."""

    open_seconds: int = Field(3600, ge=300, le=3600, description="How long an opened emergency lasts (60 min at most).")
    second_person_seconds: PositiveInt = Field(
        600, description="How long the second person may take to agree (10 min)."
    )
    drill_days: PositiveInt = Field(90, description="A seal that was not tried for so long is reported as overdue.")


OWN_NAMES: Final = frozenset({"service", "emergency", "system"})
"""What ids of actors that no provider vouches for begin with."""


class Provider(Section):
    """One OpenID Connect issuer."""

    name: str = Field(pattern=r"[a-z][a-z0-9-]{0,30}", description="Short name; part of actor ids, never change it.")
    label: str = Field("Company sign-in", description="What the sign-in button says.")
    preset: PresetName | None = Field(
        None,
        description="Ready claim profile of a usual provider (see Claim profiles); what is set here wins over it.",
    )
    issuer: str = Field(description="The exact `iss` that its tokens carry; discovery must name the same.")
    client_id: str = Field(min_length=1, description="Our client id there.")
    client_secret_path: Path | None = Field(None, description="File with our client secret.")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="Scopes asked for at sign-in.")
    algorithms: tuple[Literal["RS256", "ES256", "Ed25519"], ...] = Field(
        ("RS256",), description="Signature algorithms accepted from this issuer. Pinned: discovery can't widen it."
    )
    access_token_audience: str = Field(
        "", description="`aud` that a bearer access token must carry; empty = refuse all."
    )
    acr_values: str = Field("", description="`acr_values` sent when asking for a second factor.")
    profile: ClaimProfile = Field(default_factory=lambda: ClaimProfile(), description="How its claims are to be read.")
    recheck_seconds: int = Field(
        600,
        ge=60,
        le=3600,
        description="Sessions ask the provider by refresh token whether the person may still come in, this often "
        "(10 min). Only where it gives us refresh tokens (usually for the scope offline_access).",
    )
    device_client_id: str = Field(
        "", description="Public client that `imprimatur login` signs in with (RFC 8628); empty = no device sign-in."
    )
    scim: ScimSettings | None = Field(None, description="Provisioning of this provider's people over SCIM 2.0.")

    @model_validator(mode="before")
    @classmethod
    def _filled_from_preset(cls, given: object) -> object:
        return filled(given) if isinstance(given, dict) else given

    @field_validator("name")
    @classmethod
    def _is_not_ours(cls, name: str) -> str:
        # Actor ids begin with it: a provider called "service" could say that its people are our service accounts.
        if name in OWN_NAMES:
            raise ValueError(f"a provider can't be called {name}: ids that begin so are Imprimatur's own")
        return name


class IdentitySettings(Section):
    providers: tuple[Provider, ...] = Field((), description="Issuers whose people may come in. None = nobody may.")
    roles: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict, description="Provider group -> roles. An unknown group gives nothing."
    )
    session_idle_seconds: PositiveInt = Field(1800, description="A session unused for this long ends (30 min).")
    session_idle_admin_seconds: PositiveInt = Field(
        600, description="The same for people with the role admin (10 min)."
    )
    session_absolute_seconds: PositiveInt = Field(
        28800, description="A session ends after this long, used or not (8 h)."
    )
    cookie_secure: bool = Field(
        True, description="`__Host-` cookies with Secure. Switch off only for plain http on loopback (the demo)."
    )
    secret_path: Path = Field(
        Path("state/secrets/identity.key"),
        description="File with 32+ random bytes: signs the sign-in cookie, peppers API keys, encrypts refresh tokens.",
    )
    key_default_days: PositiveInt = Field(30, description="How long an API key lives unless asked otherwise.")
    key_max_days: PositiveInt = Field(90, description="How long a person's API key may live at most.")
    service_key_max_days: PositiveInt = Field(180, description="How long a service account's key may live at most.")
    proposal_days: PositiveInt = Field(7, description="A proposal that nobody decided ends after this.")
    throttle: ThrottleSettings = Field(ThrottleSettings(), description="How often strangers may try to get in.")
    emergency: EmergencySettings = Field(EmergencySettings(), description="Break-glass.")
    key_mint_mfa_seconds: PositiveInt = Field(300, description="Minting a key needs MFA not older than this (5 min).")
    groups_max_age_days: PositiveInt = Field(
        30,
        description="API keys rest when their owner has not signed in for this long: only a sign-in tells us that the "
        "person is still with the company, and in which groups.",
    )
    jwks_ttl_seconds: PositiveInt = Field(600, description="How long an issuer's keys are cached.")
    jwks_refresh_floor_seconds: PositiveInt = Field(
        30, description="At most one key fetch an issuer in this time, however many unknown key ids arrive."
    )
    clock_leeway_seconds: int = Field(30, ge=0, le=120, description="Tolerance for exp, nbf and iat.")
