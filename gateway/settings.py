"""Every setting of the gateway, with its unit, its default and why. The only reader of the environment.

A setting `identity.session_idle_seconds` is read from `IMPRIMATUR_IDENTITY__SESSION_IDLE_SECONDS`; structured ones
(providers, role mapping) come as JSON or, better, from the YAML file named by `IMPRIMATUR_CONFIG`.
`imprimatur doctor` prints them all with their source; secrets are given as paths of files, never as values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PositiveFloat, PositiveInt, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from audit import FeedSettings, KeyServiceSettings, WitnessSettings
from gateway.claim_profiles import PresetName, filled
from gateway.vocabulary import Role

CONFIG_VARIABLE = "IMPRIMATUR_CONFIG"


class Section(BaseModel):
    """A group of settings; unknown names are errors, so that a typing slip can't switch a protection off."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class BundleSettings(Section):
    """Signed bundles of the rules, for OPA servers to fetch."""

    name: str = Field(
        "imprimatur", pattern="^[a-z][a-z0-9-]{0,63}$", description="They are served at `/bundles/NAME.tar.gz`."
    )
    signing_key_path: Path | None = Field(
        None, description="File with the private key (PEM, P-256 or RSA) that signs them. Empty = none are served."
    )
    key_id: str = Field("", max_length=64, description="The id by which OPA servers know that key; must be given.")
    token_path: Path | None = Field(
        None, description="File with the bearer token of the OPA servers; must be given when bundles are served."
    )
    requests_per_minute: PositiveInt = Field(120, description="More requests from one address are refused for a while.")
    lag_seconds: PositiveFloat = Field(
        60.0, description="An OPA server that runs older rules for longer counts as lagging in the metrics."
    )


class ReplaySettings(Section):
    """What the rules saw of past requests, and what is tried on it."""

    keep_days: int = Field(
        14,
        ge=1,
        le=30,
        description="What the rules saw of a picture's request is kept this long for replays: never prompts, and never "
        "longer than its record. People whose records are kept shorter are left out.",
    )
    minutes_per_review: PositiveFloat = Field(
        3.0, description="What one review costs a reviewer; replays count with it."
    )
    max_seconds: PositiveFloat = Field(1800.0, description="A replay that takes longer is ended (30 min).")
    shadow_alarm_share: float = Field(
        0.02, ge=0, le=1, description="Rules in the shadow that decide more than this share differently raise an alarm."
    )


class PolicySettings(Section):
    engine: Literal["embedded", "opa"] = Field("embedded", description="Rego in process, or an OPA server.")
    source: Literal["folder", "managed"] = Field(
        "folder",
        description="Whose word the rules are: the folder's, which your own deployment changes, or the database's, "
        "changed by drafts and a second person's approval. Managed rules begin as the folder's.",
    )
    directory: Path = Field(Path("policies"), description="The bundle's folder; also holds the detectors' rules.")
    poll_seconds: PositiveFloat = Field(0.5, description="How often managed rules are looked up in the database.")
    coverage_percent: float = Field(
        100.0, ge=0, le=100, description="Share of rule lines that a draft's tests must run before it can be proposed."
    )
    require_replay: bool = Field(
        False, description="Whether a draft can only be proposed with a replay of it: whom it would have hit."
    )
    break_glass_minutes: PositiveInt = Field(
        240, description="The longest that one person's edit is in force before the approved rules come back."
    )
    reload_seconds: PositiveFloat = Field(1.0, description="How often the folder is looked at for changes.")
    decision_timeout_seconds: PositiveFloat = Field(0.25, description="A decision that takes longer is a denial.")
    opa_url: HttpUrl | None = Field(None, description="Address of the OPA server when engine is `opa`.")
    opa_token_path: Path | None = Field(None, description="File with the bearer token for OPA, if it asks for one.")
    opa_rules_from: Literal["gateway", "folder", "elsewhere"] = Field(
        "folder",
        description="Where the OPA server has its rules from: our signed bundles (`bundles`), the same `directory` as "
        "ours, or another server. Answers of other rules are denials.",
    )
    opa_stale_minutes: PositiveFloat = Field(
        10.0,
        description="Answers are denials when OPA's rules were replaced longer ago; with rules from elsewhere, when "
        "OPA did not hear for longer that they are current.",
    )
    bundles: BundleSettings = Field(
        BundleSettings(), description="How the rules are handed to OPA servers: signed, and with a token only."
    )
    replay: ReplaySettings = Field(ReplaySettings(), description="What the rules saw, kept for replays, and shadows.")
    breaker_failures: PositiveInt = Field(5, description="After this many failures in a row OPA is left alone a while.")
    breaker_open_seconds: PositiveFloat = Field(2.0, description="How long that while is.")


