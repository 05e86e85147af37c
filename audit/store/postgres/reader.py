"""Reading records beside the writers: a few threads, a connection each, every read at one moment and with an end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from audit.errors import AuditUnavailable
from audit.store.port import DayView, StoreReader
from audit.store.postgres.connection import Connection, ask, describe, execute, roll_back, unavailable
from audit.store.postgres.day_view import PostgresDay

T = TypeVar("T")
_log = logging.getLogger("audit.reader")


class Deadline(Exception):
    """The read took too long between two of its statements."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is told of a day before it is looked at. ``records`` is about how many there are: a clock that was set back
    mixes the numbers of two days."""

    classes: list[str]
    records: int


class _TimedDay(PostgresDay):
    """A day whose statements are not begun after the deadline; the server ends those that run."""

    def __init__(self, connection: Connection, day: date, known: _Known, deadline: float) -> None:
        super().__init__(connection, day, known.classes, known.records)
        self._deadline = deadline

    def select(self, sql: str, parameters: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        if time.monotonic() > self._deadline:
            raise Deadline
        return super().select(sql, parameters)


class SnapshotReader:
    """What one transaction sees; see ``audit.store.port.StoreReader``."""

    def __init__(self, connection: Connection, deadline: float = float("inf")) -> None:
        self._connection = connection
        self._deadline = deadline
        self._known: dict[date, _Known] | None = None  # of each day with records; read once, for all days

    def days(self) -> list[date]:
        """Days with records, oldest first."""
        return list(self._by_day())

    def day(self, day: date) -> PostgresDay | None:
        known = self._by_day().get(day)
        return None if known is None else _TimedDay(self._connection, day, known, self._deadline)

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """In one statement. Its text hangs on the days and the kind of question only, so that it is planned once."""
        if not questions:
            return
        if time.monotonic() > self._deadline:
            raise Deadline
        parts: list[str] = []
        values: list[object] = []
        for number, (view, sql, parameters) in enumerate(questions):
            if not isinstance(view, PostgresDay):
                raise TypeError("expected a day of this reader, got one of another store")
            parts.append(f"select {number} as number, q.* from ({view.statement(sql)}) q")  # noqa: S608
            values += parameters
        found = ask(self._connection, " union all ".join(parts), values).fetchall()
        found.sort(key=itemgetter(0))
        for number, *row in found:
            yield number, tuple(row)

    def _by_day(self) -> dict[date, _Known]:
        if self._known is None:
            found = execute(
                self._connection,
                "select d.day, array(select s.class_ from audit.scope s where s.day = d.day and not s.is_dropped"
                " order by 1), d.end_seq from audit.day d where d.end_seq > 0 order by d.day",
            )
            self._known, before = {}, 0
            for day, classes, end_seq in found:
                self._known[date.fromisoformat(day)] = _Known(classes, max(0, end_seq - before))
                before = end_seq
        return self._known


class Reader:
    """Runs reads. ``connect`` opens a connection for reading."""

    def __init__(self, connect: Callable[[], Connection], *, threads: int, timeout_seconds: float) -> None:
        self._connect = connect
        self._timeout_seconds = timeout_seconds
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="audit-reader")
        self._own = threading.local()  # .connection
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._is_closed = False

    async def run(self, work: Callable[[StoreReader], T]) -> T:
        """Run ``work`` in a reader thread. Raises ``AuditUnavailable`` if closed, too slow, or the database fails."""
        if self._is_closed:
            raise AuditUnavailable("the audit log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.run_here, work)

    def run_here(self, work: Callable[[StoreReader], T]) -> T:
        """The same in the caller's thread. Blocks."""
        deadline = time.monotonic() + self._timeout_seconds
        too_slow = AuditUnavailable(f"the search took longer than {self._timeout_seconds} s; narrow it")
        try:
            connection = self._connection()
            connection.execute("begin isolation level repeatable read, read only")
        except psycopg.Error as error:
            raise unavailable(error, "the audit log cannot be read") from error
        try:
            found = work(SnapshotReader(connection, deadline))
            connection.commit()  # not rolled back: the driver would forget the plans that the server keeps
            return found
        except (Deadline, errors.QueryCanceled) as error:
            raise too_slow from error
        except psycopg.Error as error:
            _log.error("audit.read.failed", extra={"cause": describe(error)})
            raise unavailable(error, "the audit log cannot be read") from error
        finally:
            roll_back(connection)

    def close(self) -> None:
        """Finish what runs, close the connections. Blocks."""
        self._is_closed = True
        self._executor.shutdown()
        with self._lock:
            for connection in self._connections:
                with suppress(psycopg.Error):
                    connection.close()

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None or connection.closed:
            connection = self._connect()
            self._own.connection = connection
            with self._lock:
                self._connections = [one for one in self._connections if not one.closed] + [connection]
        return connection
