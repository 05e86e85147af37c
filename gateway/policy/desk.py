"""What the bundle API stands on: whose token it is, which bundle there is, who reported what."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final

from gateway.policy.fleet import Fleet
from gateway.policy.publisher import Publisher

MIN_TOKEN_BYTES: Final = 32


def read_token(path: Path) -> bytes:
    """The OPA servers' token. Raises OSError, or ValueError for one that could be guessed."""
    token = path.read_bytes().strip()
    if len(token) < MIN_TOKEN_BYTES:
        raise ValueError(f"{path}: expected a token of at least {MIN_TOKEN_BYTES} characters, got {len(token)}")
    return token


class BundleDesk:
    """Hands out bundles and takes reports. One token opens both, and nothing else of the gateway."""

    def __init__(self, name: str, publisher: Publisher, fleet: Fleet, token: bytes) -> None:
        self.name: Final = name
        self.publisher: Final = publisher
        self.fleet: Final = fleet
        self._token = token

    def is_let_in(self, authorization: str | None) -> bool:
        """Whether the `Authorization` header holds the token (RFC 6750, 2.1). Takes as long for each wrong one."""
        scheme, _, value = (authorization or "").partition(" ")
        # The comparison comes first, so that its time says nothing of the scheme either.
        is_token = hmac.compare_digest(value.strip().encode(), self._token)
        return is_token and scheme.lower() == "bearer"
