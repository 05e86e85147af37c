"""Checking the records of an evidence file against its checkpoint, one line at a time."""

from __future__ import annotations

import hashlib

from audit.checkpoint import Checkpoint
from audit.export.bundle import MAX_PROOFS, proof_name
from audit.export.evidence_lines import Header, LineRefused, parse_record
from audit.record import from_micros
from audit.row import Row
from audit.tree import HASH_BYTES, RollingRoot, verify_inclusion
from audit.verify.gone import pruned_by
from audit.verify.leaves import LeafMaker
from audit.verify.records import event_id_of
from audit.verify.report import Attack, Report

_NO_LEAF = bytes(HASH_BYTES)  # stands for a record that cannot be read; the finding keeps the root from being compared


class EvidenceRecords:
    """The records of a file whose header is in order. Reports what is wrong with them."""

    def __init__(self, report: Report, header: Header, checkpoint: Checkpoint) -> None:
        self.proofs: dict[str, tuple[int, bytes]] = {}  # names of the proofs of the first records, numbers, leaves
        self._report = report
        self._header = header
        self._checkpoint = checkpoint
        self._make_leaf = LeafMaker()
        self._rolling = RollingRoot()
        for root in header.before:
            rest = header.first_record - self._rolling.size
            self._rolling.append_subtree(root, 1 << (rest.bit_length() - 1))
        self._last = header.first_record - 1
        self._prune: Row | None = None  # the first record that says that everything before the file's first one went
        self._bare = 0
        self._number = 1  # of the line that is checked

    def check(self, number: int, line: bytes) -> None:
        """Check one line; ``number`` is its place in the file, from 1."""
        try:
            row, path = parse_record(line)
            if (path is None) != self._header.complete:
                raise LineRefused("it has a path, or none, unlike the records of such a file")
        except LineRefused as error:
            self.refuse(number, error)
            return
        self._report.records += 1
        self._number = number
        leaf = self._make_leaf(row)
        if leaf != row.leaf:
            row = self._as_numbered(row)
            self._add(row, Attack.ENVELOPE_CHANGED, "its fields do not give its leaf")
        self._check_sealed(row)
        self._check_order(row)
        if self._header.complete:
            self._rolling.append(leaf)
        elif not verify_inclusion(row.seq, self._checkpoint.size, leaf, path or (), self._checkpoint.root):
            self._add(row, Attack.ENVELOPE_CHANGED, "its path does not lead to the checkpoint")
        if self._prune is None and pruned_by(row) >= max(self._header.first_record, 1):
            self._prune = row
        if row.subject is None or row.content is None:
            self._bare += 1
        if len(self.proofs) < MAX_PROOFS:
            self.proofs[proof_name(row)] = (row.seq, leaf)

    def refuse(self, number: int, error: LineRefused) -> None:
        """Report a line that is not one of a log. Of a whole log its place tells which record it was."""
        seq = None
        if self._header.complete:
            self._last = seq = self._last + 1
            self._rolling.append(_NO_LEAF)
        self._report.add(Attack.MALFORMED, f"line {number}: {error}", seq=seq)

    def finish(self) -> None:
        """After the last line: is this the tree of the checkpoint, and was what is missing at its beginning pruned?"""
        report = self._report
        if self._bare:
            report.notes.append(f"{self._bare} record(s) without sealed parts: purged, erased or left out of the file")
        if not self._header.complete:
            return
        first, size, held = self._header.first_record, self._checkpoint.size, self._last + 1
        if held < size:
            report.add(
                Attack.TRUNCATED,
                f"{Attack.TRUNCATED.value} {size}: the file ends before record {held}",
                seq=held,
            )
        elif report.ok and self._rolling.root() != self._checkpoint.root:
            report.add(
                Attack.HISTORY_REWRITTEN, "the records do not give the checkpoint's root", seq=0, through=self._last
            )
        elif report.ok and first:
            self._check_beginning(first, size)

    def _check_beginning(self, first: int, size: int) -> None:
        gone = f"{_stretch(0, first - 1)} {'was' if first == 1 else 'were'} pruned"
        if self._prune is None:
            self._report.add(
                Attack.PRUNED_UNSEEN,
                f"the file begins at record {first}, but the log holds no record that what was before was pruned",
                seq=0,
                through=first - 1,
            )
            return
        on = from_micros(self._prune.recorded_at).date().isoformat()
        self._report.notes.append(
            f"{_stretch(first, size - 1)}; {gone}, as record {self._prune.seq} of {on} says, under the checkpoint of "
            f"{size}, and what the file has of them is their hashes"
        )

    def _as_numbered(self, row: Row) -> Row:
        """A record whose fields do not give its leaf, under the number that its place in a whole log tells, if that is
        all that was changed: so that it is named and not the one whose number it was given."""
        numbered = row._replace(seq=self._last + 1)
        return numbered if self._header.complete and self._make_leaf(numbered) == row.leaf else row

    def _check_sealed(self, row: Row) -> None:
        for name, sealed, digest in (
            ("subject", row.subject, row.subject_digest),
            ("content", row.content, row.content_digest),
        ):
            if sealed is not None and hashlib.sha256(sealed).digest() != digest:
                self._add(row, Attack.CIPHERTEXT_CHANGED, f"ciphertext of the {name} is not the recorded one")

    def _check_order(self, row: Row) -> None:
        last, self._last = self._last, max(self._last, row.seq)
        if row.seq <= last:
            self._add(row, Attack.ORDER_CHANGED, f"record {row.seq} follows record {last}")
        elif self._header.complete and row.seq != last + 1:
            detail = f"line {self._number}: record {row.seq} follows record {last}"
            self._report.add(Attack.ROW_MISSING, detail, seq=last + 1, through=row.seq - 1)
        elif self._header.complete and row.seq >= self._checkpoint.size:
            self._add(row, Attack.ROW_INSERTED, "the checkpoint does not cover it")

    def _add(self, row: Row, attack: Attack, detail: str) -> None:
        self._report.add(attack, f"line {self._number}: {detail}", seq=row.seq, event_id=event_id_of(row))


def _stretch(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"
