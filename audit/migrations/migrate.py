"""Bringing the audit database to a revision. Blocks; safe to run again, and from several processes at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from audit.migrations.engine import SCHEMA, make_engine
from audit.migrations.revision import FOLDER, VERSION_TABLE, current, is_current

# Any number that nothing else on the server uses as an advisory lock: the first 8 bytes of SHA-256 of our name.
_LOCK_NUMBER = 0x4D5A_17C0_8B3E_2F61
_one_at_a_time = threading.Lock()  # Alembic keeps what it works on in module globals


def upgrade(url: str | URL, revision: str = "head") -> str:
    """Bring the database to ``revision``; returns the revision it is at."""
    if revision == "head" and is_current(url):
        return current(url)
    return _run(url, command.upgrade, revision)


def downgrade(url: str | URL, revision: str) -> str:
    """Take it back, which drops what later revisions brought; returns the revision it is at (``""`` = empty)."""
    return _run(url, command.downgrade, revision)


def _run(url: str | URL, act: Callable[[Config, str], None], revision: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    engine = make_engine(url)
    try:
        with _one_at_a_time, engine.begin() as connection:
            _lock(connection)
            config.attributes["connection"] = connection
            act(config, revision)
            options = {"version_table": VERSION_TABLE}
            if connection.dialect.name != "sqlite":
                options["version_table_schema"] = SCHEMA
            return MigrationContext.configure(connection, opts=options).get_current_revision() or ""
    finally:
        engine.dispose()


def _lock(connection: Connection) -> None:
    """One migration at a time; a second process waits, then finds nothing to do."""
    if connection.dialect.name == "sqlite":
        return  # "begin immediate" was it
    connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    connection.execute(text(f"create schema if not exists {SCHEMA}"))
