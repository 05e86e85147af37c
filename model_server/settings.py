"""Every setting of the model server; the only reader of its environment.

A setting `queue_limit` is read from `IMPRIMATUR_MODEL_QUEUE_LIMIT`; the command line wins over the environment.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_server.limits import BodyLimits, EngineLimits

ENVIRONMENT_PREFIX = "IMPRIMATUR_MODEL_"
SHORTEST_SECRET_BYTES = 32
"""HS256 needs a key of at least the size of its hash (RFC 7518, section 3.2)."""


MOST_INPUT_PIXELS = 89_000_000
"""Pillow itself warns of a bomb a little above this."""


class SettingsError(ValueError):
    """The settings can't be right together. The message says what to change, never a secret."""


class Settings(BaseSettings):
    """Where to listen, which model to load, who may call, how much to hold."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8101, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    probe_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="A second port, plain HTTP, with /healthz, /readyz and /metrics alone: a kubelet has no client "
        "certificate. Only with TLS; absent: these answer on `port`.",
    )
    token_secret_path: Path | None = Field(None, description="File with the secret that callers sign their tokens by.")
    token_secret: SecretStr | None = Field(None, description="The same secret itself, where a file can't be mounted.")
    insecure_no_auth: bool = Field(
        False,
        description="Ask for no tokens. Only on a loopback address, or where TLS lets nobody in but `tls_client_name`.",
    )
    tls_certificate_path: Path | None = Field(
        None, description="Our certificate and its chain, PEM. With the next two: TLS, and only for callers with one."
    )
    tls_key_path: Path | None = Field(None, description="Its private key, PEM, without a passphrase.")
    tls_client_ca_path: Path | None = Field(
        None, description="Authorities, PEM, one of which must have signed the certificate of each caller."
    )
    tls_client_name: str = Field(
        "",
        max_length=512,
        description="DNS name or URI that a caller's certificate must carry as a subject alternative name; empty: any "
        "that the authorities signed.",
    )

    kind: Literal["embedded", "diffusers"] = Field("embedded", description="Which pipeline runs the model.")
    models_path: Path | None = Field(
        None, description="YAML file that lists several models; with it, the settings of a single one are not read."
    )
    path: Path | None = Field(None, description="Folder of the model; needed for diffusers, else the packaged one.")
    name: str = Field("", max_length=128, description="Id in /v1/models; empty: the model's own.")
    digest: str = Field("", description="Refuse to start unless the model's digest is this (`sha256:...`).")
    sizes: tuple[str, ...] = Field((), description="Sizes offered for a diffusers model; empty: its own only.")
    device: str = Field("cpu", description="Torch device for a diffusers model: cpu, cuda, cuda:1, mps.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Its number type.")
    threads: PositiveInt | None = Field(None, description="CPU threads; absent: torch's choice, 1 when embedded.")

    queue_limit: PositiveInt = Field(32, description="Requests that may wait; one more gets 429.")
    max_batch: PositiveInt = Field(
        16,
        le=256,
        description="Most pictures in one forward pass. The server measures at start whether fewer are as fast.",
    )
    batching: Literal["mixed", "fixed"] = Field(
        "mixed",
        description="`mixed`: pictures share passes as they come, equal up to rounding. `fixed`: each pass is padded "
        "to one number of rows, so that a picture is the same to the bit in any company; costs throughput.",
    )
    memory_share: float = Field(
        0.92, gt=0, le=1, description="Share of the device's memory that requests may fill; the rest is for surprises."
    )
    profile_seconds: float = Field(
        20.0, ge=0, le=3600, description="Longest time to measure, before ready, what a step costs at each batch size."
    )
    deadline_seconds: PositiveFloat = Field(
        600.0, le=86_400, description="A request that names no deadline is ended after so long, waiting included."
    )

    max_body_bytes: PositiveInt = Field(
        1 << 20, description="Longest JSON body: both prompts of 32,000 characters, escaped, and a full sketch."
    )
    max_upload_bytes: PositiveInt = Field(
        128_000_000, description="Longest body with pictures; one picture may have 50 MB, a mask 4 MB."
    )
    upload_memory_bytes: PositiveInt = Field(
        512_000_000,
        description="Bytes of all bodies that are held at once; a body that would need more gets 503 and Retry-After.",
    )
    upload_idle_seconds: PositiveFloat = Field(
        15.0,
        description="Longest silence in the middle of a body, then 408; and longest wait for the head of a request.",
    )
    upload_seconds: PositiveFloat = Field(120.0, description="Longest time for a whole body to arrive; then 408.")
    max_input_pixels: PositiveInt = Field(
        40_000_000,
        le=MOST_INPUT_PIXELS,
        description="Width times height of a picture sent, told from its first bytes: a small file can unpack to "
        "gigabytes. One picture takes up to ten bytes a pixel while it is read, and two are read at a time.",
    )
    send_seconds: PositiveFloat = Field(
        60.0, description="A caller that takes nothing of its answer for so long is cut off."
    )
    drain_seconds: PositiveFloat = Field(30.0, description="Time for running requests to end after SIGTERM.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line to log.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.kind == "diffusers" and self.path is None and self.models_path is None:
            raise SettingsError("kind=diffusers needs path: the folder of the model")
        if self.upload_memory_bytes < self.max_upload_bytes:
            raise SettingsError("upload_memory_bytes must hold at least one body of max_upload_bytes")
        self._check_tls()
        self._check_callers()
        return self

    @property
    def has_tls(self) -> bool:
        """Whether callers need a certificate."""
        return self.tls_certificate_path is not None

    @property
    def engine_limits(self) -> EngineLimits:
        """What the engine may take on."""
        return EngineLimits(
            queue_limit=self.queue_limit,
            max_batch=self.max_batch,
            batching=self.batching,
            memory_share=self.memory_share,
            profile_seconds=self.profile_seconds,
        )

    @property
    def body_limits(self) -> BodyLimits:
        """How much of a body is read, and for how long."""
        return BodyLimits(
            max_json_bytes=self.max_body_bytes,
            max_upload_bytes=self.max_upload_bytes,
            memory_bytes=self.upload_memory_bytes,
            idle_seconds=self.upload_idle_seconds,
            total_seconds=self.upload_seconds,
            max_pixels=self.max_input_pixels,
        )

    def _check_tls(self) -> None:
        given = [self.tls_certificate_path, self.tls_key_path, self.tls_client_ca_path]
        if any(given) and not all(given):
            raise SettingsError("tls_certificate_path, tls_key_path and tls_client_ca_path go together")
        if self.tls_client_name and not self.has_tls:
            raise SettingsError("tls_client_name needs tls_certificate_path, tls_key_path and tls_client_ca_path")
        if self.probe_port is not None and not self.has_tls:
            raise SettingsError("probe_port is for a server with TLS; without it the probes answer on port")

    def _check_callers(self) -> None:
        # An open server on a company's network makes pictures for anyone, without policy, screening or a record.
        if self.insecure_no_auth and not _is_loopback(self.host) and not self.tls_client_name:
            raise SettingsError(
                "insecure_no_auth is for a loopback host only, such as 127.0.0.1, or with TLS and tls_client_name"
            )
        if self.token_secret_path is not None and self.token_secret is not None:
            raise SettingsError("give token_secret_path or token_secret, not both")
        if not self.insecure_no_auth and self.token_secret_path is None and self.token_secret is None:
            raise SettingsError(
                "no secret to check callers' tokens by: set token_secret_path (a file of at least "
                f"{SHORTEST_SECRET_BYTES} bytes), or insecure_no_auth on a loopback host for a trial"
            )

    def read_secret(self) -> bytes | None:
        """The token secret, None when everyone may call. Raises SettingsError when it is missing or too short."""
        if self.insecure_no_auth:
            return None
        if self.token_secret_path is not None:
            try:
                secret = self.token_secret_path.read_bytes().strip()
            except OSError as error:
                raise SettingsError(f"token_secret_path can't be read: {error.strerror}") from error
        else:
            secret = self.token_secret.get_secret_value().encode() if self.token_secret else b""
        if len(secret) < SHORTEST_SECRET_BYTES:
            raise SettingsError(
                f"the token secret is too short: expected at least {SHORTEST_SECRET_BYTES} bytes, got {len(secret)}"
            )
        return secret


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
