"""Somebody at the gateway for the length of a tour."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx

from demo.idp.browserless import sign_in
from demo.stack import Stack
from demo.tours.telling import NotAsTold


class Visitor:
    """`async with Visitor(stack, "alice") as alice`: a session with a second factor given just now."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.person = stack.people[name]
        self._url = stack.url
        self._client = httpx.AsyncClient(base_url=stack.url, timeout=120, trust_env=False)
        self._csrf = ""
        self._signed_in_at = 0.0

    async def __aenter__(self) -> Self:
        try:
            await sign_in(self._client, self._url, self.person)
            self._signed_in_at = time.monotonic()
            self._csrf = (await self._client.get("/v1/session")).raise_for_status().json()["csrf_token"]
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def second_factor_seconds(self) -> float:
        """How long ago it was given."""
        return time.monotonic() - self._signed_in_at

    async def ask(self, method: str, path: str, body: object | None = None, **query: str) -> httpx.Response:
        """What comes back, whatever it is."""
        headers = {"accept": "application/json", "x-csrf-token": self._csrf, "origin": self._url}
        return await self._client.request(method, path, json=body, params=query or None, headers=headers)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """The answer. Raises NotAsTold when it is a refusal."""
        return answer_of(await self.ask("GET", path, **query))

    async def post(self, path: str, body: object | None = None) -> dict[str, Any]:
        """The answer. Raises NotAsTold when it is a refusal."""
        return answer_of(await self.ask("POST", path, body))


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a success. Raises NotAsTold."""
    if not response.is_success:
        raise NotAsTold(f"{response.request.method} {response.request.url.path}: {told(response)}")
    return dict(response.json())


def told(response: httpx.Response) -> str:
    """A refusal in one line: status, reason codes, and what the person reads."""
    try:
        error: dict[str, Any] = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return str(response.status_code)
    codes = ", ".join(reason["code"] for reason in error.get("reasons") or ()) or str(error.get("code") or "")
    return f"{response.status_code} {codes}: {error.get('message')}"
