"""What the log's tests share: a clock that is set by hand, a log on real files, a disk that can be made to fail."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog, AuditSettings, Entry, Subject, Ticket
from audit.store.disk import Disk

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)


class FaultyDisk(Disk):
    """A real disk whose next operations can be made to fail, before or after the work is done."""

    def __init__(self) -> None:
        self.before_commit: list[Exception] = []  # "did not happen"
        self.after_commit: list[Exception] = []  # "happened, but we were not told"
        self.fail: dict[str, list[Exception]] = {}
        self.free = 0.5
        self.calls: list[str] = []

    def commit(self, connection: sqlite3.Connection) -> None:
        self.calls.append("commit")
        if self.before_commit:
            raise self.before_commit.pop(0)
        super().commit(connection)
        if self.after_commit:
            raise self.after_commit.pop(0)

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        self._note("write_whole")
        super().write_whole(path, data, mode)

    def create(self, path: Path, data: bytes, mode: int) -> None:
        self._note("create")
        super().create(path, data, mode)

    def append(self, path: Path, data: bytes, mode: int) -> None:
        self._note("append")
        super().append(path, data, mode)

    def erase(self, path: Path) -> None:
        self._note("erase")
        super().erase(path)

    def replace(self, fresh: Path, path: Path) -> None:
        self._note("replace")
        super().replace(fresh, path)

    def free_fraction(self, folder: Path) -> float:
        return self.free

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if self.fail.get(name):
            raise self.fail[name].pop(0)


class House:
    """A place for one log: its settings, its clock, its disk, and shorthands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "log"
        self.clock = Clock()
        self.disk = FaultyDisk()
        self.witness = folder / "witness" / "checkpoints"
        self.settings = AuditSettings(
            directory=self.store,
            kek_path=folder / "secrets" / "kek",
            signing_key_path=folder / "secrets" / "signing.pem",
            origin="example.com/audit",
            witness_path=self.witness,
            create_keys=True,
            # Tests that look at checkpoints ask for them; others must not depend on when a second is over.
            checkpoint_interval_seconds=3600,
        )

    def with_settings(self, **changes: Any) -> None:
        self.settings = AuditSettings(**{**self.settings.model_dump(), **changes})

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[AuditLog]:
        log = await AuditLog.open(self.settings, clock=self.clock, disk=self.disk, **options)
        try:
            yield log
        finally:
            await log.aclose()

    @property
    def vkey(self) -> str:
        import json

        return str(json.loads((self.store / "log.json").read_text())["vkey"])

    def day_file(self, day: str = "2026-11-22") -> Path:
        return self.store / "days" / f"{day}.sqlite"


def subject(actor: str = "alice") -> Subject:
    return Subject(actor=actor, display=actor.title(), department="press", groups=("writers",))


def intent(actor: str = "alice", prompt: str = "a fox", **fields: Any) -> Entry:
    return Entry(**{"action": "image:generate", "subject": subject(actor), "content": {"prompt": prompt}, **fields})


def outcome(actor: str = "alice", effect: str = "allow", **fields: Any) -> Entry:
    values = {"action": "image:generate", "subject": subject(actor), "effect": effect, "content": {"findings": []}}
    return Entry(**{**values, **fields})


async def request(
    log: AuditLog, actor: str = "alice", effect: str = "allow", prompt: str = "a fox", **fields: Any
) -> Ticket:
    """One whole request."""
    ticket = await log.intend(intent(actor, prompt))
    await log.conclude(ticket, outcome(actor, effect, **fields))
    return ticket


class Makers:
    """The helpers above, as a fixture: test folders are no packages, so nothing can be imported from here."""

    subject = staticmethod(subject)
    intent = staticmethod(intent)
    outcome = staticmethod(outcome)
    request: Callable[..., Awaitable[Ticket]] = staticmethod(request)
    START = START


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def make() -> type[Makers]:
    return Makers


@pytest.fixture
def vectors() -> Path:
    return Path(__file__).parents[2] / "vectors" / "audit"
