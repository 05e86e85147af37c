"""Which witnesses a log has besides its file, and how to reach them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from audit.cosignature import WitnessKey
from audit.record import NAME_PATTERN

_Name = Annotated[str, Field(pattern=NAME_PATTERN)]
_Seconds = Annotated[float, Field(gt=0, le=300)]


class _Witness(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name = Field(description="Our name for it; its receipts are kept under this.")
    ca_file: Path | None = Field(default=None, description="Authorities to trust for TLS, PEM; else the system's.")
    timeout_seconds: _Seconds = Field(default=10.0, description="How long one try may take.")


class HttpWitnessSettings(_Witness):
    """A C2SP witness (tlog-witness), such as `python -m audit witness serve` on somebody else's machine."""

    kind: Literal["http"] = Field(description="Choose this kind.")
    url: str = Field(description="Its submission prefix; https, or http on loopback.")
    key: str = Field(description="Its public key as one line, as `witness init` printed it.")

    @field_validator("key")
    @classmethod
    def _is_a_key(cls, key: str) -> str:
        return str(WitnessKey.parse(key))


class TimestampWitnessSettings(_Witness):
    """A time stamping authority (RFC 3161)."""

    kind: Literal["rfc3161"] = Field(description="Choose this kind.")
    url: str = Field(description="Where it takes queries.")
    roots: Path = Field(description="PEM file of the certificates that its stamps must lead to.")
    interval_seconds: float = Field(
        default=3600.0, ge=0, le=86_400 * 7, description="At most one stamp in this time: authorities charge by stamp."
    )


WitnessSettings = Annotated[HttpWitnessSettings | TimestampWitnessSettings, Field(discriminator="kind")]
