"""Engines for the audit database: one connection a transaction, real transactions on SQLite too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

SCHEMA = "audit"  # of the tables on PostgreSQL
_BUSY_TIMEOUT_SECONDS = 10
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}


def sync_url(url: str | URL) -> URL:
    """A URL as this package connects to it: PostgreSQL through psycopg, SQLite through the standard library.

    Raises ``ValueError`` for another database.
    """
    parsed = make_url(url)
    name = parsed.drivername.partition("+")[0]
    if name not in _DRIVERS:
        raise ValueError(f"expected a postgresql:// or sqlite:/// URL, got {name}")
    return parsed.set(drivername=_DRIVERS[name])


def make_engine(url: str | URL, **connect_args: Any) -> Engine:
    """An engine without a pool. Statements with their values never come into error messages."""
    url = sync_url(url)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=connect_args)
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, **connect_args}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own transactions leave DDL outside
        connection.execute("pragma synchronous=full")  # what was answered with "done" survives a power cut
        connection.execute("pragma trusted_schema=off")
        connection.execute("pragma secure_delete=on")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Takes the write lock at once: two that read and then write could not both go on otherwise.
        connection.exec_driver_sql("begin immediate")

    return engine.execution_options(schema_translate_map={SCHEMA: None})
