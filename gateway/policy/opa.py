"""An OPA server (1.21.3 or later) as the engine: a sidecar that serves the same bundle."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from opa_client import AsyncOpaClient

from gateway.policy.breaker import Breaker
from gateway.policy.engine import UNDEFINED, EngineFailed, EngineHealth, EntryPoint, Evaluation, RulesRefused
from gateway.policy.opa_status import BundleAge
from gateway.policy.revisions import Revisions, Standing
from gateway.vocabulary import Code

QUERY: Final = {
    # A built-in that stumbles is an error and no undefined, which a rule could take for "nothing found".
    "strict-builtin-errors": "true",
    # Which bundle answered: an answer that can't be tied to a revision can't be replayed.
    "provenance": "true",
}
UNVERSIONED: Final = "unversioned"
"""The revision of rules that OPA did not get as a bundle."""
MAX_ANSWER_BYTES: Final = 4 << 20
"""A decision on 256 findings is a tenth of that."""
STATUS_SECONDS: Final = 5.0
"""For OPA's status, which nobody waits for."""


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
        revisions: Revisions | None = None,
        confirmed_within: timedelta | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for an address that must not be used.

        With `revisions`, answers of other rules than those are denials, and of superseded ones too. With
        `confirmed_within`, for rules that somebody else hands out, answers are denials when OPA did not hear for so
        long that its bundles are current.
        """
        self._host, self._port, self._tls = _address(url)
        self._token_path = token_path
        self._decision_seconds = decision_seconds
        self._clock = clock
        self._breaker = Breaker(failures=breaker_failures, open_seconds=breaker_open_seconds, monotonic=monotonic)
        self._revisions = revisions
        self._age = (
            None if confirmed_within is None else BundleAge(self._status, clock=clock, stale_after=confirmed_within)
        )
        self._watch: asyncio.Task[None] | None = None
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
        if self._age is not None:
            await self._age.look()
            self._watch = asyncio.create_task(self._age.run(), name="policy-opa-status")

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        with self._breaker.guard():
            evaluation = await self._ask(entry, document)
        # Outside of the breaker: the server is well and answers, and to leave it alone would not make it follow.
        self._believe(evaluation)
        return evaluation

    async def health(self) -> EngineHealth:
        """Ready when OPA says that its bundles are active, and both entry points answer."""
        error = ""
        try:
            if not await self._opened().check_health(query={"bundles": "true"}):
                raise EngineFailed("OPA can't be reached, or its bundles are not active")
            for entry in EntryPoint:
                evaluation = await self._ask(entry, {})
                if evaluation.result is UNDEFINED:
                    raise EngineFailed(f"OPA has no rules for {entry}")
                self._believe(evaluation)
        except EngineFailed as failed:
            error = str(failed)
        return EngineHealth(
            ready=not error, engine=self._engine, revision=self._revision, since=self._since, error=error
        )

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        if self._client is not None:
            await self._client.close_connection()
            self._client = None

    def _opened(self) -> _Client:
        """Raises EngineFailed before the start and after the end."""
        if self._client is None:
            raise EngineFailed("not started")
        return self._client

    async def _ask(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        client = self._opened()
        package, _, rule = entry.value.rpartition(".")
        try:
            async with asyncio.timeout(self._decision_seconds):
                body = await client.query_rule(dict(document), package, rule, QUERY)
        except aiohttp.ClientResponseError as error:
            # OPA's own message can quote the input, so only the number goes on.
            raise EngineFailed(f"OPA answered {error.status}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise EngineFailed(f"OPA did not answer ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise EngineFailed("OPA's answer is no JSON, or too long") from None
        if not isinstance(body, dict):
            raise EngineFailed("OPA's answer is no object")
        engine, revision = _provenance(body)
        if revision != self._revision:
            self._revision, self._since = revision, self._clock()
        self._engine = engine
        return Evaluation(result=body.get("result", UNDEFINED), engine=engine, revision=revision)

    def _believe(self, evaluation: Evaluation) -> None:
        """Raises RulesRefused for an answer of rules that may not decide here."""
        if self._revisions is not None:
            standing = self._revisions.standing(evaluation.revision)
            if standing is Standing.STALE:
                behind = self._revisions.behind_seconds(evaluation.revision)
                told = f"OPA decides by {evaluation.revision}, which was superseded {behind:.0f} s ago"
                raise RulesRefused(Code.POLICY_STALE, told, evaluation)
            if standing is Standing.UNKNOWN:
                told = f"OPA decides by {evaluation.revision}, which is not handed out here"
                raise RulesRefused(Code.POLICY_REVISION_UNKNOWN, told, evaluation)
        if self._age is not None:
            if evaluation.revision == UNVERSIONED:
                raise RulesRefused(Code.POLICY_REVISION_UNKNOWN, "OPA decides by rules of no bundle", evaluation)
            if problem := self._age.problem():
                raise RulesRefused(Code.POLICY_STALE, problem, evaluation)

    async def _status(self) -> object:
        """OPA's own word on its bundles. Raises EngineFailed."""
        client = self._opened()
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                return await client.status()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            raise EngineFailed(f"OPA did not tell its status ({type(error).__name__})") from None


class _Client(AsyncOpaClient):  # type: ignore[misc]  # the library ships no types
    """The library's client, which would follow redirects: to wherever, with the token, for an answer that counts."""

    def _request(self, method: str, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        request: AbstractAsyncContextManager[Any] = super()._request(method, url, allow_redirects=False, **options)
        return request

    async def query_rule(
        self, input_data: dict[str, Any], package_path: str, rule_name: str, query_params: Mapping[str, str]
    ) -> object:
        """As the library's, with an end to how much is read: an answer without one would fill our memory."""
        path = f"{package_path}/{rule_name}".replace(".", "/")
        url = f"{self.root_url}/data/{path}?{urlencode(query_params)}"
        async with self._request("POST", url, json={"input": input_data}) as response:
            response.raise_for_status()
            return json.loads(await _body(response))

    async def status(self) -> object:
        patience = aiohttp.ClientTimeout(total=STATUS_SECONDS)
        async with self._request("GET", f"{self.root_url}/status", timeout=patience) as response:
            response.raise_for_status()
            return json.loads(await _body(response))


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Raises ValueError for anything that is not JSON by its own word, or too long."""
    if response.status != HTTPStatus.OK or response.content_type != "application/json":
        raise ValueError(f"status {response.status} with {response.content_type}")
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
    return bytes(body)


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
