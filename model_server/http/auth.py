"""Who may call: only the holder of the shared secret, with a token made for us, now, and for one call.

The token is a JWT (RFC 7519) signed with HS256. One algorithm is accepted, by name, so that neither `alg: none` nor
a change of family (CVE-2015-9235) can pass. Its `jti` is accepted once: a token that was seen on the wire or in a dump
is worth nothing, whatever it was for, so it need not be bound to a method, a path or the digest of a body, which could
only be checked after fifty megabytes of it were taken in (`docs/decisions/0006`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from model_server.errors import Unauthorized, Unavailable
from model_server.wire import JWT_ALGORITHM, JWT_AUDIENCE, JWT_ISSUER, JWT_LIFETIME_SECONDS

_CLOCK_SKEW_SECONDS = 5
_LONGEST_JTI = 64
_MOST_REMEMBERED = 100_000
"""Tokens at once: some 1,400 calls a second, and about 20 MB. Beyond that calls are put off, never let in twice."""


class TokenCheck:
    """Accepts or refuses an Authorization header. With no secret it accepts every call (see Settings).

    One instance remembers what it has accepted, so each process that is asked has one. Not safe between threads.
    """

    def __init__(self, secret: bytes | None, clock: Callable[[], datetime]) -> None:
        """`clock` gives aware UTC."""
        self._key = None if secret is None else OctKey.import_key(secret)
        self._clock = clock
        self._began = self._now()
        self._claims = jwt.JWTClaimsRegistry(
            now=self._now,
            leeway=_CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": JWT_ISSUER},
            aud={"essential": True, "value": JWT_AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True, "allow_blank": False},
        )
        self._seen: set[str] = set()
        self._forgotten_at: deque[tuple[int, str]] = deque()  # the same tokens, soonest first

    def require(self, authorization: str | None) -> None:
        """Raises Unauthorized, always the same, unless the header carries a good token that was not used before.

        Raises Unavailable when there are so many calls that the used ones can't all be remembered.
        """
        if self._key is None:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized
        try:
            claims = jwt.decode(token.strip(), self._key, algorithms=[JWT_ALGORITHM]).claims
            self._claims.validate(claims)
            self._require_brief(claims["iat"], claims["exp"])
            self._use_up(claims["jti"])
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthorized from error

    def _require_brief(self, begins: object, ends: object) -> None:
        if not isinstance(begins, int) or not isinstance(ends, int):
            raise Unauthorized
        # A token that lives for a year is as good as the secret itself: whoever finds it may call for a year.
        if ends > self._now() + JWT_LIFETIME_SECONDS + _CLOCK_SKEW_SECONDS:
            raise Unauthorized
        # What was used up before a restart is forgotten, and a caller makes its token when it calls.
        if begins < self._began - _CLOCK_SKEW_SECONDS:
            raise Unauthorized

    def _use_up(self, jti: str) -> None:
        now = self._now()
        while self._forgotten_at and self._forgotten_at[0][0] < now:
            self._seen.discard(self._forgotten_at.popleft()[1])
        if jti in self._seen or len(jti) > _LONGEST_JTI:
            raise Unauthorized
        if len(self._seen) >= _MOST_REMEMBERED:
            raise Unavailable("Too many calls at once.", retry_after_seconds=1)
        self._seen.add(jti)
        # As long as the longest-lived token can still pass: its end, and the clocks' difference twice.
        self._forgotten_at.append((now + JWT_LIFETIME_SECONDS + 2 * _CLOCK_SKEW_SECONDS, jti))

    def _now(self) -> int:
        return int(self._clock().timestamp())
