"""What surrounds a request: server, image server, log, credits."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, model_validator

from audit import FeedSettings, KeyServiceSettings, WitnessSettings
from gateway.settings.section import Section


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
