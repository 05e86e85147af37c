"""Every setting of the gateway, with its unit, its default and why. The only reader of the environment.

A setting `identity.session_idle_seconds` is read from `IMPRIMATUR_IDENTITY__SESSION_IDLE_SECONDS`; structured ones
(providers, role mapping) come as JSON or, better, from the YAML file named by `IMPRIMATUR_CONFIG`.
`imprimatur doctor` prints them all with their source; secrets are given as paths of files, never as values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from gateway.settings.identity import (
    OWN_NAMES,
    ClaimProfile,
    EmergencySettings,
    IdentitySettings,
    Provider,
    ScimSettings,
    ThrottleSettings,
)
from gateway.settings.operation import AuditSection, CreditSettings, ServerSettings, UpstreamSettings
from gateway.settings.pictures import CertificateFiles, PictureClassifier, ProvenanceSettings, ScreeningSettings
from gateway.settings.policy import BundleSettings, PolicySettings, ReplaySettings
from gateway.settings.section import Section

__all__ = [
    "CONFIG_VARIABLE",
    "OWN_NAMES",
    "AuditSection",
    "BundleSettings",
    "CertificateFiles",
    "ClaimProfile",
    "CreditSettings",
    "EmergencySettings",
    "IdentitySettings",
    "PictureClassifier",
    "PolicySettings",
    "Provider",
    "ProvenanceSettings",
    "ReplaySettings",
    "ScimSettings",
    "ScreeningSettings",
    "Section",
    "ServerSettings",
    "Settings",
    "ThrottleSettings",
    "UpstreamSettings",
]

CONFIG_VARIABLE = "IMPRIMATUR_CONFIG"


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
