"""One moment of a whole database, through one read-only transaction: for verifying, exporting and copying."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType

import psycopg

from audit.checkpoint import Checkpoint
from audit.errors import StoreDamaged
from audit.row import Row
from audit.store.port import Identity
from audit.store.postgres.connection import Connection, connect, describe, plain_url, scalar, unavailable
from audit.store.postgres.day_view import PostgresDay
from audit.store.postgres.lease import INTEGRATOR
from audit.store.postgres.opening import check_revision, read_identity
from audit.store.postgres.reader import SnapshotReader
from audit.store.postgres.tables import classes_of
from audit.store.postgres.tree_table import checkpoints, minimum_index, read_head, read_tile

# A transaction that reads for hours keeps VACUUM from its work and the purge from the tables it read: it is ended.
_IDLE_SECONDS = 600.0


class TreeSnapshot:
    """The tree as the transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.size = read_head(connection).size
        self.minimum_index = minimum_index(connection)

    def read_tile(self, level: int, position: int) -> bytes:
        return read_tile(self._connection, level, position)

    def checkpoints(self, origin: str) -> list[tuple[Checkpoint, datetime]]:
        """All checkpoints, smallest first."""
        return checkpoints(self._connection, origin)


class DayOfMoment(PostgresDay):
    """A day that is read to its end, and says in the log's own words when it cannot be."""

    def rows(self, first_seq: int = 0) -> Iterator[Row]:
        try:
            yield from super().rows(first_seq)
        except psycopg.Error as error:
            raise StoreDamaged(f"records of {self.day.isoformat()} cannot be read: {describe(error)}") from error


class PostgresMoment:
    """See ``audit.store.moment.MomentPort``. Raises ``StoreDamaged`` for a database that is no log."""

    def __init__(self, url: str) -> None:
        try:
            self._connection = connect(plain_url(url), "moment", idle_in_transaction_session_timeout=_IDLE_SECONDS)
        except psycopg.Error as error:
            raise unavailable(error, "the audit log cannot be read") from error
        try:
            self._open()
        except psycopg.Error as error:
            self.close()
            raise StoreDamaged(f"the audit database cannot be read: {describe(error)}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._connection.execute("begin isolation level repeatable read, read only")
        check_revision(self._connection)
        identity = read_identity(self._connection)
        if identity is None:
            raise StoreDamaged("the database holds the tables of an audit log, but no log was made in it yet")
        self.identity: Identity = identity
        self.is_live = bool(
            scalar(
                self._connection,
                "select exists (select from audit.lease where name = %s and expires_at > clock_timestamp())",
                [INTEGRATOR],
            )
        )
        self.tree = TreeSnapshot(self._connection)
        self.unreadable: dict[str, str] = {}
        self.days: list[DayOfMoment] = []
        for day in SnapshotReader(self._connection).days():
            # A savepoint: what is wrong with one day must not end the reading of the others.
            self._connection.execute("savepoint day")
            try:
                view = DayOfMoment(self._connection, day, classes_of(self._connection, day))
                view.oldest_seq()
                self.days.append(view)
            except psycopg.Error as error:
                self._connection.execute("rollback to savepoint day")
                self.unreadable[day.isoformat()] = describe(error)

    def rows(self) -> Iterator[Row]:
        """All records in the order of their sequence numbers."""
        return heapq.merge(*(day.rows() for day in self.days), key=lambda row: row.seq)

    def count(self) -> int:
        return sum(day.count() for day in self.days)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> PostgresMoment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
