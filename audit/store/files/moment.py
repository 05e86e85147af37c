"""One moment of a whole store, read beside whoever writes it: for verifying, exporting and copying."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from types import TracebackType

from audit.errors import StoreDamaged
from audit.row import Row
from audit.store.files.day_file import DayReader
from audit.store.files.layout import Identity, Layout, is_in_use
from audit.store.files.tree_file import TreeReader

_TRIES = 20  # a day file is a commit ahead of another only around midnight, and only for a moment


class Moment:
    """Read transactions over the tree and all day files, taken so that no record is missing between them.

    The tree is opened first: everything it covers was durable before the day files are opened. Raises
    ``StoreDamaged`` if a file cannot be read at all.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.identity = Identity.read(layout.identity)
        self.is_live = is_in_use(layout)
        self.days: list[DayReader] = []
        self.unreadable: dict[str, str] = {}  # day files that do not open, with the reason
        try:
            self.tree = TreeReader(layout.tree)
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(f"{layout.tree.name} cannot be read") from error
        for _ in range(_TRIES):
            self._open_days()
            if not self.is_live or self._tail_is_dense():
                break
            self._close_days()
        else:
            self._open_days()

    def rows(self) -> Iterator[Row]:
        """All records in the order of their sequence numbers."""
        return heapq.merge(*(day.rows() for day in self.days), key=lambda row: row.seq)

    def count(self) -> int:
        return sum(day.count() for day in self.days)

    def close(self) -> None:
        self._close_days()
        self.tree.close()

    def __enter__(self) -> Moment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open_days(self) -> None:
        for day in self.layout.days():
            path = self.layout.day_path(day)
            try:
                reader = DayReader(path, day)
                reader.begin()
            except (sqlite3.DatabaseError, StoreDamaged) as error:
                self.unreadable[path.name] = str(error)
                continue
            self.days.append(reader)

    def _tail_is_dense(self) -> bool:
        """Are the records that the tree does not hold yet without a gap?"""
        count, newest = 0, self.tree.size - 1
        for day in self.days:
            found = day.connection.execute(
                "select count(*), max(seq) from record where seq >= ?", (self.tree.size,)
            ).fetchone()
            count += found[0]
            newest = max(newest, found[1] if found[1] is not None else -1)
        return count == newest + 1 - self.tree.size

    def _close_days(self) -> None:
        for day in self.days:
            day.close()
        self.days = []
