"""The door as strangers find it: how often they may knock, and which browsers are no strangers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from gateway.exchange import ActorId, Origin
from gateway.identity import cookies
from gateway.identity.cookies import Cookie, CookieNames
from gateway.identity.known_browsers import LIFETIME_SECONDS, KnownBrowsers
from gateway.identity.throttle import Throttle, Wait
from gateway.settings import ThrottleSettings

OnWait = Callable[[Wait, Origin, str], Awaitable[None]]
"""Told once when a wait begins: how long, from where, about which account ("" for a network). Must not raise."""


class Door:
    """Counts, slows down, and tells."""

    def __init__(
        self,
        settings: ThrottleSettings,
        cookie_names: CookieNames,
        browser_key: bytes,
        clock: Callable[[], datetime],
        on_wait: OnWait | None = None,
    ) -> None:
        self._throttle = Throttle(settings)
        self._cookie_names = cookie_names
        self._browsers = KnownBrowsers(browser_key, clock)
        self._on_wait = on_wait

    def begin(self, origin: Origin, cookie: str | None) -> None:
        """Somebody wants to be sent to a provider. Raises RateLimited."""
        self._throttle.begin(origin.ip, is_known=self._browsers.is_known(self._sealed(cookie)))

    async def credential_refused(self, origin: Origin) -> None:
        """A key or token was not good. Raises RateLimited when there were too many."""
        await self._tell(self._throttle.credential_refused(origin.ip), origin, "")

    async def sign_in_refused(self, origin: Origin, account: str) -> None:
        """An answer was not good. Raises RateLimited when there were too many."""
        await self._tell(self._throttle.sign_in_refused(origin.ip, account), origin, account)

    def knows(self, cookie: str | None, actor: ActorId) -> bool:
        """Has this person signed in in this browser before?"""
        return self._browsers.knows(self._sealed(cookie), actor)

    def remember(self, cookie: str | None, actor: ActorId) -> Cookie:
        """The cookie to set now that they did."""
        return Cookie(
            name=self._cookie_names.browser,
            value=self._browsers.remember(self._sealed(cookie), actor),
            max_age_seconds=LIFETIME_SECONDS,
            secure=self._cookie_names.secure,
        )

    def _sealed(self, cookie: str | None) -> str | None:
        return cookies.read(cookie, self._cookie_names.browser)

    async def _tell(self, wait: Wait | None, origin: Origin, account: str) -> None:
        if wait is None:
            return
        if wait.begins and self._on_wait is not None:
            await self._on_wait(wait, origin, account)
        raise wait.error()
