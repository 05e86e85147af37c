"""Verifying an evidence file or bundle (see ``audit/export``) with nothing but the file and a public key.

Whatever is wrong with what is in the file is a finding, also that it is no evidence at all: whoever damages a file must
not turn "changed" into "could not be checked".
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature import WitnessPolicy
from audit.export.bundle_reader import Bundle, BundleRefused, is_bundle, open_bundle
from audit.export.evidence_lines import Header, LineRefused, read_lines
from audit.note import NoteRefused, VerifierKey, read_note
from audit.proof import check_proof_text
from audit.verify.evidence_records import EvidenceRecords
from audit.verify.report import Attack, Report
from audit.verify.trust import NO_POLICY, Progress, silent


def verify_evidence(
    path: Path, key: VerifierKey | None, progress: Progress = silent, policy: WitnessPolicy = NO_POLICY
) -> Report:
    """Check an evidence file, or a bundle with one and what goes with it. Raises ``OSError`` if there is no file."""
    report = Report(subject=str(path), vkey_was_given=key is not None)
    if key is not None:
        report.origin, report.vkey = key.name, str(key)
    if not is_bundle(path):
        with path.open("rb") as file:
            _check_file(file, key, report, progress, policy)
        return report
    try:
        with open_bundle(path) as bundle:
            with bundle.evidence() as file:
                records = _check_file(file, key, report, progress, policy)
            if records is not None:
                _check_manifest(bundle, report)
                _check_papers(bundle, VerifierKey.parse(report.vkey), records, report)
    except BundleRefused as error:
        report.add(Attack.MALFORMED, str(error))
    return report


def _check_file(
    file: IO[bytes], key: VerifierKey | None, report: Report, progress: Progress, policy: WitnessPolicy
) -> EvidenceRecords | None:
    """Check all lines; ``None`` if the header is nothing to check the others by."""
    lines = read_lines(file)
    try:
        header = Header.parse(next(lines, b""))
        checkpoint = _check_header(header, key or header.key, report, policy)
    except (LineRefused, NoteRefused) as error:
        if isinstance(error, LineRefused):
            report.add(Attack.MALFORMED, f"line 1: {error}; this is a damaged evidence file, or not an evidence file")
        else:
            report.add(Attack.CHECKPOINT_FORGED, f"line 1: {error}")
        return None
    records = EvidenceRecords(report, header, checkpoint)
    number = 1
    try:
        for number, line in enumerate(lines, 2):
            records.check(number, line)
            if report.records % 1000 == 0:
                progress(report.records, checkpoint.size)
    except LineRefused as error:  # a line without an end: there is no next one
        records.refuse(number + 1, error)
    records.finish()
    return records


def _check_header(header: Header, key: VerifierKey, report: Report, policy: WitnessPolicy) -> Checkpoint:
    """The header's checkpoint, signed by ``key``. Raises ``LineRefused``, ``NoteRefused``."""
    report.origin, report.vkey = key.name, str(key)
    if header.key != key:
        report.add(Attack.CHECKPOINT_FORGED, "line 1: the file names another key or origin than the one that was given")
    checkpoint = parse_checkpoint(header.checkpoint, key)
    cosigned = policy.cosigned_by(header.checkpoint)
    if header.first_record > checkpoint.size:
        raise LineRefused("its first record is not below its checkpoint")
    report.checkpoints, report.covered_size, report.root = 1, checkpoint.size, checkpoint.root
    report.complete, report.first_record = header.complete, header.first_record
    report.cosigned = {name: at.isoformat() for name, at in cosigned.items()}
    others = len(read_note(header.checkpoint)[1]) - 1 - len(cosigned)
    if others > 0:
        report.notes.append(f"the checkpoint has {others} signature(s) more, not checked: no key was given for them")
    if not header.complete:
        report.notes.append("a selection: these records are in the log, which others are in it the file cannot show")
    return checkpoint


def _check_manifest(bundle: Bundle, report: Report) -> None:
    """What the manifest says of the evidence is so; what nobody can check is marked."""
    manifest = bundle.manifest
    for name, found in {
        "origin": report.origin,
        "vkey": report.vkey,
        "complete": report.complete,
        "records": report.records,
        "checkpoint_size": report.covered_size,
    }.items():
        if manifest[name] != found:
            report.add(Attack.MALFORMED, f"manifest.json: {name} is not that of the evidence")
    report.notes.append(f"taken at {manifest['taken_at']}, and selected as it says, by the bundle alone: not signed")


def _check_papers(bundle: Bundle, key: VerifierKey, records: EvidenceRecords, report: Report) -> None:
    """Proofs and notes that lie beside the evidence."""
    for name, text in bundle.proofs.items():
        try:
            proof = check_proof_text(text, key)
        except NoteRefused as error:
            report.add(Attack.ENVELOPE_CHANGED, f"{name}: {error}")
            continue
        if records.proofs.get(name) != (proof.seq, proof.leaf):
            report.add(Attack.MALFORMED, f"{name} is not the proof of a record of the evidence of that name")
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
