"""Every setting of the model server; the only reader of its environment.

A setting `queue_limit` is read from `IMPRIMATUR_MODEL_QUEUE_LIMIT`; the command line wins over the environment.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENVIRONMENT_PREFIX = "IMPRIMATUR_MODEL_"
SHORTEST_SECRET_BYTES = 32
"""HS256 needs a key of at least the size of its hash (RFC 7518, section 3.2)."""


class SettingsError(ValueError):
    """The settings can't be right together. The message says what to change, never a secret."""


class Settings(BaseSettings):
    """Where to listen, which model to load, who may call, how much to hold."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8101, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    token_secret_path: Path | None = Field(None, description="File with the secret that callers sign their tokens by.")
    token_secret: SecretStr | None = Field(None, description="The same secret itself, where a file can't be mounted.")
    insecure_no_auth: bool = Field(False, description="Serve anyone, without tokens. Only on a loopback address.")

    kind: Literal["embedded", "diffusers"] = Field("embedded", description="Which pipeline runs the model.")
    path: Path | None = Field(None, description="Folder of the model; needed for diffusers, else the packaged one.")
    name: str = Field("", max_length=128, description="Id in /v1/models; empty: the model's own.")
    digest: str = Field("", description="Refuse to start unless the model's digest is this (`sha256:...`).")
    sizes: tuple[str, ...] = Field((), description="Sizes offered for a diffusers model; empty: its own only.")
    device: str = Field("cpu", description="Torch device for a diffusers model: cpu, cuda, cuda:1, mps.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Its number type.")
    threads: PositiveInt | None = Field(None, description="CPU threads of the model; absent: torch's own choice.")

    queue_limit: PositiveInt = Field(32, description="Requests that may wait; one more gets 429.")
    max_body_bytes: PositiveInt = Field(256 << 10, description="Longest request body: 32,000 characters, escaped.")
    drain_seconds: PositiveFloat = Field(30.0, description="Time for running requests to end after SIGTERM.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line to log.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.kind == "diffusers" and self.path is None:
            raise SettingsError("kind=diffusers needs path: the folder of the model")
        if self.insecure_no_auth and not _is_loopback(self.host):
            raise SettingsError("insecure_no_auth is for a loopback host only, such as 127.0.0.1")
        if self.token_secret_path is not None and self.token_secret is not None:
            raise SettingsError("give token_secret_path or token_secret, not both")
        if not self.insecure_no_auth and self.token_secret_path is None and self.token_secret is None:
            raise SettingsError(
                "no secret to check callers' tokens by: set token_secret_path (a file of at least "
                f"{SHORTEST_SECRET_BYTES} bytes), or insecure_no_auth on a loopback host for a trial"
            )
        return self

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
