"""What a provider says about itself (OpenID Connect Discovery 1.0), and the careful HTTP that asks it.

Discovery tells addresses. It decides nothing: the issuer, the algorithms and the client are settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from gateway.errors import IdentityUnavailable

log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES: Final = 512 * 1024
TIMEOUT: Final = httpx2.Timeout(5.0, connect=2.0)
FRESH_SECONDS: Final = 3600
RETRY_SECONDS: Final = 2
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """The addresses we use."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""
    sends_iss: bool = False
    """Whether it promises the `iss` parameter of RFC 9207; if so, an answer without it is refused."""
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)


class Discovery:
    """The metadata of one issuer, fetched when first needed and again after an hour. Single flight."""

    def __init__(self, issuer: str, http: httpx2.AsyncClient, clock: Callable[[], datetime]) -> None:
        if not _is_safe(issuer, issuer):
            raise ValueError(f"identity.providers: issuer {issuer} has to be https (or plain http on loopback)")
        self.issuer = issuer
        self._http = http
        self._clock = clock
        self._known: ProviderMetadata | None = None
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def metadata(self) -> ProviderMetadata:
        """The metadata; an old copy while the provider is away. Raises IdentityUnavailable without one."""
        if self._known is not None and self._elapsed(self._fetched_at) < FRESH_SECONDS:
            return self._known
        async with self._one_at_a_time:
            if self._elapsed(self._tried_at) >= RETRY_SECONDS:
                self._tried_at = self._clock()
                try:
                    address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
                    self._known = _read(await fetch_object(self._http, address), self.issuer)
                    self._fetched_at = self._clock()
                except IdentityUnavailable:
                    log.warning("discovery.failed", extra={"fields": {"issuer": self.issuer}})
        if self._known is None:
            raise unreachable()
        return self._known

    async def keys(self) -> Mapping[str, Any]:
        """The JWKS document, fresh from the provider. Raises IdentityUnavailable."""
        return await fetch_object(self._http, (await self.metadata()).jwks_uri)

    def _elapsed(self, since: datetime | None) -> float:
        return float("inf") if since is None else abs(self._clock() - since) / timedelta(seconds=1)


def client(tls: ssl.SSLContext) -> httpx2.AsyncClient:
    """The HTTP client for providers: short patience, no redirects (they would lead out of the configured issuer), no
    settings from the environment (`gateway.settings` alone reads that)."""
    return httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False, verify=tls)


async def fetch_object(
    http: httpx2.AsyncClient, address: str, *, headers: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """A JSON object from a provider, at most half a megabyte. Raises IdentityUnavailable for anything else."""
    try:
        async with http.stream("GET", address, headers={"accept": "application/json", **(headers or {})}) as response:
            if response.status_code != 200:
                raise unreachable()
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise unreachable()
        document = json.loads(body)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError) as error:
        raise unreachable() from error
    if not isinstance(document, dict):
        raise unreachable()
    return document


def unreachable() -> IdentityUnavailable:
    """The one sentence for a provider that does not answer as it should."""
    return IdentityUnavailable(
        "The sign-in provider does not answer, so nobody can be recognised right now. Try again in a moment; "
        "if it lasts, tell your IT support.",
        retry_after_seconds=5,
    )


def _read(document: Mapping[str, Any], issuer: str) -> ProviderMetadata:
    # Discovery 1.0, 4.3: the issuer it names must be exactly the one we asked, or it may speak for another.
    if document.get("issuer") != issuer:
        log.error("discovery.other-issuer", extra={"fields": {"issuer": issuer}})
        raise unreachable()

    def address(name: str, *, required: bool) -> str:
        value = document.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or not _is_safe(value, issuer):
            log.error("discovery.unsafe-address", extra={"fields": {"issuer": issuer, "member": name}})
            raise unreachable()
        return value

    methods = document.get("token_endpoint_auth_methods_supported")
    return ProviderMetadata(
        authorization_endpoint=address("authorization_endpoint", required=True),
        token_endpoint=address("token_endpoint", required=True),
        jwks_uri=address("jwks_uri", required=True),
        userinfo_endpoint=address("userinfo_endpoint", required=False),
        end_session_endpoint=address("end_session_endpoint", required=False),
        revocation_endpoint=address("revocation_endpoint", required=False),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        token_auth_methods=tuple(m for m in methods if isinstance(m, str))
        if isinstance(methods, list)
        else ("client_secret_basic",),
    )


def _is_safe(address: str, issuer: str) -> bool:
    """https; or plain http on loopback, and then only for an issuer that is there itself."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and urlsplit(issuer).scheme == "http"
