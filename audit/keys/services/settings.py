"""Which key service wraps the day keys, and how to reach it. No secret is a setting: files hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from audit.keys.services.address import require_safe_address

_TimeoutSeconds = Annotated[
    float,
    Field(
        gt=0,
        le=120,
        description="Longest that one wrap or unwrap may take, all attempts and the pauses between them included.",
    ),
]
_Attempts = Annotated[
    int, Field(ge=1, le=10, description="How often a call is tried while the service does not answer.")
]
# A key's own ARN. An alias could be pointed at another key by whoever may move aliases.
KEY_ARN_PATTERN: Final = (
    r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/"
    r"(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
)


class _Service(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileServiceSettings(_Service):
    """A key in a local file. The laptop's stand-in for a key service: whoever copies the file has the key."""

    kind: Literal["file"] = Field(description="Choose this service.")
    path: Path = Field(description="File of 32 random bytes, mode 0600. Outside the backups that hold the log.")
    previous: tuple[Path, ...] = Field(
        default=(),
        description="Older key files that still unwrap. Those that `keys rotate` leaves beside `path` are found by "
        "themselves.",
    )


class TransitServiceSettings(_Service):
    """The transit engine of HashiCorp Vault or OpenBao. The key stays there."""

    kind: Literal["transit"] = Field(description="Choose this service.")
    url: str = Field(description="Address of the server, such as https://vault.example.com:8200. https, or loopback.")
    key: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
        description="Name of the key: type aes256-gcm96, derived, not exportable.",
    )
    mount: str = Field(
        default="transit",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)*$",
        description="Where the transit engine is mounted.",
    )
    token_path: Path = Field(
        description="File with the token, mode 0600. Read for each call, so an agent may replace it at any time."
    )
    namespace: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?$",
        description="Namespace that the engine is in, if the server has namespaces.",
    )
    ca_path: Path | None = Field(
        default=None, description="PEM file of the authority that signed the server's certificate; else the system's."
    )
    timeout_seconds: _TimeoutSeconds = 10.0
    attempts: _Attempts = 3

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        return require_safe_address(url)


class AwsKmsServiceSettings(_Service):
    """AWS Key Management Service. The key stays there. Credentials come the way every AWS program finds them."""

    kind: Literal["aws-kms"] = Field(description="Choose this service.")
    key_arn: str = Field(
        pattern=KEY_ARN_PATTERN,
        description="ARN of the symmetric key that wraps. No alias: an alias can be pointed at another key.",
    )
    previous_key_arns: tuple[Annotated[str, Field(pattern=KEY_ARN_PATTERN)], ...] = Field(
        default=(), description="ARNs of older keys in the same region that still unwrap."
    )
    endpoint_url: str | None = Field(
        default=None, description="Another address of the service, such as that of a VPC endpoint. https, or loopback."
    )
    profile: str | None = Field(default=None, description="Profile of the AWS configuration to take credentials from.")
    timeout_seconds: _TimeoutSeconds = 10.0
    attempts: _Attempts = 3

    @field_validator("endpoint_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        return None if url is None else require_safe_address(url)

    @model_validator(mode="after")
    def _is_of_one_region(self) -> Self:
        if any(arn.split(":")[3] != self.region for arn in self.previous_key_arns):
            raise ValueError("previous keys must be in the one region of key_arn")
        return self

    @property
    def region(self) -> str:
        return self.key_arn.split(":")[3]


class Pkcs11ServiceSettings(_Service):
    """A hardware security module, through its PKCS#11 library. The key stays there."""

    kind: Literal["pkcs11"] = Field(description="Choose this service.")
    module_path: Path = Field(description="The vendor's PKCS#11 library, such as /usr/lib/softhsm/libsofthsm2.so.")
    token_label: str = Field(min_length=1, max_length=32, description="Label of the token.")
    key_label: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Label (CKA_LABEL) of the AES-256 key that wraps: sensitive, not extractable, unique in the token.",
    )
    previous_key_labels: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")], ...] = Field(
        default=(), description="Labels of older keys in the token that still unwrap."
    )
    pin_path: Path = Field(description="File with the user PIN, mode 0600.")
    timeout_seconds: _TimeoutSeconds = 10.0


AnyKeyServiceSettings: TypeAlias = (
    FileServiceSettings | TransitServiceSettings | AwsKmsServiceSettings | Pkcs11ServiceSettings
)
# As the type of a field: `kind` tells which one is meant, so an error speaks of that one only.
KeyServiceSettings = Annotated[AnyKeyServiceSettings, Field(discriminator="kind")]
KEY_SERVICE_SETTINGS: Final[TypeAdapter[AnyKeyServiceSettings]] = TypeAdapter(KeyServiceSettings)
