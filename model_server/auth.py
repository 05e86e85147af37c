"""Who may call: only the holder of the shared secret, with a token made for us, now.

The token is a JWT (RFC 7519) signed with HS256. One algorithm is accepted, by name, so that neither `alg: none` nor
a change of family (CVE-2015-9235) can pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from model_server.errors import Unauthorized
from model_server.wire import JWT_ALGORITHM, JWT_AUDIENCE, JWT_ISSUER, JWT_LIFETIME_SECONDS

_CLOCK_SKEW_SECONDS = 5


class TokenCheck:
    """Accepts or refuses an Authorization header. With no secret it accepts every call (see Settings)."""

    def __init__(self, secret: bytes | None, clock: Callable[[], datetime]) -> None:
        """`clock` gives aware UTC."""
        self._key = None if secret is None else OctKey.import_key(secret)
        self._clock = clock
        self._claims = jwt.JWTClaimsRegistry(
            now=self._now,
            leeway=_CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": JWT_ISSUER},
            aud={"essential": True, "value": JWT_AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True, "allow_blank": False},
        )

    def require(self, authorization: str | None) -> None:
        """Raises Unauthorized, always the same, unless the header carries a good token."""
        if self._key is None:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized
        try:
            claims = jwt.decode(token.strip(), self._key, algorithms=[JWT_ALGORITHM]).claims
            self._claims.validate(claims)
            # A token that lives for a year is as good as the secret itself: whoever finds it may call for a year.
            ends = claims["exp"]
            if not isinstance(ends, int) or ends > self._now() + JWT_LIFETIME_SECONDS + _CLOCK_SKEW_SECONDS:
                raise Unauthorized
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthorized from error

    def _now(self) -> int:
        return int(self._clock().timestamp())
