"""A browser's part of a sign-in, played against `Identity` without HTTP of our own: it keeps cookies and follows."""

from __future__ import annotations

from gateway.exchange import Actor, Credentials, Origin
from gateway.identity import Cookie, Identity
from tests.support.issuer import Issuer

HERE = Origin(ip="127.0.0.1")


class Visit:
    """One browser with its cookies."""

    def __init__(self, identity: Identity, issuer: Issuer) -> None:
        self.identity = identity
        self.issuer = issuer
        self.cookies: dict[str, str] = {}
        self.last_set: tuple[Cookie, ...] = ()

    @property
    def cookie_header(self) -> str | None:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items()) or None

    @property
    def session_cookie(self) -> str:
        return self.cookies["__Host-imprimatur-session"]

    def keep(self, *cookies: Cookie) -> None:
        self.last_set = cookies
        for cookie in cookies:
            if cookie.max_age_seconds > 0:
                self.cookies[cookie.name] = cookie.value
            else:
                self.cookies.pop(cookie.name, None)

    def credentials(self, method: str = "GET", **proof: str) -> Credentials:
        return Credentials(cookie=self.cookie_header, method=method, **proof)

    async def depart(self, return_to: str = "/studio") -> str:
        """Go to the sign-in page; returns the provider's address."""
        departure = await self.identity.begin_sign_in("company", return_to)
        self.keep(departure.cookie)
        return departure.url

    async def arrive(self, parameters: dict[str, str], provider: str = "company") -> str:
        """Come back from the provider; returns the page that the person is sent on to."""
        arrival = await self.identity.identify(provider, parameters, self.cookie_header)
        self.keep(*await self.identity.admit(arrival))
        return arrival.return_to

    async def sign_in(self, return_to: str = "/studio") -> str:
        return await self.arrive(self.issuer.approve(await self.depart(return_to)))

    async def step_up(self, max_age_seconds: int = 300) -> str:
        departure = await self.identity.begin_step_up(self.credentials(), max_age_seconds, "/keys")
        self.keep(departure.cookie)
        return await self.arrive(self.issuer.approve(departure.url))

    async def actor(self) -> Actor:
        return await self.identity.authenticate(self.credentials(), HERE)
