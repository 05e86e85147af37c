"""Did our own page send this, or another site through the person's browser?

Only credentials that a browser adds by itself need the question: the session cookie. Two independent answers are asked
for on every unsafe method, and both have to be right (OWASP CSRF Prevention Cheat Sheet):

* where the browser says it comes from: `Sec-Fetch-Site` (Fetch Metadata), and `Origin` (RFC 6454);
* a token bound to the session, which another site can't read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
FORM_FIELD: Final = "csrf_token"


class CsrfGuard:
    """Makes and checks the tokens. Stateless: a token is an HMAC of the session's id, so it changes when that does."""

    def __init__(self, key: bytes, public_origin: str) -> None:
        self._key = key
        self._origin = public_origin

    def token(self, session_id: str) -> str:
        """The token for the pages of this session."""
        mac = hmac.digest(self._key, session_id.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def is_ours(
        self, *, method: str, session_id: str, origin: str | None, fetch_site: str | None, token: str | None
    ) -> bool:
        """Whether a request that carries this session's cookie was sent by one of our own pages."""
        return method.upper() in SAFE_METHODS or (
            self._came_from_here(origin, fetch_site)
            and token is not None
            and hmac.compare_digest(token.encode(), self.token(session_id).encode())
        )

    def _came_from_here(self, origin: str | None, fetch_site: str | None) -> bool:
        # `same-site` is not enough: a neighbour under the same domain is another application.
        if fetch_site is not None and fetch_site != "same-origin":
            return False
        if origin is not None and origin != self._origin:  # the text "null" comes from sandboxed frames
            return False
        # Every browser of the last years sends at least one of them; what sends neither is not a browser of ours.
        return fetch_site is not None or origin is not None
