"""What we keep of a provider for a session, and how it is sealed: whoever copies the database gets no token of it.

AES-256-GCM (NIST SP 800-38D) with a random nonce. What a token is for and the digest of its session are associated
data, so a sealed token that is moved to another row, or another column, opens no more.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
MAX_TOKEN: Final = 8192
"""Longer tokens are not kept: Entra's refresh tokens, the longest seen, are below 2 KiB."""


class Purpose(StrEnum):
    """What a sealed token is for."""

    REFRESH = "refresh-token"
    ID_TOKEN = "id-token"  # noqa: S105 a word, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """What a provider gave with a sign-in, beside who it is."""

    refresh_token: str = field(default="", repr=False)
    """Asks later whether the person may still come in; empty where the provider gives none."""
    id_token: str = field(default="", repr=False)
    """Shown back when signing out (`id_token_hint`)."""
    session: str = ""
    """The provider's own session (`sid`); its logout tokens may name it."""


class Sealer:
    """Seals and opens texts under one key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, text: str, purpose: Purpose, session: str) -> bytes | None:
        """`text` for the row of the session with that digest; None when there is none, or it is too long to keep."""
        if not text or len(text) > MAX_TOKEN:
            return None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._aead.encrypt(nonce, text.encode(), _context(purpose, session))

    def open(self, sealed: bytes | None, purpose: Purpose, session: str) -> str | None:
        """The text, or None when there is none, it was changed or moved, or the identity secret is another now."""
        if sealed is None or sealed[:1] != _FORMAT:
            return None
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, rest, _context(purpose, session)).decode()
        except (InvalidTag, ValueError):
            return None


def _context(purpose: Purpose, session: str) -> bytes:
    return f"imprimatur/session/{purpose.value}/{session}".encode()
