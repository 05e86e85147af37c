"""Are these signed words really from that provider, for us, and good now? One verifier, one order, one page.

Every step that refuses names itself with a `Fault`. That name goes to our log and no further: outside there is one
sentence, because a precise answer is a guide for guessing (OWASP ASVS 5.0, 6.3.8).

Own checks on joserfc's signatures, following RFC 8725 (JWT best practices), OpenID Connect Core 3.1.3.7 and 12.2,
OpenID Connect Back-Channel Logout 1.0 and RFC 9068.
Authlib's check of ID tokens is not used: it accepts `alg: none` where discovery lists it, and `aud: []`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NoReturn

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from gateway.identity.jwks import KeyCache, UnknownKey

MAX_TOKEN_BYTES: Final = 8192
"""Checked before anything is parsed; a token of a person with 200 groups stays below 6 KiB."""
MAX_SUBJECT: Final = 220
"""With the provider's name it has to fit an ActorId column; OpenID Connect Core 2 allows 255."""
MAX_SESSION: Final = 255
"""What the column of `sid` holds."""

LOGOUT_FRESH_SECONDS: Final = 120
"""How old a logout token may be, beside the leeway: so long its id has to be remembered (Back-Channel Logout, 4)."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SUBJECT: Final = re.compile(r"[\x21-\x7e]+")
_FORBIDDEN_HEADERS: Final = ("jwk", "jku", "x5u", "x5c", "crit", "b64", "cty", "enc", "zip")


class Use(StrEnum):
    """What a token is presented as. Its `typ` must say the same, so that none passes for another (RFC 8725, 3.11)."""

    ID_TOKEN = "id-token"  # noqa: S105 a word, not a secret
    REFRESHED_ID_TOKEN = "refreshed-id-token"  # noqa: S105 a word, not a secret
    ACCESS_TOKEN = "access-token"  # noqa: S105 a word, not a secret
    LOGOUT_TOKEN = "logout-token"  # noqa: S105 a word, not a secret


_TYP: Final[Mapping[Use, frozenset[str | None]]] = {
    Use.ID_TOKEN: frozenset({None, "JWT"}),
    Use.REFRESHED_ID_TOKEN: frozenset({None, "JWT"}),
    Use.ACCESS_TOKEN: frozenset({"at+jwt", "application/at+jwt"}),
    Use.LOGOUT_TOKEN: frozenset({"logout+jwt", "application/logout+jwt"}),
}
_ID_TOKENS: Final = frozenset({Use.ID_TOKEN, Use.REFRESHED_ID_TOKEN})


class Fault(StrEnum):
    """The step that refused. For our log only."""

    LENGTH = "length"
    SHAPE = "shape"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    FORBIDDEN_HEADER = "forbidden-header"
    KEY_ID = "key-id"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    SUBJECT = "subject"
    AUDIENCE = "audience"
    AUTHORISED_PARTY = "authorised-party"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    ISSUED_LATER = "issued-later"
    STALE = "stale"
    TOKEN_ID = "token-id"  # noqa: S105 a word, not a secret
    NONCE = "nonce"
    EVENTS = "events"


class TokenRefused(Exception):
    """Not a token we accept. Carries the step, never the token."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """Claims that passed every step. Only `TokenVerifier` makes one."""

    use: Use
    issuer: str
    subject: str
    """Empty only for a logout token that names a session instead."""
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Any]


class TokenVerifier:
    """Verifies the tokens of one issuer. `algorithms` is pinned in settings: discovery can't widen it.

    `plain_logout_typ`: its logout tokens are of before the specification had a type of their own for them, and had them
    end: they say `typ: JWT`, and without `exp` they are good for as long as any is."""

    def __init__(
        self,
        *,
        issuer: str,
        algorithms: tuple[str, ...],
        keys: KeyCache,
        leeway_seconds: int,
        clock: Callable[[], datetime],
        plain_logout_typ: bool = False,
    ) -> None:
        self._types = dict(_TYP)
        self._takes_drafts = plain_logout_typ
        if plain_logout_typ:
            self._types[Use.LOGOUT_TOKEN] |= {"JWT"}
        self._issuer = issuer
        self._algorithms = frozenset(algorithms)
        self._keys = keys
        self._leeway = leeway_seconds
        self._clock = clock
        # Unknown header members are ours to judge (below), not joserfc's; its own list of algorithms is pinned as well.
        self._registry = jws.JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._registry.max_header_length = MAX_TOKEN_BYTES

    async def verify(
        self, token: str, use: Use, *, audience: str, client_id: str, nonce: str | None = None
    ) -> VerifiedToken:
        """The claims of `token`, or TokenRefused with the first step that said no.

        `audience` must be among `aud`; `client_id` is who `azp` may name; an ID token must carry `nonce`, a refreshed
        one may only carry that of the first.
        Raises IdentityUnavailable when the issuer's keys can't be had, which says nothing about the token.
        """
        _check_length(token)  # 1
        _check_shape(token)  # 2
        header = _object(token.split(".")[0], Fault.HEADER)  # 3
        _check_algorithm(header, self._algorithms)  # 4
        _check_type(header, self._types[use])  # 5
        _check_forbidden_headers(header)  # 6
        signed = await self._signature(token, header)  # 7 key, 8 signature
        claims = _object(signed, Fault.CLAIMS)  # 9
        _check_issuer(claims, self._issuer)  # 10
        _check_subject(claims, use)  # 11
        _check_audience(claims, audience)  # 12
        _check_authorised_party(claims, use, client_id)  # 13
        now = self._clock().timestamp()
        if use is Use.LOGOUT_TOKEN and self._takes_drafts and "exp" not in claims:
            claims["exp"] = _seconds(claims, "iat", Fault.ISSUED_LATER) + LOGOUT_FRESH_SECONDS
        expires_at = _check_expiry(claims, now, self._leeway)  # 14
        _check_not_before(claims, now, self._leeway)  # 15
        issued_at = _check_issued_at(claims, now, self._leeway)  # 16
        _check_freshness(issued_at, use, now, self._leeway)  # 17
        _check_token_id(claims, use)  # 18
        _check_nonce(claims, use, nonce)  # 19
        _check_events(claims, use)  # 20
        return VerifiedToken(
            use=use,
            issuer=self._issuer,
            subject=claims.get("sub", ""),
            issued_at=issued_at,
            expires_at=expires_at,
            claims=claims,
        )

    async def _signature(self, token: str, header: Mapping[str, Any]) -> str:
        """The payload's segment, once the signature over it is proven."""
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not key_id:
            raise TokenRefused(Fault.KEY_ID)  # a token that names no key would have us try them all
        try:
            key = await self._keys.get(key_id, str(header["alg"]))
        except UnknownKey:
            raise TokenRefused(Fault.KEY_ID) from None
        try:
            jws.deserialize_compact(token, key, registry=self._registry)
        except (JoseError, ValueError, TypeError, KeyError):
            raise TokenRefused(Fault.SIGNATURE) from None
        return token.split(".")[1]


