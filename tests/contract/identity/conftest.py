"""A whole gateway in this process, in front of a real identity provider in another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from audit import Query, RequestRow, Subject
from demo.idp import ROLE_MAPPING, DemoIdp
from gateway.app import create_app
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.support.cases import open_content
from tests.support.idp import PUBLIC_URL, demo_idp
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED

__all__ = ["demo_idp"]


@dataclass(frozen=True)
class House:
    """The gateway under test and its provider."""

    app: FastAPI
    idp: DemoIdp
    began: datetime

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def browser(self) -> httpx.AsyncClient:
        """A fresh browser: asks the gateway in this process, the provider over the network."""
        return httpx.AsyncClient(
            base_url=PUBLIC_URL, timeout=20, trust_env=False, mounts={PUBLIC_URL: httpx.ASGITransport(self.app)}
        )

    async def records(self, action: str) -> tuple[RequestRow, ...]:
        """What the audit log holds of one kind of event, the newest first."""
        query = Query(action=action, created_from=self.began)
        page = await self.services.audit.search(query, searched_by=Subject(actor="-", display="a test"))
        return page.rows

    async def content_of(self, row: RequestRow) -> dict[str, Any]:
        """The sealed content of one event, opened."""
        opened = await open_content(self.services.audit, row.event_id, by="-", purpose="a test")
        return dict(opened.contents[0])


@asynccontextmanager
async def open_house(demo_idp: DemoIdp, state: Path) -> AsyncIterator[FastAPI]:
    """A gateway with everything under `state`, running while the block runs."""
    secrets = {}
    for name in ("identity", "screening", "model-server"):
        secrets[name] = state / f"{name}.key"
        secrets[name].write_bytes(name.encode() * 8)
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server={"public_url": PUBLIC_URL},
        policy=UNHURRIED["policy"],
        identity={
            "providers": [demo_idp.provider()],
            "roles": ROLE_MAPPING,
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
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(demo_idp: DemoIdp, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    async with open_house(demo_idp, tmp_path_factory.mktemp("house")) as app:
        yield app


@pytest.fixture
def house(running: FastAPI, demo_idp: DemoIdp) -> House:
    """The gateway that the tests of a module share; its log shows each test only what happened since it began."""
    return House(running, demo_idp, datetime.now(UTC))


@pytest_asyncio.fixture(loop_scope="module")
async def doomed_house(demo_idp: DemoIdp, tmp_path: Path) -> AsyncIterator[House]:
    """A gateway of one's own, for tests that break it."""
    async with open_house(demo_idp, tmp_path) as app:
        yield House(app, demo_idp, datetime.now(UTC))
