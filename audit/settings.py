"""Settings of one log. Read from whoever opens it; this package never reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from audit.keys.services.settings import AnyKeyServiceSettings, FileServiceSettings, KeyServiceSettings
from audit.record import NAME_PATTERN
from audit.retention.rules import RetentionRules
from audit.witness.settings import WitnessSettings

Name = Annotated[str, Field(pattern=NAME_PATTERN)]

# A checkpoint's origin is a schema-less URL without spaces or plus (C2SP tlog-checkpoint, signed-note).
ORIGIN_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~:/-]{0,199}$"


class AuditSettings(BaseModel):
    """Where a log lives, who signs it, how long its content stays readable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path = Field(description="Day files, tree and wrapped keys. One process at a time.")
    kek_path: Path | None = Field(
        default=None,
        description="File of 32 random bytes that wraps every day key. Mode 0600. Outside backups. Short for a "
        "`key_service` of the kind `file`.",
    )
    key_service: KeyServiceSettings | None = Field(
        default=None, description="What wraps the day keys: a file, OpenBao or Vault, AWS KMS, or a PKCS#11 token."
    )
    signing_key_path: Path | None = Field(
        default=None,
        description="Ed25519 private key (PKCS #8 PEM, mode 0600) of the checkpoints; a snapshot needs none.",
    )
    origin: str = Field(pattern=ORIGIN_PATTERN, description="Name of this log in every checkpoint; never reuse one.")
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host/name: the records go there, many processes may write them, and "
        "`directory` holds keys and checkpoint only. Without it, day files in `directory`.",
    )
    database_reader_connections: int = Field(
        default=2, ge=1, le=64, description="Searches that run at once in one process."
    )
    database_lock_timeout_seconds: float = Field(
        default=5.0, ge=0.1, le=60, description="How long a statement waits for a lock before it gives up."
    )
    database_statement_timeout_seconds: float = Field(
        default=10.0, ge=1, le=300, description="How long one statement of the writer or the integrator may take."
    )
    database_lease_seconds: float = Field(
        default=5.0,
        ge=0.2,
        le=300,
        description="How long the process that signs may be silent before another takes its place.",
    )
    node: Name = Field(default="node", description="Name of this process in its records.")
    tenant: Name = Field(default="default", description="Tenant of the log's own records (purge).")
    create_keys: bool = Field(default=False, description="Create missing key files on first start; else refuse.")
    retention_days: int = Field(
        default=30, ge=1, le=3650, description="Whole days content stays readable after the day it was written on."
    )
    retention_days_by_class: Mapping[Name, Annotated[int, Field(ge=1, le=3650)]] = Field(
        default_factory=dict, description="Classes of records that are kept another number of whole days."
    )
    clock_settle_seconds: float = Field(
        default=3600.0,
        ge=0,
        description="A clock that leapt ahead destroys nothing until it kept its time this long; 0 trusts any clock.",
    )
    witness_path: Path | None = Field(
        default=None, description="Append-only file that gets each checkpoint; must lie outside `directory`."
    )
    witnesses: tuple[WitnessSettings, ...] = Field(
        default=(), description="More witnesses: C2SP witnesses over HTTP, time stamping authorities (RFC 3161)."
    )
    opening_mfa_seconds: int = Field(
        default=300, ge=30, le=3600, description="Approvals and openings need a second factor not older than this."
    )
    accept_no_mfa_evidence: bool = Field(
        default=False, description="Let officers act without one, which goes on record: for the command line."
    )
    checkpoint_interval_seconds: float = Field(
        default=1.0, ge=0.01, le=3600, description="A moved tree is signed this often: the window of exposure."
    )
    max_pending: int = Field(default=4096, ge=1, description="Records waiting for the writer; more are refused.")
    max_batch: int = Field(default=256, ge=1, le=4096, description="Records in one commit.")
    max_content_bytes: int = Field(default=1 << 20, ge=1024, description="Largest sealed body of one record.")
    read_timeout_seconds: float = Field(default=10.0, gt=0, description="A search that takes longer is stopped.")
    disk_refuse_fraction: float = Field(
        default=0.05, ge=0, lt=1, description="Intents are refused below this free share of the disk."
    )

    def retention_rules(self) -> RetentionRules:
        """How long each class is kept."""
        return RetentionRules(self.retention_days, self.retention_days_by_class)

    def key_service_settings(self) -> AnyKeyServiceSettings:
        """What wraps the day keys."""
        if self.key_service is not None:
            return self.key_service
        assert self.kek_path is not None  # noqa: S101  # held by _one_key_service, for the type checker
        return FileServiceSettings(kind="file", path=self.kek_path)

    @model_validator(mode="after")
    def _one_key_service(self) -> AuditSettings:
        if (self.kek_path is None) == (self.key_service is None):
            raise ValueError("give either kek_path or key_service, and not both")
        names = [witness.name for witness in self.witnesses]
        if len(names) != len(set(names)):
            raise ValueError("each of the witnesses needs a name of its own")
        return self

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and url.get_secret_value().partition("://")[0].split("+")[0] not in (
            "postgresql",
            "postgres",
        ):
            raise ValueError("database_url must begin with postgresql://")  # without quoting it: it holds a password
        return url

    @model_validator(mode="after")
    def _witness_is_outside(self) -> AuditSettings:
        # Whoever can roll the store back by restoring its directory must not roll the witness back with it.
        if self.witness_path is not None and self.witness_path.absolute().is_relative_to(self.directory.absolute()):
            raise ValueError("witness_path must lie outside directory")
        return self