def issuer_of(token: str) -> str:
    """Which issuer a token *claims*: good for choosing a verifier, proof of nothing. Empty when it can't be read."""
    return _claimed(token, "iss")


def nonce_of(token: str) -> str:
    """The nonce of an ID token that was verified before. Empty when there is none."""
    return _claimed(token, "nonce")


def _claimed(token: str, name: str) -> str:
    try:
        _check_length(token)
        _check_shape(token)
        value = _object(token.split(".")[1], Fault.CLAIMS).get(name)
    except TokenRefused:
        return ""
    return value if isinstance(value, str) else ""


def _check_length(token: str) -> None:
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused(Fault.LENGTH)


def _check_shape(token: str) -> None:
    # Exactly three parts: five would be an encrypted token, a fourth dot or padding something that parsers disagree on.
    if _COMPACT.fullmatch(token) is None:
        raise TokenRefused(Fault.SHAPE)


def _object(segment: str, fault: Fault) -> dict[str, Any]:
    """A JSON object from base64url. Refuses what two parsers could read differently: members given twice, NaN."""

    def refuse(_: Any) -> NoReturn:
        raise TokenRefused(fault)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise TokenRefused(fault)
        return members

    try:
        text = urlsafe_b64decode(segment.encode("ascii")).decode("utf-8")
        value = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError):  # binascii.Error, UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise TokenRefused(fault) from None
    if not isinstance(value, dict):
        raise TokenRefused(fault)
    return value


def _check_algorithm(header: Mapping[str, Any], pinned: frozenset[str]) -> None:
    # Stops `none`, and HMAC keyed with the public key (CVE-2015-9235). Exact spelling: `NoNe` is not a pinned name.
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in pinned:
        raise TokenRefused(Fault.ALGORITHM)


def _check_type(header: Mapping[str, Any], accepted: frozenset[str | None]) -> None:
    typ = header.get("typ")
    if not (typ is None or isinstance(typ, str)) or typ not in accepted:
        raise TokenRefused(Fault.TYPE)


def _check_forbidden_headers(header: Mapping[str, Any]) -> None:
    # jwk, jku, x5u, x5c: the token would bring its own key (CVE-2018-0114). crit, b64: another way to read the bytes.
    if any(name in header for name in _FORBIDDEN_HEADERS):
        raise TokenRefused(Fault.FORBIDDEN_HEADER)


def _check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise TokenRefused(Fault.ISSUER)


