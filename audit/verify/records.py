"""Checking records one by one against the leaves of the tree."""

from __future__ import annotations

import hashlib
import uuid

from audit.record import Phase
from audit.row import Row, index_commitment, leaf_of
from audit.tiles import split_hashes
from audit.tree import HASH_BYTES
from audit.verify.report import Attack, Report


def event_id_of(row: Row) -> str | None:
    """The event id as text; ``None`` if somebody put something else in its place."""
    return str(uuid.UUID(bytes=row.event_id)) if len(row.event_id) == 16 else None


def is_stripped(row: Row) -> bool:
    """Is nothing left of the sealed parts, as a purge leaves a record? A part alone that is gone was taken."""
    return row.subject is row.content is row.terms is row.index_salt is row.authenticator is None


class LeafIndex:
    """Where each leaf of the tree is; built when the first record does not fit, to tell a moved one from a changed."""

    def __init__(self, leaves: bytes, first: int = 0) -> None:
        """``leaves``: hashes of records ``first`` and on, joined."""
        self._leaves = leaves
        self._first = first
        self._places: dict[bytes, int] | None = None

    def leaf(self, seq: int) -> bytes | None:
        at = (seq - self._first) * HASH_BYTES
        return self._leaves[at : at + HASH_BYTES] or None if at >= 0 else None

    def place(self, leaf: bytes) -> int | None:
        if self._places is None:
            self._places = {leaf: seq for seq, leaf in enumerate(split_hashes(self._leaves), self._first)}
        return self._places.get(leaf)


class RecordChecker:
    """Checks single records. ``leaves`` are those of the stored tree, already compared with the checkpoints."""

    def __init__(self, report: Report, leaves: LeafIndex) -> None:
        self._report = report
        self._leaves = leaves
        self._counter: dict[str, int] = {}  # run of the process -> counter of its last record
        self._shifted = False

    def check(self, row: Row, following: Row | None, *, is_purged: bool) -> bytes:
        """Report what is wrong with a record; returns its leaf as its fields give it."""
        event_id = event_id_of(row)
        sealed_ok = self._check_sealed(row, event_id, is_purged=is_purged)
        leaf = leaf_of(row)
        expected = self._leaves.leaf(row.seq)
        if leaf != (row.leaf if expected is None else expected):
            self._explain(row, following, leaf, expected, event_id, sealed_ok=sealed_ok)
        else:
            self._shifted = False
            self._check_order(row, event_id)
        return leaf

    def _check_sealed(self, row: Row, event_id: str | None, *, is_purged: bool) -> bool:
        if is_purged:
            return True
        ok = True
        for name, sealed, digest in (
            ("subject", row.subject, row.subject_digest),
            ("content", row.content, row.content_digest),
        ):
            if sealed is None or hashlib.sha256(sealed).digest() != digest:
                what = "is gone" if sealed is None else "is not the one that was recorded"
                self._report.add(
                    Attack.CIPHERTEXT_CHANGED, f"ciphertext of the {name} {what}", seq=row.seq, event_id=event_id
                )
                ok = False
        if (
            row.terms is None
            or row.index_salt is None
            or (index_commitment(row.index_salt, row.terms) != row.index_commitment)
        ):
            self._report.add(
                Attack.INDEX_CHANGED, "blind tokens are not those that were recorded", seq=row.seq, event_id=event_id
            )
            ok = False
        return ok

    def _explain(
        self,
        row: Row,
        following: Row | None,
        leaf: bytes,
        expected: bytes | None,
        event_id: str | None,
        *,
        sealed_ok: bool,
    ) -> None:
        seq = row.seq
        place = self._place(row)
        if following is not None and expected is not None and following.leaf == expected:
            self._shifted = True
            self._report.add(
                Attack.ROW_INSERTED,
                f"a record that the tree never had there stands at {seq}",
                seq=seq,
                event_id=event_id,
            )
        elif place is not None and place != seq:
            if self._shifted:
                return  # later records after one that was cut out or put in: the first said it
            if place > seq and (following is None or self._place(following) == place + 1):
                self._shifted = True
                gone = f"{seq} is" if place == seq + 1 else f"{seq} to {place - 1} are"
                self._report.add(
                    Attack.ROW_MISSING, f"record {gone} gone and later ones moved up", seq=seq, through=place - 1
                )
            else:
                self._report.add(
                    Attack.ORDER_CHANGED, f"record {place} stands in place {seq}", seq=seq, event_id=event_id
                )
        elif sealed_ok:
            self._report.add(
                Attack.ENVELOPE_CHANGED, "its fields do not give the leaf that the tree has", seq=seq, event_id=event_id
            )

    def _place(self, row: Row) -> int | None:
        """Where a record was, told by its own copy of the leaf or by its fields under a neighbouring number."""
        place = self._leaves.place(row.leaf)
        return self._place_under_other_number(row) if place is None else place

    def _place_under_other_number(self, row: Row) -> int | None:
        for other in (row.seq - 1, row.seq + 1):
            if other >= 0:
                moved = row._replace(seq=other, head_seq=other if row.head_seq == row.seq else row.head_seq)
                if self._leaves.leaf(other) == leaf_of(moved):
                    return other
        return None

    def _check_order(self, row: Row, event_id: str | None) -> None:
        last = self._counter.get(row.boot, 0)
        if row.counter <= last:
            self._report.add(
                Attack.ORDER_CHANGED,
                f"record counter goes from {last} to {row.counter} within one run of the process",
                seq=row.seq,
                event_id=event_id,
            )
        self._counter[row.boot] = row.counter


class EventChecker:
    """Checks that events have one head and at most one outcome, which belongs to it. One for each day file."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._heads: dict[bytes, int] = {}
        self._open: dict[int, bytes] = {}  # intents without an outcome so far

    def check(self, row: Row) -> None:
        event_id = event_id_of(row)
        if row.phase == Phase.OUTCOME:
            if self._open.pop(row.head_seq, None) != row.event_id:
                self._report.add(
                    Attack.REPLAYED, "an outcome without an open intent of its own", seq=row.seq, event_id=event_id
                )
            return
        if row.event_id in self._heads:
            first = self._heads[row.event_id]
            self._report.add(Attack.REPLAYED, f"event was recorded at {first} already", seq=row.seq, event_id=event_id)
            return
        self._heads[row.event_id] = row.seq
        if row.phase == Phase.INTENT:
            self._open[row.seq] = row.event_id
