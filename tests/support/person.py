"""A person at the gateway: signed in through the real forms, with a key of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx

from demo.idp.browserless import sign_in
from demo.stack import Stack

SCOPES = ["image:generate", "image:edit", "image:vary", "model:list", "credit:read"]


class PersonAt:
    """`async with PersonAt(stack, "alice") as alice:` — a session, and calls in its name."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.client = httpx.AsyncClient(base_url=stack.url, timeout=90, trust_env=False)
        self.csrf = ""

    async def __aenter__(self) -> Self:
        await sign_in(self.client, self.stack.url, self.stack.people[self.name])
        self.csrf = (await self.client.get("/v1/session")).raise_for_status().json()["csrf_token"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    @property
    def unsafe(self) -> dict[str, str]:
        """What a page of ours sends with an unsafe method."""
        return {"x-csrf-token": self.csrf, "origin": self.stack.url}

    async def mint(self, scopes: list[str] | None = None) -> str:
        answer = await self.client.post(
            "/v1/keys",
            json={"name": "test", "scopes": SCOPES if scopes is None else scopes, "days": 1},
            headers=self.unsafe,
        )
        assert answer.is_success, answer.text
        return str(answer.json()["key"])

    async def generate(self, prompt: str, **fields: Any) -> httpx.Response:
        body = {"prompt": prompt, "size": "256x256", **fields}
        return await self.client.post("/v1/images/generations", json=body, headers=self.unsafe)

    async def edit(self, prompt: str, image: bytes, mask: bytes | None = None, **fields: str) -> httpx.Response:
        files = [("image", ("picture.png", image)), *([("mask", ("mask.png", mask))] if mask else [])]
        return await self.post_form("edits", files, {"prompt": prompt, **fields})

    async def vary(self, image: bytes, **fields: str) -> httpx.Response:
        return await self.post_form("variations", [("image", ("picture.png", image))], fields)

    async def post_form(
        self, call: str, files: Sequence[tuple[str, Any]], fields: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """`POST /v1/images/{call}` with files, as a page of ours sends them."""
        return await self.client.post(f"/v1/images/{call}", data=fields, files=files, headers=self.unsafe)

    async def credits(self) -> int:
        return int((await self.client.get("/v1/credits")).raise_for_status().json()["remaining"])

    async def records(self, **query: str) -> list[dict[str, Any]]:
        """An auditor's search, as JSON."""
        answer = await self.client.get("/audit", params=query, headers={"accept": "application/json"})
        assert answer.is_success, answer.text
        return list(answer.json()["rows"])

    async def record(self, event_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/audit/records/{event_id}", headers={"accept": "application/json"})
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def effect_of(self, event_id: str, *, within_seconds: float = 5) -> dict[str, Any]:
        """The row of a request once it is concluded."""
        deadline = time.monotonic() + within_seconds
        while True:
            rows = await self.records(event_id=event_id)
            if (rows and rows[0]["effect"]) or time.monotonic() > deadline:
                assert rows, f"no record {event_id}"
                return rows[0]
            await asyncio.sleep(0.1)