class PictureClassifier(Section):
    """One ONNX classifier of the operator's: input (1, 3, side, side) of RGB with ImageNet's mean and spread."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Names it in records.")
    category: Literal["violence", "hate-symbols", "likeness", "medical-gore", "weapons", "drugs"] = Field(
        description="What it looks for; its findings are `picture.` and this."
    )
    path: Path = Field(description="The ONNX file, on every replica.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Its SHA-256. Another file is not run.")
    side: int = Field(224, ge=32, le=1024, description="Pixels a side of its input.")
    output: int = Field(1, ge=0, description="Which of its outputs is the category's, from 0.")
    softmax: bool = Field(True, description="Whether its outputs are logits. False: probabilities already.")
    review: float = Field(0.5, ge=0, le=1, description="Score from which a person has to look.")
    deny: float = Field(0.9, ge=0, le=1, description="Score from which it is refused.")


class ScreeningSettings(Section):
    timeout_seconds: PositiveFloat = Field(
        0.5, description="Screening that takes longer yields `screening.unavailable`."
    )
    picture_timeout_seconds: PositiveFloat = Field(
        20.0,
        description="Looking at a picture, the wait for a worker included, that takes longer yields "
        "`screening.unavailable`.",
    )
    picture_workers: PositiveInt = Field(
        2, description="Processes that look at pictures, each with one core and about 0.4 GB; started when needed."
    )
    picture_classifiers: tuple[PictureClassifier, ...] = Field(
        (), description="Your own ONNX classifiers for what no shipped detector looks for, such as violence."
    )
    memorisation_days: int = Field(
        7,
        ge=0,
        description="How long a finished picture's fingerprint is kept beside a pseudonym, to see a model give the "
        "same picture to different people for different prompts. 0 = nothing is kept and nothing seen.",
    )
    upload_timeout_seconds: PositiveFloat = Field(
        20.0, description="Decoding a request's uploads that takes longer yields `screening.unavailable`."
    )
    semantic: Literal["on", "off"] = Field(
        "on", description="Whether prompts are also read for their meaning. Off: words only, on your word."
    )
    semantic_timeout_seconds: PositiveFloat = Field(
        2.0, description="Reading a text for its meaning that takes longer yields `screening.unavailable`."
    )
    reload_seconds: PositiveFloat = Field(1.0, description="How often the rule files are looked at for changes.")
    lists_path: Path | None = Field(
        None, description="Folder of imported lists. None: `lists` in the folder of the rules."
    )
    hints_per_minute: PositiveInt = Field(
        600, description="Hints while typing, a person. The studio asks after each pause, not after each key."
    )
    moderations_per_minute: PositiveInt = Field(300, description="Requests to /v1/moderations a person.")
    secret_path: Path = Field(
        Path("state/secrets/screening.key"), description="File with the key of the HMACs that stand for found values."
    )


class CertificateFiles(Section):
    """A certificate that signs Content Credentials."""

    chain_path: Path = Field(description="Its chain in PEM, the signer's own certificate first.")
    key_path: Path = Field(description="Its private key in PEM (P-256, Ed25519 or RSA), mode 0600.")


class ProvenanceSettings(Section):
    """Content Credentials, watermark and fingerprints of pictures."""

    directory: Path = Field(
        Path("state/provenance"),
        description="Folder of the first certificate set, made by `imprimatur provenance init`.",
    )
    certificates: tuple[CertificateFiles, ...] = Field(
        (),
        description="Your own certificates (`chain_path`, `key_path` each); the newest valid one signs. Empty = the "
        "set in `directory`.",
    )
    trust_anchor_paths: tuple[Path, ...] = Field(
        (), description="Roots in PEM whose Content Credentials are trusted, beside that of the set in `directory`."
    )
    watermark_secret_path: Path = Field(
        Path("state/secrets/watermark.key"),
        description="File with the secret of the invisible watermark (32+ characters). Losing it loses all marks.",
    )
    older_watermark_secret_paths: tuple[Path, ...] = Field(
        (), description="Secrets of before, which still read what they marked; each makes a check slower."
    )
    block_list_path: Path | None = Field(
        None, description="File with PDQ fingerprints of pictures nobody may make or send, one a line with a label."
    )
    create_keys: bool = Field(
        False, description="Make a certificate set and the watermark's secret at start where none are; for trials."
    )
    remember_days: int = Field(
        365,
        ge=1,
        description="How long a check knows a picture by watermark or fingerprint. No person is kept with it.",
    )
    check_timeout_seconds: PositiveFloat = Field(
        20.0, description="Taking a picture apart for a check that takes longer is given up."
    )
    checks_per_minute: PositiveInt = Field(30, description="Pictures one person may have checked in a minute.")


class CreditSettings(Section):
    first_month: int = Field(50, ge=0, description="Credits granted in a person's first month.")
    each_month: int = Field(15, ge=0, description="Credits granted in each later month; free ones expire with it.")


class UpstreamSettings(Section):
    url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8101"), description="The image server, without `/v1`.")
    secret_path: Path = Field(
        Path("state/secrets/model-server.key"),
        description="File with the secret that signs our short-lived tokens to it.",
    )
    default_model: str = Field("imprimatur-embedded", description="Model used when a request names none.")
    connect_seconds: PositiveFloat = Field(2.0, description="Time to reach it.")
    tls_ca_path: Path | None = Field(
        None, description="CA that its certificate must come from; when given, no other is trusted, not the system's."
    )
    tls_certificate_path: Path | None = Field(
        None, description="Our client certificate, for a server that asks for one (mTLS)."
    )
    tls_key_path: Path | None = Field(None, description="The certificate's private key.")
    read_seconds: PositiveFloat = Field(120.0, description="Longest silence while a picture is being made.")
    total_seconds: PositiveFloat = Field(
        300.0, description="Longest time one request may take in all; the model server is told, as a deadline."
    )
    max_connections: PositiveInt = Field(256, description="Open connections to it.")
    max_picture_bytes: PositiveInt = Field(32 << 20, description="Largest encoded picture accepted from it.")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tls_certificate_path is None) != (self.tls_key_path is None):
            raise ValueError("upstream: tls_certificate_path and tls_key_path go together")
        return self


class AuditSection(Section):
    directory: Path = Field(
        Path("state/audit"), description="Where the log's day files live; with a database, its keys and lists only."
    )
    database_url_path: Path | None = Field(
        None,
        description="File with postgresql://user:password@host/name: the records go there, and many gateways may write "
        "them. `directory` is then a folder that they share, outside the database's backups. None = day files.",
    )
    kek_path: Path = Field(
        Path("state/secrets/audit-kek.key"),
        description="Key-encryption key (32 bytes, mode 0600); unused where `key_service` says something else.",
    )
    key_service: KeyServiceSettings | None = Field(
        None, description="What wraps the day keys instead of a file: OpenBao or Vault, AWS KMS, a PKCS#11 token."
    )
    signing_key_path: Path = Field(
        Path("state/secrets/audit-signing.key"), description="Ed25519 key of the checkpoints."
    )
    witness_path: Path = Field(
        Path("state/witness/checkpoints.txt"), description="Append-only copy of the checkpoints, best on another disk."
    )
    origin: str = Field(
        "imprimatur.local/audit", description="The log's name in its checkpoints (C2SP tlog-checkpoint)."
    )
    witnesses: tuple[WitnessSettings, ...] = Field(
        (), description="Witnesses over the network: C2SP witnesses, time stamping authorities (RFC 3161)."
    )
    feeds: tuple[FeedSettings, ...] = Field((), description="Where records are sent on to: syslog over TLS, webhooks.")
    opening_mfa_seconds: int = Field(
        300, ge=30, le=3600, description="Approving a case and opening content need MFA not older than this (5 min)."
    )
    clock_settle_seconds: float = Field(
        3600.0,
        ge=0,
        description="A clock that leapt ahead destroys nothing until it kept its time this long (1 h); 0 trusts any.",
    )
    disk_refuse_fraction: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Below this free share of the disk no new request is taken; reads and purge go on.",
    )
    create_keys: bool = Field(False, description="Make missing keys at start. For a first start only.")
    sweep_seconds: PositiveFloat = Field(30.0, description="How often open tickets of crashed requests are concluded.")
    orphan_seconds: PositiveFloat = Field(600.0, description="A ticket open for longer is taken for crashed.")


class ServerSettings(Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8100, ge=0, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "http://127.0.0.1:8100", description="The address people type; redirects and Origin checks use it."
    )
    max_body_bytes: PositiveInt = Field(1 << 20, description="Largest JSON body; pictures have their own limit.")
    max_upload_bytes: PositiveInt = Field(
        128 << 20, description="Largest body with pictures (edits, variations), all files of a request together."
    )
    upload_room_bytes: PositiveInt = Field(
        512 << 20, description="Memory for the uploads of all requests together; more get 429 and `retry-after`."
    )
    upload_seconds: PositiveFloat = Field(
        60.0, description="A body with pictures that takes longer to arrive is refused."
    )
    requests_per_minute: PositiveInt = Field(60, description="Image requests one person may send in a minute.")
    max_in_flight: PositiveInt = Field(256, description="Requests being worked on at once; more get 429.")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Networks whose X-Forwarded-For we believe. None by default."
    )
    drain_seconds: PositiveFloat = Field(30.0, description="How long a stopping server lets running requests finish.")
    clock_offset_seconds: int = Field(
        0, description="Shifts the gateway's own clock, for demonstrations and tests of retention. Leave at 0."
    )


class Settings(BaseSettings):
    """All of it. Frozen: what a process started with is what it runs with."""

    model_config = SettingsConfigDict(
        env_prefix="IMPRIMATUR_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    database_url: Annotated[
        str, Field(description="SQLAlchemy URL: sqlite+aiosqlite:///… or postgresql+asyncpg://…")
    ] = "sqlite+aiosqlite:///state/gateway.sqlite"
    pictures_path: Annotated[
        Path, Field(description="Folder of pictures asked for by address: encrypted, kept an hour.")
    ] = Path("state/pictures")
    server: ServerSettings = ServerSettings()
    identity: IdentitySettings = IdentitySettings()
    policy: PolicySettings = PolicySettings()
    screening: ScreeningSettings = ScreeningSettings()
    provenance: ProvenanceSettings = ProvenanceSettings()
    credits: CreditSettings = CreditSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    audit: AuditSection = AuditSection()

    @model_validator(mode="after")
    def _one_name_a_provider(self) -> Self:
        names = [p.name for p in self.identity.providers]
        if len(names) != len(set(names)):
            raise ValueError("identity.providers: each needs a name of its own, because actor ids begin with it")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the YAML file."""
        path = os.environ.get(CONFIG_VARIABLE)
        yaml = (YamlConfigSettingsSource(settings_cls, yaml_file=Path(path)),) if path else ()
        return (init_settings, env_settings, *yaml)
