"""A whole gateway that really listens on loopback, in front of each of three real providers in turn.

Everything runs over the network as it would: the provider can reach the gateway (logout tokens), and the browser both.
A machine without apt has no glewlwyd; its tests say so when they are skipped, and no other's may be.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select, update

from audit import Query, RequestRow, Subject
from demo.idp import ROLE_MAPPING
from gateway.app import create_app
from gateway.identity.tables import sessions
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.interop.relying_party import RelyingParty
from tests.support.cases import open_content
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED
from tests.support.providers import PROVIDERS, Glewlwyd, RunningProvider
from tests.support.providers.base import HOST, free_port
from tests.support.providers.packages import CanNotInstall


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One provider, one worker: its process and the gateway before it are started once."""
    for item in items:
        call = getattr(item, "callspec", None)
        kind = None if call is None else call.params.get("idp")
        if isinstance(kind, type) and issubclass(kind, RunningProvider):
            item.add_marker(pytest.mark.xdist_group(f"interop-{kind.name}"))


@pytest.fixture(scope="session")
def public_url() -> str:
    """Where the gateway will listen: a provider has to be told before there is one."""
    return f"http://{HOST}:{free_port()}"


@pytest.fixture(scope="session", params=PROVIDERS, ids=[each.name for each in PROVIDERS])
def idp(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, public_url: str
) -> Iterator[RunningProvider]:
    """Each of the three, running."""
    kind: type[RunningProvider] = request.param
    provider = kind(tmp_path_factory.mktemp(kind.name), public_url)
    try:
        provider.start()
    except CanNotInstall as reason:
        if kind is Glewlwyd:
            pytest.skip(str(reason))
        raise
    yield provider
    provider.stop()


@dataclass(frozen=True)
class House:
    """The gateway under test and its provider."""

    app: FastAPI
    idp: RunningProvider
    database_url: str
    began: datetime

    @property
    def url(self) -> str:
        return self.idp.public_url

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def browser(self) -> httpx.AsyncClient:
        """A fresh browser, with no cookies."""
        return httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)

    async def last_asked(self, seconds: float) -> None:
        """Let it be so long ago that the provider was asked about the sessions there are."""
        database = Database(self.database_url)
        async with database.transaction() as tx:
            await tx.execute(update(sessions).values(checked_at=datetime.now(UTC) - timedelta(seconds=seconds)))
        await database.aclose()

    async def seconds_since_asked(self) -> float:
        """How long ago the provider was asked about a session and vouched for it; the last time of all."""
        database = Database(self.database_url)
        async with database.reading() as tx:
            last = (await tx.execute(select(func.max(sessions.c.checked_at)))).scalar_one()
        await database.aclose()
        return float((datetime.now(UTC) - last).total_seconds())

    async def records(self, action: str) -> tuple[RequestRow, ...]:
        """What the audit log holds of one kind of event since the test began, the newest first."""
        query = Query(action=action, created_from=self.began)
        page = await self.services.audit.search(query, searched_by=Subject(actor="-", display="a test"))
        return page.rows

    async def content_of(self, row: RequestRow) -> dict[str, Any]:
        """The sealed content of one event, opened."""
        opened = await open_content(self.services.audit, row.event_id, by="-", purpose="a test")
        return dict(opened.contents[0])


def settings_of(provider: dict[str, Any], public_url: str, state: Path) -> Settings:
    """A gateway with everything under `state`, for people of one provider."""
    secrets = {}
    for name in ("identity", "screening", "model-server"):
        secrets[name] = state / f"{name}.key"
        secrets[name].write_bytes(name.encode() * 8)
    return Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server={"public_url": public_url, **UNHURRIED["server"]},
        policy=UNHURRIED["policy"],
        identity={
            "providers": [provider],
            "roles": ROLE_MAPPING,
            "secret_path": secrets["identity"],
            "cookie_secure": False,  # plain http on loopback
            "throttle": {"network_per_minute": 100_000, "refusals_per_minute": 100_000, "account_refusals": 100_000},
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


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[FastAPI]:
    """A gateway that listens at its public address while the block runs."""
    database = Database(settings.database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.aclose()
    app = create_app(settings)
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, int(settings.server.public_url.rpartition(":")[2])))
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve(sockets=[door]))
            while not server.started:
                await asyncio.sleep(0.005)
            try:
                yield app
            finally:
                server.should_exit = True
                await serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(idp: RunningProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[FastAPI, str]]:
    settings = settings_of(idp.provider(), idp.public_url, tmp_path_factory.mktemp("house"))
    async with listening(settings) as app:
        yield app, settings.database_url


@pytest.fixture
def house(running: tuple[FastAPI, str], idp: RunningProvider) -> House:
    """The gateway that the tests of a module share; its log shows each test only what happened since it began."""
    app, database_url = running
    return House(app, idp, database_url, datetime.now(UTC))


@pytest_asyncio.fixture(loop_scope="module")
async def restored(idp: RunningProvider) -> AsyncIterator[RunningProvider]:
    """The provider, with alice as she was when the test is over."""
    yield idp
    await idp.reinstate("alice")
    await idp.regroup("alice", idp.people["alice"].groups)


@pytest_asyncio.fixture(loop_scope="module")
async def party(idp: RunningProvider) -> AsyncIterator[RelyingParty]:
    """The gateway's client in the test's own hands, with a fresh browser."""
    async with httpx.AsyncClient(timeout=20, trust_env=False) as browser:
        yield RelyingParty(idp, browser)
