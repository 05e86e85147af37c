"""An issuer's public keys, fetched seldom however many tokens name a key we don't know.

A token is free to write; a fetch costs the provider something. So: keys live `ttl_seconds`; an unknown key id causes at
most one fetch each `floor_seconds`, for everybody together (single flight); when the provider is away, keys already
known go on being used for a day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from gateway.errors import IdentityUnavailable

log = logging.getLogger(__name__)

STALE_HOURS: Final = 24
"""How long known keys outlive a provider that does not answer. A key it withdrew meanwhile stays good that long."""
EMPTY_RETRY_SECONDS: Final = 2
"""Between fetches while we have no key at all: nothing can be verified then, so the long floor would prolong it."""
MIN_RSA_BITS: Final = 2048
"""NIST SP 800-131A r2, section 3: shorter RSA keys are disallowed."""
MAX_KEYS: Final = 64

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Brings the JWKS document. Raises IdentityUnavailable."""


class UnknownKey(Exception):
    """The issuer has no such key, or not one for this algorithm."""


class KeyCache:
    """Keys of one issuer. `fetch` is called by one task at a time."""

    def __init__(
        self, fetch: FetchKeys, *, ttl_seconds: float, floor_seconds: float, clock: Callable[[], datetime]
    ) -> None:
        self._fetch = fetch
        self._ttl = timedelta(seconds=ttl_seconds)
        self._floor = timedelta(seconds=floor_seconds)
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fetched_at: datetime | None = None  # last success
        self._tried_at: datetime | None = None  # last attempt
        self._one_at_a_time = asyncio.Lock()

    async def get(self, key_id: str, algorithm: str) -> Key:
        """The key `key_id`, fit for `algorithm`. Raises UnknownKey; IdentityUnavailable when no keys can be had."""
        if not (self._is_fresh() and key_id in self._keys):
            await self._refresh(key_id)
        key = self._keys.get(key_id)
        if key is None or not _fits(key, algorithm):
            raise UnknownKey
        return key

    async def _refresh(self, key_id: str) -> None:
        async with self._one_at_a_time:
            if self._is_fresh() and key_id in self._keys:  # not a check: another task fetched while we waited
                return
            if self._may_try():
                self._tried_at = self._clock()
                try:
                    document = await self._fetch()
                except IdentityUnavailable:
                    log.warning("keys.fetch-failed")
                else:
                    self._keys = _usable(document)
                    self._fetched_at = self._clock()
            if not self._is_bearable():
                self._keys = {}
                raise IdentityUnavailable(
                    "The sign-in provider can't be reached, so nobody can be recognised. Try again in a moment.",
                    retry_after_seconds=5,
                )

    def _is_fresh(self) -> bool:
        return self._fetched_at is not None and self._elapsed(self._fetched_at) < self._ttl

    def _is_bearable(self) -> bool:
        return self._fetched_at is not None and self._elapsed(self._fetched_at) < timedelta(hours=STALE_HOURS)

    def _may_try(self) -> bool:
        if self._tried_at is None:
            return True
        floor = self._floor if self._fetched_at is not None else timedelta(seconds=EMPTY_RETRY_SECONDS)
        return self._elapsed(self._tried_at) >= floor

    def _elapsed(self, since: datetime) -> timedelta:
        # A clock that was set back must not freeze the cache: treat it as having run.
        return abs(self._clock() - since)


def _usable(document: Mapping[str, Any]) -> Mapping[str, Key]:
    """Public signature keys by id. What we can't use is skipped (RFC 7517, section 5), never guessed at."""
    listed = document.get("keys")
    found: dict[str, Key] = {}
    for row in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        if not isinstance(row, dict) or not isinstance(row.get("kid"), str) or row.get("use", "sig") != "sig":
            continue
        try:
            key = import_key({name: value for name, value in row.items() if name not in ("x5u", "x5c")})
        except (JoseError, ValueError, TypeError, KeyError):
            log.warning("keys.unreadable-key")
            continue
        if row["kid"] in found:
            log.warning("keys.duplicate-id")
            continue
        found[row["kid"]] = key
    return found


def _fits(key: Key, algorithm: str) -> bool:
    """Whether a key may check a signature of `algorithm`: right kind, strong enough, not reserved for another. No
    symmetric key ever does: one in public would make everybody an issuer."""
    if key.get("alg") not in (None, algorithm):
        return False
    match algorithm:
        case "RS256":
            return isinstance(key, RSAKey) and key.public_key.key_size >= MIN_RSA_BITS
        case "ES256":
            return isinstance(key, ECKey) and key.curve_name == "P-256"
        case "Ed25519":
            return key.get("crv") == "Ed25519"  # of OKP keys only (RFC 8037)
        case _:
            return False
