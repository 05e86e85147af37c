"""What pages and their JSON twins show of records: plain values, made from the log's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from audit import Envelope, Page, Proof, RecordView, RequestRow, Subject, VerifierKey, leaf_hash, verify_inclusion
from gateway.web.proof_drawing import Drawing, draw
from gateway.web.words import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The rows of one UTC day, newest first."""

    day: date
    rows: tuple[RequestRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenHalf:
    """One half of a record with its proof, checked just now."""

    phase: str
    seq: int
    tree_size: int
    is_included: bool
    is_signed: bool
    drawing: Drawing | None
    leaf_hash: str
    root_hash: str

    @property
    def holds(self) -> bool:
        return self.is_included and self.is_signed


def by_day(rows: Sequence[RequestRow]) -> tuple[Day, ...]:
    """Rows under their days, in the order they came."""
    return tuple(Day(day=day, rows=tuple(group)) for day, group in groupby(rows, key=lambda row: row.opened_at.date()))


def prove(proof: Proof, key: VerifierKey) -> ProvenHalf:
    """Check a proof now: that the record's leaf leads to the head's root, and that the log's key signed that head."""
    checkpoint, leaf = proof.checkpoint, leaf_hash(proof.leaf_data)
    is_included = verify_inclusion(proof.seq, checkpoint.size, leaf, proof.path, checkpoint.root)
    # Only what holds is drawn: a picture of a path that leads nowhere would look like evidence.
    drawing = draw(proof.seq, checkpoint.size, proof.path) if is_included else None
    return ProvenHalf(
        phase=proof.phase,
        seq=proof.seq,
        tree_size=checkpoint.size,
        is_included=is_included,
        is_signed=checkpoint.is_signed_by(key),
        drawing=drawing,
        leaf_hash=leaf.hex(),
        root_hash=checkpoint.root.hex(),
    )


def unreadable_from(day: date, retention_days: int) -> date:
    """The first UTC day on which nobody can read what was recorded on `day` (audit/retention.py)."""
    return day + timedelta(days=retention_days + 1)


def subject_json(subject: Subject | None) -> dict[str, Any] | None:
    if subject is None:
        return None
    return {
        "actor": subject.actor,
        "display": subject.display,
        "department": subject.department,
        "groups": list(subject.groups),
    }


def row_json(row: RequestRow) -> dict[str, Any]:
    """One search result."""
    return {
        "event_id": row.event_id,
        "action": row.action,
        "who": row.subject.display or row.subject.actor if row.subject else "",
        "subject": subject_json(row.subject),
        "opened_at": iso(row.opened_at),
        "concluded_at": iso(row.concluded_at) if row.concluded_at else None,
        "effect": row.effect,
        "reasons": list(row.reasons),
        "model": row.model,
        "credits": row.credits,
        "latency_bucket_ms": row.latency_bucket_ms,
        "bundle_revision": row.bundle_revision,
        "seqs": list(row.seqs),
    }


def page_json(found: Page, next_page: str) -> dict[str, Any]:
    """A page of search results; with counts if they were asked for."""
    body: dict[str, Any] = {
        "rows": [row_json(row) for row in found.rows],
        "next": next_page,
        "access_id": found.access.event_id,
    }
    if found.count is not None:
        body["count"] = {"number": found.count.number, "is_exact": found.count.is_exact}
        body["facets"] = {
            name: [{"value": value.value, "number": value.number} for value in values]
            for name, values in found.facets.items()
        }
    return body


def record_json(view: RecordView, halves: Sequence[ProvenHalf], retention_days: int) -> dict[str, Any]:
    """One record with its proofs' state."""
    return {
        "event_id": view.event_id,
        "subject": subject_json(view.subject),
        "records": [_envelope_json(envelope) for envelope in view.envelopes],
        "content_destroyed": view.content_destroyed,
        "unreadable_from": unreadable_from(view.envelopes[0].day, retention_days).isoformat(),
        "proof": {
            "verified": all(half.holds for half in halves),
            "seq": halves[-1].seq,
            "tree_size": halves[-1].tree_size,
            "halves": [_half_json(half) for half in halves],
        },
    }


def _half_json(half: ProvenHalf) -> dict[str, Any]:
    return {
        "phase": half.phase,
        "seq": half.seq,
        "tree_size": half.tree_size,
        "included": half.is_included,
        "signed": half.is_signed,
        "leaf_hash": half.leaf_hash,
        "root_hash": half.root_hash,
    }


def _envelope_json(envelope: Envelope) -> dict[str, Any]:
    return {
        "phase": envelope.phase.value,
        "seq": envelope.seq,
        "recorded_at": iso(envelope.recorded_at),
        "action": envelope.action,
        "effect": envelope.effect,
        "reasons": list(envelope.reasons),
        "bundle_revision": envelope.bundle_revision,
        "model": envelope.model,
        "model_digest": envelope.model_digest,
        "credits": envelope.credits,
        "latency_bucket_ms": envelope.latency_bucket_ms,
        "node": envelope.node,
    }
