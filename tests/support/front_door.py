"""A whole gateway in this process, in front of the small issuer of `issuer.py`: its doors as HTTP knows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from audit import Query, RequestRow, Subject
from gateway.app import create_app
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.support import forge
from tests.support.cases import open_content
from tests.support.issuer import CLIENT_SECRET, Issuer
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED

URL = "https://imprimatur.example"
ROLES = {"staff": ["employee"], "compliance": ["auditor"], "platform": ["admin"]}


class FrontDoor:
    """The gateway, and browsers in front of it."""

    def __init__(self, app: FastAPI, issuer: Issuer) -> None:
        self.app = app
        self.issuer = issuer

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def browser(self, ip: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A fresh browser, or a program, at that address."""
        transport = httpx.ASGITransport(self.app, client=(ip, 40_000))
        return httpx.AsyncClient(base_url=URL, transport=transport, trust_env=False, timeout=30, headers=headers)

    async def sign_in(self, browser: httpx.AsyncClient, subject: str = "alice", *groups: str, **claims: Any) -> None:
        """Somebody comes in, second factor and all."""
        self.issuer.person = {"sub": subject, "name": subject.title(), "groups": list(groups or ("staff",))}
        self.issuer.person |= {"amr": ["pwd", "otp"], **claims}
        answer = await self.walk(browser, await browser.get("/auth/sign-in?provider=company"))
        assert answer.status_code == 303, answer.text

    async def walk(self, browser: httpx.AsyncClient, away: httpx.Response) -> httpx.Response:
        """From a redirect to the issuer, through it and back; the callback's answer."""
        assert away.headers["location"].startswith(self.issuer.url), away.headers["location"]
        return await browser.get("/auth/callback/company", params=self.issuer.approve(away.headers["location"]))

    async def page_headers(self, browser: httpx.AsyncClient) -> dict[str, str]:
        """What our own page sends with an unsafe request."""
        token = (await browser.get("/v1/session")).raise_for_status().json()["csrf_token"]
        return {"x-csrf-token": token, "origin": URL, "sec-fetch-site": "same-origin"}

    async def records(self, action: str) -> tuple[RequestRow, ...]:
        """What the log holds of one kind of event, the newest first."""
        found = await self.services.audit.search(Query(action=action), searched_by=Subject(actor="-", display="a test"))
        return found.rows

    async def content_of(self, row: RequestRow) -> Mapping[str, Any]:
        """The sealed content of one event, opened."""
        opened = await open_content(self.services.audit, row.event_id, by="-", purpose="a test")
        return dict(opened.contents[0])


@asynccontextmanager
async def open_front_door(state: Path, issuer: Issuer, **provider: Any) -> AsyncIterator[FrontDoor]:
    """A gateway with everything under `state`, running while the block runs. `provider` changes its settings."""
    secrets = {}
    for name in ("identity", "screening", "model-server"):
        secrets[name] = state / f"{name}.key"
        secrets[name].write_bytes(name.encode() * 8)
    (state / "client.secret").write_text(CLIENT_SECRET)
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server={"public_url": URL},
        policy=UNHURRIED["policy"],
        identity={
            "providers": [
                {
                    "name": "company",
                    "label": "The Company",
                    "issuer": issuer.url,
                    "client_id": forge.CLIENT_ID,
                    "client_secret_path": state / "client.secret",
                    "profile": {"mfa_amr_two_distinct_of": ["pwd", "otp"], "trusts_auth_time": True},
                    **provider,
                }
            ],
            "roles": ROLES,
            "secret_path": secrets["identity"],
        },
        screening={"secret_path": secrets["screening"], **UNHURRIED["screening"]},
        provenance=own_marks(state),
        upstream={"url": "http://127.0.0.1:9", "secret_path": secrets["model-server"]},
        audit={
            "directory": state / "audit",
            "kek_path": state / "kek.key",
            "signing_key_path": state / "signing.key",
            "witness_path": state / "witness.txt",
            "create_keys": True,
        },
    )
    database = Database(settings.database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.aclose()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield FrontDoor(app, issuer)


def path_of(address: str) -> str:
    """Path and query of an address."""
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")
