"""Verifying an evidence file (see ``audit/export.py``) with nothing but the file and a public key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.checkpoint import parse_checkpoint
from audit.export import FORMAT, read_lines, record_from_json
from audit.note import NoteRefused, VerifierKey
from audit.row import Row, leaf_of
from audit.tree import RollingRoot, verify_inclusion
from audit.verify.records import event_id_of
from audit.verify.report import Attack, Report
from audit.verify.store import Progress


def verify_evidence(path: Path, key: VerifierKey | None, progress: Progress = lambda _done, _all: None) -> Report:
    """Check an evidence file. Raises ``ValueError`` if it is not one."""
    report = Report(subject=str(path), vkey_was_given=key is not None)
    with path.open(encoding="utf-8") as file:
        lines = read_lines(file)
        header = _header(lines)
        key = key or VerifierKey.parse(str(header.get("vkey", "")))
        report.origin, report.vkey = key.name, str(key)
        try:
            checkpoint = parse_checkpoint(str(header.get("checkpoint", "")), key)
        except NoteRefused as error:
            report.add(Attack.CHECKPOINT_FORGED, f"checkpoint of the file: {error}")
            return report
        report.checkpoints, report.covered_size = 1, checkpoint.size
        complete = bool(header.get("complete"))
        rolling = RollingRoot()
        last = -1
        for line in lines:
            row, inclusion = record_from_json(line)
            leaf = _check_row(row, report)
            if row.seq <= last or (complete and row.seq != last + 1):
                what = Attack.ORDER_CHANGED if row.seq <= last else Attack.ROW_MISSING
                report.add(what, f"record {row.seq} follows record {last}", seq=min(last + 1, row.seq))
            last = max(last, row.seq)
            if complete:
                rolling.append(leaf)
            elif not verify_inclusion(row.seq, checkpoint.size, leaf, inclusion or (), checkpoint.root):
                report.add(
                    Attack.ENVELOPE_CHANGED,
                    "the record's path does not lead to the checkpoint",
                    seq=row.seq,
                    event_id=event_id_of(row),
                )
            report.records += 1
            if report.records % 1000 == 0:
                progress(report.records, checkpoint.size)
        if complete and rolling.size < checkpoint.size:
            report.add(
                Attack.TRUNCATED,
                f"{Attack.TRUNCATED.value} {checkpoint.size}: the file holds {rolling.size} records",
                seq=rolling.size,
            )
        elif complete and report.ok and rolling.root() != checkpoint.root:
            report.add(Attack.HISTORY_REWRITTEN, "the records do not give the checkpoint's root", seq=0, through=last)
    return report


def _header(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    try:
        header = next(lines, {})
    except ValueError:
        header = {}
    if header.get("format") != FORMAT:
        raise ValueError(f"not an evidence file: expected a first line with format {FORMAT}")
    return header


def _check_row(row: Row, report: Report) -> bytes:
    for name, sealed, digest in (
        ("subject", row.subject, row.subject_digest),
        ("content", row.content, row.content_digest),
    ):
        if sealed is not None and hashlib.sha256(sealed).digest() != digest:
            report.add(
                Attack.CIPHERTEXT_CHANGED,
                f"ciphertext of the {name} is not the recorded one",
                seq=row.seq,
                event_id=event_id_of(row),
            )
    leaf = leaf_of(row)
    if leaf != row.leaf:
        report.add(Attack.ENVELOPE_CHANGED, "its fields do not give its leaf", seq=row.seq, event_id=event_id_of(row))
    return leaf
