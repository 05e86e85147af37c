"""What somebody wrote into a form before they were sent away for a fresh second factor, kept until they are back.

It waits in their browser, in a cookie of ten minutes that only we can read or write, for this person, page and form
only. It fills fields and sends nothing: the person reads it and presses the button themselves.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from gateway.exchange import ActorId
from gateway.identity import cookies
from gateway.identity.cookies import Cookie, CookieNames

LIFETIME_SECONDS: Final = 600
MAX_COOKIE: Final = 3800
"""Browsers keep 4,096 bytes of a cookie, name and flags included (RFC 6265, 6.1). A longer draft is not kept."""
_MAX_TEXT: Final = 64 * 1024
_NEVER_KEPT: Final = frozenset({"csrf_token", "password", "code", "totp", "secret", "token"})


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields of a form that posts to `action`."""

    action: str
    fields: Mapping[str, str]


class Drafts:
    """Seals drafts into cookies and opens them again."""

    def __init__(self, key: bytes, cookie_names: CookieNames, clock: Callable[[], datetime]) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._cookie_names = cookie_names
        self._clock = clock

    def keep(self, actor: ActorId, page: str, draft: Draft) -> Cookie | None:
        """The cookie that keeps it for `page` (a path with its query); None when it is too long."""
        fields = {name: text for name, text in draft.fields.items() if name not in _NEVER_KEPT}
        plain = json.dumps([actor, page, draft.action, fields], ensure_ascii=False).encode()
        if len(plain) > _MAX_TEXT:
            return None
        sealed = self._fernet.encrypt_at_time(zlib.compress(plain, 9), int(self._clock().timestamp())).decode()
        return None if len(sealed) > MAX_COOKIE else self._cookie(sealed, LIFETIME_SECONDS)

    def take(self, cookie: str | None, actor: ActorId, page: str) -> Draft | None:
        """The draft of this person for this page, if there is one."""
        sealed = cookies.read(cookie, self._cookie_names.draft)
        if not sealed:
            return None
        try:
            now = int(self._clock().timestamp())
            packed = self._fernet.decrypt_at_time(sealed.encode(), LIFETIME_SECONDS, now)
            whose, where, action, fields = json.loads(zlib.decompress(packed))
        except (InvalidToken, ValueError, TypeError, zlib.error):
            return None
        return Draft(action, fields) if (whose, where) == (actor, page) else None

    def forget(self) -> Cookie:
        """Deletes it."""
        return self._cookie("", 0)

    def _cookie(self, value: str, seconds: int) -> Cookie:
        names = self._cookie_names
        return Cookie(name=names.draft, value=value, max_age_seconds=seconds, secure=names.secure)
