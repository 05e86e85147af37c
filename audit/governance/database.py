"""The database of the governance tables: a file beside a SQLite store, or the store's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from audit.errors import AuditUnavailable
from audit.governance.names import DATABASE_NAME
from audit.migrations.engine import make_engine, sync_url
from audit.migrations.revision import is_current

_POSTGRESQL_OPTIONS = "-c lock_timeout=10000 -c statement_timeout=10000"  # milliseconds


class GovernanceDatabase:
    """Short transactions, one connection each: what happens here happens a few times a day.

    A SQLite file is made, and brought to the newest schema, when the first row is written; the schema of PostgreSQL is
    the operator's to migrate. Safe to call from several threads.
    """

    def __init__(self, url: str | URL) -> None:
        self._url = sync_url(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._path = Path(self._url.database or "") if self._is_sqlite else None
        self._is_ready = False
        options = {} if self._is_sqlite else {"options": _POSTGRESQL_OPTIONS}
        self._engine = make_engine(self._url, **options)

    @classmethod
    def beside(cls, directory: Path) -> GovernanceDatabase:
        """The database of a SQLite store."""
        return cls(URL.create("sqlite", database=str(directory / DATABASE_NAME)))

    def exists(self) -> bool:
        """Could there be rows? PostgreSQL's tables are made by the migration, so there could."""
        return self._path is None or self._path.exists()

    def prepare(self) -> None:
        """Make sure that the tables are there. Raises ``AuditUnavailable`` telling what to run, or that it failed."""
        if self._is_ready:
            return
        try:
            if self._path is not None:
                self._path.touch(mode=0o600)
                if not is_current(self._url):
                    import_module("audit.migrations.migrate").upgrade(self._url)  # Alembic: seldom needed
            elif not is_current(self._url):
                raise AuditUnavailable("the audit database has an older schema: run `python -m audit migrate URL`")
        except (SQLAlchemyError, OSError) as error:
            raise AuditUnavailable(f"the governance database cannot be used ({type(error).__name__})") from error
        self._is_ready = True

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: durable when the block ends, rolled back if it raises.

        Raises ``AuditUnavailable`` if the database fails; its own messages may quote values, so they stay inside.
        """
        self.prepare()
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise AuditUnavailable(f"the governance database failed ({type(error).__name__})") from None

    def close(self) -> None:
        self._engine.dispose()
