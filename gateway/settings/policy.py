"""Which rules decide, and how they change."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt

from gateway.settings.section import Section


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
