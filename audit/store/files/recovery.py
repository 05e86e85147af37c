"""Reading what the day files hold beyond a sequence number: after a crash, and after a failed write.

Rows beyond the newest checkpoint are not protected by it yet. Before the log adopts one, and later signs it, it checks
that the row is its own work: the leaf is that of its fields and ciphertexts, and the authenticator is valid under the
day's key. A row that was added or changed meanwhile stops the log instead of being signed.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from datetime import date

from audit.errors import ContentDestroyed, StoreDamaged
from audit.keys.ring import KeyRing
from audit.row import Row, authenticator_of, index_commitment, leaf_of
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


class RowAuthenticator:
    """Checks that a row was written by a log that holds the day's keys."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def __call__(self, row: Row) -> None:
        """Raises ``StoreDamaged`` for a row that this log did not write as it is."""
        if row.subject is None or row.content is None or row.terms is None or row.index_salt is None:
            raise StoreDamaged(f"record {row.seq} is incomplete")
        try:
            keys = self._ring.get(date.fromisoformat(row.day), row.tenant, row.class_)
        except ContentDestroyed:
            raise StoreDamaged(f"record {row.seq} is of a destroyed day, but not in the tree") from None
        genuine = (
            hashlib.sha256(row.subject).digest() == row.subject_digest
            and hashlib.sha256(row.content).digest() == row.content_digest
            and index_commitment(row.index_salt, row.terms) == row.index_commitment
            and leaf_of(row) == row.leaf
            and hmac.compare_digest(authenticator_of(keys.row_key, row.leaf), row.authenticator or b"")
        )
        if not genuine:
            raise StoreDamaged(f"record {row.seq} was added or changed behind the log's back")
