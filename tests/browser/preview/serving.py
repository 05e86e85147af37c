"""The gateway as the preview serves it, on a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import uvicorn

from gateway.app import create_app
from gateway.observe.metrics import Metrics
from gateway.services import Services
from gateway.settings import (
    AuditSection,
    CreditSettings,
    IdentitySettings,
    ProvenanceSettings,
    Provider,
    ScreeningSettings,
    ServerSettings,
    Settings,
    UpstreamSettings,
)
from gateway.storage.migrate import upgrade
from gateway.wiring import open_services
from tests.browser.preview.acting import Acted, TwoModels
from tests.browser.preview.governance import govern
from tests.browser.preview.people import ROLES, administer, employ, start_session
from tests.browser.preview.records import fill, intent
from tests.browser.preview.rules import Source, policy_settings
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED

COOKIE = "imprimatur-session"


@dataclass
class Running:
    """The preview while it serves."""

    url: str
    requests: list[str]
    """Request ids in the log, the oldest first; the last one is still open."""
    pipeline: Acted
    services: Services
    loop: asyncio.AbstractEventLoop
    governed: dict[str, str]
    """Addresses of a case, of holds and of requests about people's data, by the state they are in."""

    def session(self, person: str) -> str:
        """A fresh session of this person, second factor and all: the value of its cookie."""
        return asyncio.run_coroutine_threadsafe(start_session(self.services, person), self.loop).result(30)


def _settings(state: Path, url: str, rules: Source) -> Settings:
    secrets = {name: state / f"{name}.key" for name in ("identity", "screening", "model-server")}
    for path in secrets.values():
        path.write_text("preview " * 8)
        path.chmod(0o600)
    provider = Provider(name="preview", label="Sign in with Acme ID", issuer=f"{url}/idp", client_id="imprimatur")
    return Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server=ServerSettings(public_url=url, requests_per_minute=10_000),
        identity=IdentitySettings(
            providers=(provider,), roles=ROLES, cookie_secure=False, secret_path=secrets["identity"]
        ),
        policy=policy_settings(state, rules),
        screening=ScreeningSettings(secret_path=secrets["screening"], **UNHURRIED["screening"]),
        provenance=ProvenanceSettings(**own_marks(state)),
        upstream=UpstreamSettings(secret_path=secrets["model-server"]),
        credits=CreditSettings(first_month=500),
        audit=AuditSection(
            directory=state / "audit",
            kek_path=state / "kek",
            signing_key_path=state / "signing",
            witness_path=state / "witness.txt",
            origin="preview.imprimatur.example/audit",
            create_keys=True,
            orphan_seconds=86_400,  # the request that is shown as open stays so, however long the tests take
        ),
    )


@asynccontextmanager
async def preview_services(settings: Settings) -> AsyncIterator[tuple[Services, list[str]]]:
    """The gateway's own services with the two stand-ins, over a log that has something to show."""
    await asyncio.to_thread(upgrade, settings.database_url)
    made = await fill(settings)
    async with open_services(settings, Metrics()) as real:
        acted: Any = Acted(real.screening, real.ledger, real.identity)
        models: Any = TwoModels()
        made.append((await real.audit.intend(intent("alice", "Alice Meyer", "Design"))).event_id)
        yield replace(real, pipeline=acted, catalogue=models), made


class Preview:
    """Serves from a thread of its own, on a port that the system chooses. Use it as a context manager."""

    def __init__(self, state: Path, port: int = 0, *, rules: Source = "folder") -> None:
        self._state = state
        self._rules: Source = rules
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._running: Running | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def running(self) -> Running:
        assert self._running is not None
        return self._running

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(30)
        if self._trouble is not None:
            raise self._trouble
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(10)

    def wait(self) -> None:
        self._thread.join()

    async def _serve(self) -> None:
        try:
            settings = _settings(self._state, self.url, self._rules)
            async with preview_services(settings) as (services, made):
                app = create_app(settings)
                app.state.services = services
                pipeline: Any = services.pipeline
                governed = await govern(services, made)
                await employ(services)
                governed |= await administer(services)
                self._running = Running(self.url, made, pipeline, services, asyncio.get_running_loop(), governed)
                config = uvicorn.Config(app, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
                self._server = uvicorn.Server(config)
                serving = asyncio.create_task(self._server.serve([self._socket]))
                while not self._server.started and not serving.done():
                    await asyncio.sleep(0.01)
                self._ready.set()
                await serving
        except BaseException as error:
            self._trouble = error
            raise
        finally:
            self._ready.set()
