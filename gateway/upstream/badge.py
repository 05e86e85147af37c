"""Our badge to the model server: a short-lived token, one a request, so that nothing long-lived crosses the wire.

HS256 (RFC 7518, 3.2) over a secret that the two share by file; both ends are ours and in one network
(`docs/decisions/0006`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import OctKey

LIFETIME_SECONDS = 60
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: at least as long as the hash


class Badge:
    """Signs the tokens. Raises ValueError when the secret is too short to be one."""

    def __init__(self, secret_path: Path, clock: Callable[[], datetime]) -> None:
        secret = secret_path.read_bytes().strip()
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(
                f"{secret_path}: expected a secret of at least {MIN_SECRET_BYTES} bytes, got {len(secret)}"
            )
        self._key = OctKey.import_key(secret)
        self._clock = clock

    def header(self) -> str:
        """A fresh `Authorization` value."""
        now = int(self._clock().timestamp())
        claims = {
            "iss": "imprimatur-gateway",
            "aud": "imprimatur-model-server",
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(12),
        }
        return "Bearer " + jwt.encode({"alg": "HS256"}, claims, self._key)
