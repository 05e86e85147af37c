"""In which browser has this person signed in before? A cookie of half a year that says so, sealed by us.

It opens nothing. It does two things: a sign-in from a browser that nobody knows is told to the person (`notices.py`),
and one from a browser that we know is not slowed down when strangers flood us from the same network (`throttle.py`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from gateway.exchange import ActorId

LIFETIME_SECONDS: Final = 180 * 86_400
REMEMBERED: Final = 8
"""People who share a browser; the one who was here longest ago is forgotten first."""
_MARK_CHARACTERS: Final = 16


class KnownBrowsers:
    """Seals and opens the cookie's value. It holds digests of ActorIds, no names."""

    def __init__(self, key: bytes, clock: Callable[[], datetime]) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._clock = clock

    def is_known(self, sealed: str | None) -> bool:
        """Somebody signed in here before."""
        return bool(self._marks(sealed))

    def knows(self, sealed: str | None, actor: ActorId) -> bool:
        """This person did."""
        return _mark(actor) in self._marks(sealed)

    def remember(self, sealed: str | None, actor: ActorId) -> str:
        """The value to set now that this person signed in here."""
        marks = [_mark(actor), *(mark for mark in self._marks(sealed) if mark != _mark(actor))]
        text = " ".join(marks[:REMEMBERED])
        return self._fernet.encrypt_at_time(text.encode(), int(self._clock().timestamp())).decode()

    def _marks(self, sealed: str | None) -> list[str]:
        if not sealed:
            return []
        try:
            now = int(self._clock().timestamp())
            return self._fernet.decrypt_at_time(sealed.encode(), LIFETIME_SECONDS, now).decode().split()
        except (InvalidToken, ValueError):
            return []


def _mark(actor: ActorId) -> str:
    return hashlib.sha256(actor.encode()).hexdigest()[:_MARK_CHARACTERS]
