"""People signed in at the front door, and what their pages send: for tests of what administrators do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.front_door import URL, FrontDoor

CAST = {
    "alice": ("staff",),
    "bob": ("compliance",),
    "carol": ("platform",),
    "dan": ("platform",),
    "erin": ("platform", "studio-leads"),
}


class Person:
    """A browser with somebody signed in."""

    def __init__(self, browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.browser = browser
        self.headers = headers

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.browser.get(path, **options)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.browser.post(path, json=body, headers=self.headers)

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """A page's form."""
        form = {"csrf_token": self.headers["x-csrf-token"], **fields}
        headers = {"origin": URL, "sec-fetch-site": "same-origin", "accept": "text/html"}
        return await self.browser.post(path, data=form, headers=headers)

    async def page(self, path: str) -> httpx.Response:
        return await self.browser.get(path, headers={"accept": "text/html"})


@asynccontextmanager
async def signed_in(door: FrontDoor, cast: dict[str, tuple[str, ...]] = CAST) -> AsyncIterator[dict[str, Person]]:
    """Each of the cast in a browser of their own."""
    found = {}
    for name, groups in cast.items():
        browser = door.browser("10.0.0.9")
        await door.sign_in(browser, name, *groups)
        found[name] = Person(browser, await door.page_headers(browser))
    try:
        yield found
    finally:
        for person in found.values():
            await person.browser.aclose()
