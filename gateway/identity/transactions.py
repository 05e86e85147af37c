"""A sign-in under way: what we must remember between sending a person away and their coming back.

It waits in the browser, in a cookie of ten minutes that only we can read or write, so that no table fills up with
sign-ins that never end. Fernet is AES-128-CBC with HMAC-SHA-256 and a time stamp, encrypt-then-MAC.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

LIFETIME_SECONDS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One sign-in. `state` ties the answer to this browser, `nonce` ties the ID token to this sign-in, `verifier`
    ties the code to this client (RFC 7636)."""

    provider: str
    return_to: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    step_up_of: str = ""
    """SHA-256 of the session that steps up; empty for a plain sign-in."""
    max_age_seconds: int | None = None
    """How old the second factor may be when the person comes back from a step-up."""


class TransactionBox:
    """Seals transactions into cookie values and opens them again."""

    def __init__(self, key: bytes, clock: Callable[[], datetime]) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._clock = clock

    def seal(self, transaction: Transaction) -> str:
        """The cookie's value."""
        now = int(self._clock().timestamp())
        return self._fernet.encrypt_at_time(json.dumps(asdict(transaction)).encode(), now).decode()

    def open(self, sealed: str | None) -> Transaction | None:
        """The transaction, or None when it is missing, changed, or older than ten minutes."""
        if not sealed:
            return None
        now = int(self._clock().timestamp())
        try:
            return Transaction(**json.loads(self._fernet.decrypt_at_time(sealed.encode(), LIFETIME_SECONDS, now)))
        except (InvalidToken, ValueError, TypeError):
            return None
