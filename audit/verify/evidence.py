"""Verifying an evidence file (see ``audit/export.py``) with nothing but the file and a public key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from audit.checkpoint import parse_checkpoint
from audit.cosignature import WitnessPolicy
from audit.export import FORMAT, read_lines, record_from_json
from audit.export.bundle_reader import Bundle, is_bundle, open_bundle
from audit.note import NoteRefused, VerifierKey
from audit.proof import check_proof_text
from audit.row import Row
from audit.tree import RollingRoot, verify_inclusion
from audit.verify.leaves import LeafMaker
from audit.verify.records import event_id_of
from audit.verify.report import Attack, Report
from audit.verify.trust import NO_POLICY, Progress, silent


def verify_evidence(
    path: Path, key: VerifierKey | None, progress: Progress = silent, policy: WitnessPolicy = NO_POLICY
) -> Report:
    """Check an evidence file, or a bundle with one and what goes with it. Raises ``ValueError`` if it is neither."""
    if not is_bundle(path):
        with path.open(encoding="utf-8") as file:
            return _verify_lines(str(path), file, key, progress, policy)
    with open_bundle(path) as bundle:
        with bundle.evidence() as file:
            report = _verify_lines(str(path), file, key, progress, policy)
        _check_papers(bundle, VerifierKey.parse(report.vkey), report)
        return report


def _check_papers(bundle: Bundle, key: VerifierKey, report: Report) -> None:
    """Proofs and notes that lie beside the evidence."""
    for name, text in bundle.proofs.items():
        try:
            check_proof_text(text, key)
        except NoteRefused as error:
            report.add(Attack.ENVELOPE_CHANGED, f"{name}: {error}")
    for name, note in {"checkpoint": bundle.checkpoint, **bundle.witness_notes}.items():
        try:
            checkpoint = parse_checkpoint(note, key)
        except NoteRefused as error:
            report.add(Attack.CHECKPOINT_FORGED, f"{name}: {error}")
            continue
        if checkpoint.size == report.covered_size and checkpoint.root != report.root:
            report.add(Attack.HISTORY_REWRITTEN, f"{name}: the log signed two roots at size {checkpoint.size}")
        elif checkpoint.size > report.covered_size:
            report.notes.append(f"{name}: the log has signed {checkpoint.size} records, the evidence covers fewer")
        report.witnessed += name != "checkpoint"


def _verify_lines(
    subject: str, file: IO[str], key: VerifierKey | None, progress: Progress, policy: WitnessPolicy
) -> Report:
    report = Report(subject=subject, vkey_was_given=key is not None)
    lines = read_lines(file)
    header = _header(lines)
    key = key or VerifierKey.parse(str(header.get("vkey", "")))
    report.origin, report.vkey = key.name, str(key)
    try:
        note = str(header.get("checkpoint", ""))
        checkpoint = parse_checkpoint(note, key)
        report.cosigned = {name: at.isoformat() for name, at in policy.cosigned_by(note).items()}
    except NoteRefused as error:
        report.add(Attack.CHECKPOINT_FORGED, f"checkpoint of the file: {error}")
        return report
    report.checkpoints, report.covered_size, report.root = 1, checkpoint.size, checkpoint.root
    complete = bool(header.get("complete"))
    rolling = RollingRoot()
    make_leaf = LeafMaker()
    last = -1
    for line in lines:
        row, inclusion = record_from_json(line)
        leaf = _check_row(row, make_leaf(row), report)
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


def _check_row(row: Row, leaf: bytes, report: Report) -> bytes:
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
    if leaf != row.leaf:
        report.add(Attack.ENVELOPE_CHANGED, "its fields do not give its leaf", seq=row.seq, event_id=event_id_of(row))
    return leaf
