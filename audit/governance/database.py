"""The database of the governance tables: a file beside a SQLite store, or the store's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from audit.errors import AuditUnavailable
from audit.governance.tables import SCHEMA
from audit.migrations.migrate import is_current, sync_url, upgrade

_BUSY_TIMEOUT_SECONDS = 10
_LOCK_TIMEOUT_MS = 10_000
FILE_NAME = "governance.sqlite"


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
        self._engine = self._make_engine()

    @classmethod
    def beside(cls, directory: Path) -> GovernanceDatabase:
        """The database of a SQLite store."""
        return cls(URL.create("sqlite", database=str(directory / FILE_NAME)))

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
                upgrade(self._url)
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

    def _make_engine(self) -> Engine:
        if not self._is_sqlite:
            options = f"-c lock_timeout={_LOCK_TIMEOUT_MS} -c statement_timeout={_LOCK_TIMEOUT_MS}"
            return create_engine(self._url, poolclass=NullPool, hide_parameters=True, connect_args={"options": options})
        engine = create_engine(
            self._url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS}
        )

        @event.listens_for(engine, "connect")
        def _durable(connection: object, _record: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI's, which SQLAlchemy types as object
            cursor.execute("pragma synchronous=full")  # a case that was answered with "active" survives a power cut
            cursor.execute("pragma trusted_schema=off")
            cursor.close()

        return engine.execution_options(schema_translate_map={SCHEMA: None})
