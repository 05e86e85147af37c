"""Every store of the log passes this suite: SQLite, and a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog, AuditSettings, Entry, Subject
from audit.migrations.migrate import upgrade
from tests.support.postgres import fresh_database

OpenLog = Callable[..., AbstractAsyncContextManager[AuditLog]]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def store_settings(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the settings of a log need to name a fresh store of each kind, besides ``directory``."""
    if request.param == "sqlite":
        yield {}
        return
    with fresh_database(upgrade) as url:
        yield {"database_url": url}


@pytest.fixture
def open_log(store_settings: dict[str, Any], tmp_path: Path, clock: Clock) -> OpenLog:
    """Opens the same log each time it is called."""

    @asynccontextmanager
    async def open_(**changes: Any) -> AsyncIterator[AuditLog]:
        values = {
            "directory": tmp_path / "log",
            "kek_path": tmp_path / "kek",
            "signing_key_path": tmp_path / "signing.pem",
            "origin": "example.com/audit",
            "create_keys": True,
            **store_settings,
            **changes,
        }
        log = await AuditLog.open(AuditSettings(**values), clock=clock)
        try:
            yield log
        finally:
            await log.aclose()

    return open_


def _subject(actor: str = "alice") -> Subject:
    return Subject(actor=actor, display=actor.title(), department="press", groups=("writers", "all"))


@pytest.fixture
def subject() -> Callable[..., Subject]:
    return _subject


@pytest.fixture
def intent() -> Callable[..., Entry]:
    def make(actor: str = "alice", **fields: Any) -> Entry:
        return Entry(
            **{"action": "image:generate", "subject": _subject(actor), "content": {"prompt": "a fox"}, **fields}
        )

    return make


@pytest.fixture
def outcome() -> Callable[..., Entry]:
    def make(actor: str = "alice", effect: str = "allow", **fields: Any) -> Entry:
        values = {"action": "image:generate", "subject": _subject(actor), "effect": effect, "content": {"n": 1}}
        return Entry(**{**values, **fields})

    return make