def _check_subject(claims: Mapping[str, Any], use: Use) -> None:
    # Back-Channel Logout 2.4: a logout token names a person, a session of the provider, or both.
    if use is Use.LOGOUT_TOKEN:
        session = claims.get("sid")
        if "sid" in claims and not (isinstance(session, str) and 0 < len(session) <= MAX_SESSION):
            raise TokenRefused(Fault.SUBJECT)
        if "sid" in claims and "sub" not in claims:
            return
    subject = claims.get("sub")
    if not isinstance(subject, str) or len(subject) > MAX_SUBJECT or _SUBJECT.fullmatch(subject) is None:
        raise TokenRefused(Fault.SUBJECT)


def _check_audience(claims: Mapping[str, Any], audience: str) -> None:
    if not audience or audience not in _audiences(claims):
        raise TokenRefused(Fault.AUDIENCE)  # `aud: []` is for nobody, not for everybody


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    given = claims.get("aud")
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list) and all(isinstance(a, str) for a in given):
        return tuple(given)
    return ()


def _check_authorised_party(claims: Mapping[str, Any], use: Use, client_id: str) -> None:
    # Core 3.1.3.7, steps 4 and 5: an ID token made for another client of the same provider is not about us.
    if use not in _ID_TOKENS:
        return
    azp = claims.get("azp")
    if ("azp" in claims or len(_audiences(claims)) > 1) and azp != client_id:
        raise TokenRefused(Fault.AUTHORISED_PARTY)


def _check_expiry(claims: Mapping[str, Any], now: float, leeway: int) -> datetime:
    expires = _seconds(claims, "exp", Fault.EXPIRED)
    if now >= expires + leeway:
        raise TokenRefused(Fault.EXPIRED)
    return _moment(expires, Fault.EXPIRED)


def _check_not_before(claims: Mapping[str, Any], now: float, leeway: int) -> None:
    if "nbf" in claims and _seconds(claims, "nbf", Fault.NOT_YET) > now + leeway:
        raise TokenRefused(Fault.NOT_YET)


def _check_issued_at(claims: Mapping[str, Any], now: float, leeway: int) -> datetime:
    issued = _seconds(claims, "iat", Fault.ISSUED_LATER)
    if issued > now + leeway:
        raise TokenRefused(Fault.ISSUED_LATER)
    return _moment(issued, Fault.ISSUED_LATER)


def _check_freshness(issued_at: datetime, use: Use, now: float, leeway: int) -> None:
    # A logout token is an order, carried out once: an old one is a replay whose id we may have forgotten.
    if use is Use.LOGOUT_TOKEN and now - issued_at.timestamp() > LOGOUT_FRESH_SECONDS + leeway:
        raise TokenRefused(Fault.STALE)


def _check_token_id(claims: Mapping[str, Any], use: Use) -> None:
    # RFC 9068, 2.2: an access token has an id; our records name it, so that one misuse can be traced.
    # Back-Channel Logout 2.4: a logout token has one, by which its second coming is known.
    if use in _ID_TOKENS:
        return
    if not (isinstance(claims.get("jti"), str) and 0 < len(claims["jti"]) <= 255):
        raise TokenRefused(Fault.TOKEN_ID)


def _check_nonce(claims: Mapping[str, Any], use: Use, nonce: str | None) -> None:
    # Stops an ID token of another sign-in being slipped into this one. Core 12.2: a refreshed one needs none, but
    # carries no other. Back-Channel Logout 2.4: a logout token never does, so that it can't pass for an ID token.
    given = claims.get("nonce")
    good = {
        Use.ID_TOKEN: bool(nonce) and given == nonce,
        Use.REFRESHED_ID_TOKEN: "nonce" not in claims or (bool(nonce) and given == nonce),
        Use.LOGOUT_TOKEN: "nonce" not in claims,
        Use.ACCESS_TOKEN: True,
    }
    if not good[use]:
        raise TokenRefused(Fault.NONCE)


def _check_events(claims: Mapping[str, Any], use: Use) -> None:
    # Back-Channel Logout 2.4: what makes a logout token one. And what has it is no ID token, whatever its `typ`.
    events = claims.get("events")
    if use is Use.LOGOUT_TOKEN and not (isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict)):
        raise TokenRefused(Fault.EVENTS)
    if use in _ID_TOKENS and "events" in claims:
        raise TokenRefused(Fault.EVENTS)


def _seconds(claims: Mapping[str, Any], name: str, fault: Fault) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(fault)
    try:
        seconds = float(value)
    except OverflowError:
        raise TokenRefused(fault) from None
    if not math.isfinite(seconds):
        raise TokenRefused(fault)
    return seconds


def _moment(seconds: float, fault: Fault) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise TokenRefused(fault) from None
