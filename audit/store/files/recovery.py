"""Reading what the day files hold beyond a sequence number: after a crash, and after a failed write.

Rows beyond the newest checkpoint are not protected by it yet: each is checked (``audit.store.authenticity``) before the
log adopts it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from datetime import date

from audit.errors import StoreDamaged
from audit.row import Row
from audit.store.files.day_file import DayReader
from audit.store.files.layout import Layout


def read_new_rows(
    layout: Layout, days: Iterable[date], next_seq: int, authenticate: Callable[[Row], None]
) -> list[Row]:
    """Rows from ``next_seq`` on, over all the given days, checked and dense. Raises ``StoreDamaged`` otherwise."""
    rows: list[Row] = []
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(DayReader(layout.day_path(day), day))) for day in days]
        for row in heapq.merge(*(reader.rows(next_seq) for reader in readers), key=lambda row: row.seq):
            expected = next_seq + len(rows)
            if row.seq != expected:
                raise StoreDamaged(f"record {expected} is missing: the next one is {row.seq}")
            authenticate(row)
            rows.append(row)
    return rows
