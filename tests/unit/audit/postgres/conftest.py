"""What the tests of the PostgreSQL store share: a database each, logs on it that stand for several gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import AuditLog, AuditSettings, Entry, Subject
from audit.migrations.migrate import upgrade
from audit.store.port import Store
from tests.support.postgres import fresh_database


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)


class Place:
    """One log: a database, a key folder, and as many gateways as are opened."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.clock = Clock()

    def settings(self, **changes: Any) -> AuditSettings:
        values: dict[str, Any] = {
            "database_url": self.url,
            "directory": self.folder / "log",
            "kek_path": self.folder / "kek",
            "signing_key_path": self.folder / "signing.pem",
            "origin": "example.com/audit",
            "create_keys": True,
            # Tests that look at checkpoints ask for them; others must not depend on when a second is over.
            "checkpoint_interval_seconds": 3600,
            "database_lock_timeout_seconds": 1.0,
            "database_statement_timeout_seconds": 5.0,
        }
        return AuditSettings.model_validate({**values, **changes})

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[AuditLog]:
        log = await AuditLog.open(self.settings(**changes), clock=self.clock)
        try:
            yield log
        finally:
            await log.aclose()

    def dba(self) -> psycopg.Connection[Any]:
        """What somebody who owns the database may do."""
        return psycopg.connect(self.url, autocommit=True)


class Makers:
    """Entries."""

    @staticmethod
    def subject(actor: str = "alice") -> Subject:
        return Subject(actor=actor, display=actor.title(), department="press", groups=("writers",))

    @classmethod
    def intent(cls, actor: str = "alice", **fields: Any) -> Entry:
        values = {"action": "image:generate", "subject": cls.subject(actor), "content": {"prompt": "a fox"}}
        return Entry(**{**values, **fields})

    @classmethod
    def outcome(cls, actor: str = "alice", effect: str = "allow", **fields: Any) -> Entry:
        values = {"action": "image:generate", "subject": cls.subject(actor), "effect": effect, "content": {"n": 1}}
        return Entry(**{**values, **fields})


def store_of(log: AuditLog) -> Any:
    store: Store = log._store  # the tests of a store look behind the log
    return store


@pytest.fixture
def database() -> Iterator[str]:
    with fresh_database(upgrade) as url:
        yield url


@pytest.fixture
def place(database: str, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


@pytest.fixture
def make() -> type[Makers]:
    return Makers


@pytest.fixture
def behind() -> Callable[[AuditLog], Any]:
    return store_of
