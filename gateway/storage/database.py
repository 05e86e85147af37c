"""The engine and its transactions, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

BUSY_TIMEOUT_MS = 5_000
"""How long a SQLite writer waits for another: a request's transactions are single statements of a few milliseconds."""


class Database:
    """Short transactions over one pool.

    A request takes several: none is held open while a picture is being made (`docs/decisions/0003`).
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.engine: AsyncEngine = create_async_engine(parsed, pool_size=pool_size, max_overflow=0, pool_timeout=5)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction: committed and durable when the block ends well, rolled back when it raises."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view that takes no write lock; nothing done in it is kept."""
        async with self.engine.connect() as connection:
            yield await connection.execution_options(read_only=True)

    async def ping(self) -> None:
        """Raise what the driver raises when the database can't answer."""
        async with self.reading() as connection:
            await connection.execute(text("select 1"))

    async def aclose(self) -> None:
        await self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN is switched off: it opens transactions as readers and then fails to upgrade.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=wal", "synchronous=full", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=on"):
        cursor.execute(f"pragma {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("begin" if read_only else "begin immediate")
