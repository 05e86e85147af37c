"""An OPA server (1.21.3 or later) as the engine: a sidecar that serves the same bundle."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from opa_client import AsyncOpaClient

from gateway.policy.breaker import Breaker
from gateway.policy.engine import UNDEFINED, EngineFailed, EngineHealth, EntryPoint, Evaluation

QUERY: Final = {
    # A built-in that stumbles is an error and no undefined, which a rule could take for "nothing found".
    "strict-builtin-errors": "true",
    # Which bundle answered: an answer that can't be tied to a revision can't be replayed.
    "provenance": "true",
}
UNVERSIONED: Final = "unversioned"
"""The revision of rules that OPA did not get as a bundle."""


class OpaEngine:
    """A PolicyEngine over OPA's REST API. One client, no retries: a decision is asked once, in time, or it is a no."""

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime],
        decision_seconds: float = 0.25,
        token_path: Path | None = None,
        breaker_failures: int = 5,
        breaker_open_seconds: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for an address that must not be used."""
        self._host, self._port, self._tls = _address(url)
        self._token_path = token_path
        self._decision_seconds = decision_seconds
        self._clock = clock
        self._breaker = Breaker(failures=breaker_failures, open_seconds=breaker_open_seconds, monotonic=monotonic)
        self._client: _Client | None = None
        self._engine = "opa"
        self._revision = ""
        self._since: datetime | None = None

    @property
    def revision(self) -> str:
        return self._revision

    async def start(self) -> None:
        """Open the client. OPA need not be up yet: until it is, every decision fails, and `health` says so.

        Raises OSError or ValueError for a token file that can't be used.
        """
        token = None if self._token_path is None else self._token_path.read_text().strip()
        if token == "":
            raise ValueError(f"{self._token_path} is empty: expected the token for OPA")
        self._client = _Client(
            host=self._host,
            port=self._port,
            ssl=self._tls,
            token=token,
            retries=0,
            timeout=self._decision_seconds,
        )
        await self._client.__aenter__()

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        with self._breaker.guard():
            return await self._ask(entry, document)

    async def health(self) -> EngineHealth:
        """Ready when OPA says that its bundles are active, and both entry points answer."""
        error = ""
        try:
            if self._client is None:
                raise EngineFailed("not started")
            if not await self._client.check_health(query={"bundles": "true"}):
                raise EngineFailed("OPA can't be reached, or its bundles are not active")
            for entry in EntryPoint:
                if (await self._ask(entry, {})).result is UNDEFINED:
                    raise EngineFailed(f"OPA has no rules for {entry}")
        except EngineFailed as failed:
            error = str(failed)
        return EngineHealth(
            ready=not error, engine=self._engine, revision=self._revision, since=self._since, error=error
        )

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close_connection()
            self._client = None

    async def _ask(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        if self._client is None:
            raise EngineFailed("not started")
        package, _, rule = entry.value.rpartition(".")
        try:
            async with asyncio.timeout(self._decision_seconds):
                body = await self._client.query_rule(dict(document), package, rule, QUERY)
        except aiohttp.ClientResponseError as error:
            # OPA's own message can quote the input, so only the number goes on.
            raise EngineFailed(f"OPA answered {error.status}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise EngineFailed(f"OPA did not answer ({type(error).__name__})") from None
        except ValueError:
            raise EngineFailed("OPA's answer is no JSON") from None
        if not isinstance(body, dict):
            raise EngineFailed("OPA's answer is no object")
        engine, revision = _provenance(body)
        if revision != self._revision:
            self._revision, self._since = revision, self._clock()
        self._engine = engine
        return Evaluation(result=body.get("result", UNDEFINED), engine=engine, revision=revision)


class _Client(AsyncOpaClient):  # type: ignore[misc]  # the library ships no types
    """The library's client, which would follow redirects: to wherever, with the token, for an answer that counts."""

    def _request(self, method: str, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        request: AbstractAsyncContextManager[Any] = super()._request(method, url, allow_redirects=False, **options)
        return request


def _address(url: str) -> tuple[str, int, bool]:
    """(host, port, whether TLS). Raises ValueError: who can change the answers on their way can allow anything, so
    plain http goes to this machine only."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected http(s)://host:port for OPA, got {parts.scheme or 'no scheme'}")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("expected http(s)://host:port for OPA and nothing else; a token goes into a file")
    tls = parts.scheme == "https"
    if not tls and not _is_this_machine(parts.hostname):
        raise ValueError(f"http to {parts.hostname} can be changed on the way: use https, or a sidecar on 127.0.0.1")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host, parts.port or (443 if tls else 80), tls


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _provenance(body: Mapping[str, Any]) -> tuple[str, str]:
    """(engine and version, revision), as OPA tells them beside an answer."""
    told = body.get("provenance")
    if not isinstance(told, dict):
        return "opa", UNVERSIONED
    bundles = told.get("bundles")
    revisions = []
    if isinstance(bundles, dict):
        revisions = [
            str(b["revision"]) for _, b in sorted(bundles.items()) if isinstance(b, dict) and b.get("revision")
        ]
    return f"opa/{told.get('version', '')}"[:64], "+".join(revisions)[:128] or UNVERSIONED
