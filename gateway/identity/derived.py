"""The keys that identity needs, derived from one secret file: one key for one purpose, none used for two."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET_BYTES: Final = 32
"""The strength of the derived keys; fewer bytes in the file can't carry it (NIST SP 800-108r1, section 4)."""


@dataclass(frozen=True, slots=True)
class DerivedKeys:
    """HKDF-SHA256 (RFC 5869) of the secret, with the purpose as `info`. Changing a label ends what it protects."""

    sign_in: bytes = field(repr=False)
    csrf: bytes = field(repr=False)
    api_key_pepper: bytes = field(repr=False)
    known_browser: bytes = field(repr=False)
    provider_tokens: bytes = field(repr=False)
    form_draft: bytes = field(repr=False)
    emergency_code: bytes = field(repr=False)
    emergency_totp: bytes = field(repr=False)
    emergency_ticket: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Raises ValueError when the secret is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the identity secret needs {MIN_SECRET_BYTES} random bytes or more, got {len(secret)}")

        def derive(purpose: str) -> bytes:
            info = f"imprimatur/identity/{purpose}/v1".encode()
            return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)

        return cls(
            sign_in=derive("sign-in-cookie"),
            csrf=derive("csrf-token"),
            api_key_pepper=derive("api-key-pepper"),
            known_browser=derive("known-browser"),
            provider_tokens=derive("provider-tokens"),
            form_draft=derive("form-draft"),
            emergency_code=derive("emergency-code"),
            emergency_totp=derive("emergency-totp"),
            emergency_ticket=derive("emergency-ticket"),
        )

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Raises ValueError when the file is missing or too short, naming the file and what to do."""
        try:
            return cls.from_secret(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(
                f"identity.secret_path: {path} can't be used ({error}). Make it once with "
                f"`head -c 32 /dev/urandom > {path}`; another secret ends every API key."
            ) from error
