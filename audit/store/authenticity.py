"""Is a row, found beyond the newest checkpoint, the log's own work?

A checkpoint protects the records that it covers. Before the log takes one in that it finds in its files or tables, and
signs it later, it checks that the leaf is that of the fields and ciphertexts, and that the authenticator is valid under
the day's key. A row that was added or changed meanwhile stops the log instead of being signed.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date

from audit.errors import ContentDestroyed, StoreDamaged
from audit.keys.ring import KeyRing
from audit.row import Row, authenticator_of, index_commitment, leaf_of


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
