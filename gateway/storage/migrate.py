"""Schema migrations by Alembic: the same scripts for SQLite and PostgreSQL, in one transaction, safe to run again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from gateway.storage.database import Database

MIGRATIONS = Path(__file__).with_name("migrations")


def upgrade(database_url: str, revision: str = "head") -> str:
    """Bring the database at `database_url` to `revision`; returns the revision it is at."""
    return asyncio.run(_run(database_url, command.upgrade, revision))


def downgrade(database_url: str, revision: str) -> str:
    """Take it back; returns the revision it is at ("" = empty)."""
    return asyncio.run(_run(database_url, command.downgrade, revision))


async def _run(database_url: str, act: Callable[[Config, str], None], revision: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def migrate(connection: Connection) -> str:
        config.attributes["connection"] = connection
        act(config, revision)
        return MigrationContext.configure(connection).get_current_revision() or ""

    database = Database(database_url)
    try:
        async with database.transaction() as tx:
            return await tx.run_sync(migrate)
    finally:
        await database.aclose()
