"""Which revision an audit database is at, and which there are. Needs no Alembic: every start asks."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from audit.migrations.engine import SCHEMA, make_engine

FOLDER = Path(__file__).parent
VERSION_TABLE = "schema_version"


def head() -> str:
    """The newest revision there is."""
    return max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def current(url: str | URL) -> str:
    """The revision a database is at; ``""`` if it has none."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            schema = None if connection.dialect.name == "sqlite" else SCHEMA
            if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
                return ""
            table = VERSION_TABLE if schema is None else f"{schema}.{VERSION_TABLE}"
            return str(connection.execute(text(f"select version_num from {table}")).scalar() or "")  # noqa: S608
    finally:
        engine.dispose()


def is_current(url: str | URL) -> bool:
    """Is everything there that this version needs? A newer database does: revisions only add (``env.py``)."""
    return current(url) >= head()
