"""A whole gateway that a company's directory provisions, on loopback, over SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.settings import Settings
from gateway.storage.migrate import upgrade
from tests.support import forge
from tests.support.issuer import CLIENT_SECRET
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED
from tests.support.postgres import fresh_database

TOKEN = "c3VjaC1hLWRpcmVjdG9yeS10b2tlbi1mb3ItdGVzdHM"
OTHER_TOKEN = "YW5vdGhlci1kaXJlY3RvcnktaGFzLWFub3RoZXItb25l"
NOWHERE = "http://127.0.0.1:9"


def gateway_settings(
    state: Path,
    database_url: str,
    *,
    issuer: str = NOWHERE,
    image_server: str = NOWHERE,
    public_url: str = "http://127.0.0.1:8100",
    **scim: Any,
) -> Settings:
    """Settings of a gateway with everything under `state`; `scim` are those of the provider `company`."""
    secrets = {}
    for name in ("identity", "screening", "model-server"):
        secrets[name] = state / f"{name}.key"
        secrets[name].write_bytes(name.encode() * 8)
    (state / "scim.token").write_text(TOKEN + "\n")
    (state / "client.secret").write_text(CLIENT_SECRET)
    return Settings(
        database_url=database_url,
        pictures_path=state / "pictures",
        server={"public_url": public_url},
        policy=UNHURRIED["policy"],
        credits=UNHURRIED["credits"],
        identity={
            "providers": [
                {
                    "name": "company",
                    "issuer": issuer,
                    "client_id": forge.CLIENT_ID,
                    "client_secret_path": state / "client.secret",
                    "access_token_audience": forge.RESOURCE,
                    "profile": {"mfa_amr_two_distinct_of": ["pwd", "otp"], "trusts_auth_time": True},
                    "scim": {"token_path": state / "scim.token", **scim},
                }
            ],
            "roles": {"staff": ["employee"], "compliance": ["auditor"], "platform": ["admin"]},
            "secret_path": secrets["identity"],
            "cookie_secure": False,
        },
        screening={"secret_path": secrets["screening"], **UNHURRIED["screening"]},
        provenance=own_marks(state),
        upstream={"url": image_server, "secret_path": secrets["model-server"]},
        audit={
            "directory": state / "audit",
            "kek_path": state / "kek.key",
            "signing_key_path": state / "signing.key",
            "witness_path": state / "witness.txt",
            "create_keys": True,
        },
    )


@contextmanager
def database(kind: str, state: Path) -> Iterator[str]:
    """URL of a fresh database that has our tables: `sqlite` or `postgresql`."""
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}"
        upgrade(url)
        yield url
        return
    with fresh_database(_fill) as url:
        yield _asyncpg(url)


@contextmanager
def serving(settings: Settings, port: int) -> Iterator[str]:
    """The gateway on loopback; yields its URL. Ends with the block."""
    server = _server(create_app(settings), port)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the gateway did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@asynccontextmanager
async def serving_here(app: FastAPI, port: int) -> AsyncIterator[str]:
    """The same in the test's own event loop, so that the test reaches what is inside."""
    server = _server(app, port)
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            raise RuntimeError("the gateway did not start")
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def _server(app: FastAPI, port: int) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill(url: str) -> None:
    upgrade(_asyncpg(url))


def _asyncpg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)
