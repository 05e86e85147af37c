"""Reading records beside the live writer, in a thread of its own, with a limit on how long one read may take."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, TypeVar

from audit.errors import AuditUnavailable
from audit.store.files.day_file import DayReader
from audit.store.files.layout import Layout
from audit.store.port import DayView, StoreReader

T = TypeVar("T")

_PROGRESS_STEPS = 1_000  # SQLite instructions between two looks at the clock: some tens of microseconds


class Reader:
    """Read-only connections, one a day file, kept open. All reads run in one thread, in order."""

    def __init__(self, layout: Layout, timeout_seconds: float) -> None:
        self._layout = layout
        self._timeout_seconds = timeout_seconds
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-reader")
        self._open: dict[date, DayReader] = {}  # owned by the thread
        self._deadline = float("inf")
        self._is_closed = False

    async def run(self, work: Callable[[StoreReader], T]) -> T:
        """Run ``work`` in the reader thread. Raises ``AuditUnavailable`` if closed, too slow, or the disk fails."""
        if self._is_closed:
            raise AuditUnavailable("the audit log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, work)

    def days(self) -> list[date]:
        """Days with a file, oldest first."""
        return self._layout.days()

    def day(self, day: date) -> DayReader | None:
        """The day's file, or ``None`` if there is none."""
        if day not in self._open:
            path = self._layout.day_path(day)
            if not path.exists():
                return None
            reader = DayReader(path, day)
            reader.connection.set_progress_handler(lambda: time.monotonic() > self._deadline, _PROGRESS_STEPS)
            self._open[day] = reader
        return self._open[day]

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """One by one: each day is a file of its own."""
        for number, (view, sql, parameters) in enumerate(questions):
            for values in view.select(sql, parameters):
                yield number, values

    def forget(self, day: date) -> None:
        """Close a day's file, because it is about to be replaced. Blocks until what runs now is done."""
        if not self._is_closed:
            self._executor.submit(self._forget, day).result()

    def _forget(self, day: date) -> None:
        reader = self._open.pop(day, None)
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """Finish what runs, close the files. Blocks."""
        self._is_closed = True
        self._executor.submit(self._close_all).result()
        self._executor.shutdown()

    def _close_all(self) -> None:
        for day in list(self._open):
            self._forget(day)

    def _run(self, work: Callable[[StoreReader], T]) -> T:
        self._deadline = time.monotonic() + self._timeout_seconds
        try:
            return work(self)
        except sqlite3.OperationalError as error:
            if time.monotonic() > self._deadline:
                raise AuditUnavailable(f"the search took longer than {self._timeout_seconds} s; narrow it") from error
            raise AuditUnavailable("the audit log cannot be read") from error
