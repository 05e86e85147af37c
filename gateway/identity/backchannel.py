"""A provider tells us that somebody signed out there (OpenID Connect Back-Channel Logout 1.0).

It posts a logout token, a JWT that it signed. By `sid` the sessions end that came from that session of the provider; by
`sub` alone every session of the person ends, and every access token issued until then. Both are effective on the next
request on every gateway, because each request looks.

A token works once: its `jti` is remembered for as long as it could pass. Each gateway remembers for itself; a token
that is sent to two of them ends again what has ended, and whoever signed in anew within those two minutes signs in once
more.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.errors import InvalidRequest
from gateway.exchange import ActorId, Origin
from gateway.identity.authenticate import answering
from gateway.identity.leaving import Ended, Leaving
from gateway.identity.oidc import OidcProvider
from gateway.identity.tokens import LOGOUT_FRESH_SECONDS, TokenRefused, Use, VerifiedToken

log = logging.getLogger(__name__)

REMEMBERED: Final = 50_000
"""Ids of logout tokens. Only tokens that the provider signed are remembered, so that strangers can't push any out."""

OnRefusedLogout = Callable[[str, str, Origin], Awaitable[None]]
"""Told of a logout token that was not good: provider ("" if there is none by that name), fault, where from. Must not
raise."""


class LogoutRefused(InvalidRequest):
    """Not a logout token that we carry out. The sentence doesn't say which step refused."""

    code = "invalid_request"

    def __init__(self) -> None:
        super().__init__("This logout token is not accepted, so no session was ended.", param="logout_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """What a logout token ended."""

    provider: str
    actor: ActorId | str
    """Whom the token names; empty when it names a session only."""
    is_everywhere: bool
    ended: Sequence[Ended]


class BackChannel:
    """Judges logout tokens and carries them out."""

    def __init__(
        self,
        providers: Mapping[str, OidcProvider],
        leaving: Leaving,
        leeway_seconds: int,
        clock: Callable[[], datetime],
        on_refused: OnRefusedLogout | None = None,
    ) -> None:
        self._providers = providers
        self._leaving = leaving
        self._clock = clock
        self._memory = timedelta(seconds=LOGOUT_FRESH_SECONDS + 2 * leeway_seconds)
        self._on_refused = on_refused
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    @asynccontextmanager
    async def logging_out(self, provider: str, token: str, origin: Origin) -> AsyncIterator[LoggedOut]:
        """The sessions are over when the block begins; write it down inside. A block that raises, or a database that
        fails, leaves the token unused, so that the provider may send it again.

        Raises LogoutRefused, IdentityUnavailable."""
        verified = await self._verified(provider, token, origin)
        seen = (provider, str(verified.claims["jti"]))
        if not self._remember(seen):
            await self._tell(provider, "replay", origin)
            raise LogoutRefused
        try:
            async with answering():
                done = await self._carry_out(provider, verified)
            yield done
        except BaseException:
            self._seen.pop(seen, None)
            raise

    async def _verified(self, provider: str, token: str, origin: Origin) -> VerifiedToken:
        if provider not in self._providers:
            await self._tell("", "provider", origin)
            raise LogoutRefused
        client_id = self._providers[provider].provider.client_id
        verifier = self._providers[provider].verifier
        try:
            return await verifier.verify(token, Use.LOGOUT_TOKEN, audience=client_id, client_id=client_id)
        except TokenRefused as refused:
            await self._tell(provider, str(refused.fault), origin)
            raise LogoutRefused from None

    async def _tell(self, provider: str, fault: str, origin: Origin) -> None:
        log.warning("logout-token.refused", extra={"fields": {"provider": provider, "fault": fault}})
        if self._on_refused is not None:
            await self._on_refused(provider, fault, origin)

    def _remember(self, id: tuple[str, str]) -> bool:
        """Whether this is the first time."""
        now = self._clock()
        while self._seen and (len(self._seen) > REMEMBERED or next(iter(self._seen.values())) < now):
            self._seen.popitem(last=False)
        if id in self._seen:
            return False
        self._seen[id] = now + self._memory
        return True

    async def _carry_out(self, provider: str, verified: VerifiedToken) -> LoggedOut:
        session = str(verified.claims.get("sid", ""))
        actor = ActorId(f"{provider}|{verified.subject}") if verified.subject else ""
        if session:
            ended = await self._leaving.of_provider(provider, session, verified.subject)
        else:
            ended = await self._leaving.everywhere(ActorId(actor))
        return LoggedOut(provider=provider, actor=actor, is_everywhere=not session, ended=ended)
