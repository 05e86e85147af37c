"""Records as JSON objects, one a line, under the log's own names: the envelope, who acted, where the proof lies."""

from __future__ import annotations

import json
from typing import Any

from audit.canonical import JSON
from audit.export.record import ExportRecord
from audit.export.text import utc_text, whole_characters
from audit.record import Subject


def json_object(record: ExportRecord) -> dict[str, JSON]:
    """One record. Every name is always there; what does not apply is null or empty."""
    envelope = record.envelope
    return {
        "uid": record.uid,
        "origin": record.origin,
        "seq": envelope.seq,
        "head_seq": envelope.head_seq,
        "event_id": envelope.event_id,
        "phase": envelope.phase.value,
        "tenant": envelope.tenant,
        "day": envelope.day.isoformat(),
        "class": envelope.class_,
        "recorded_at": utc_text(envelope.recorded_at),
        "action": envelope.action,
        "effect": envelope.effect,
        "reasons": list(envelope.reasons),
        "about": envelope.about,
        "bundle_revision": envelope.bundle_revision,
        "model": envelope.model,
        "model_digest": envelope.model_digest,
        "credits": envelope.credits,
        "latency_bucket_ms": envelope.latency_bucket_ms,
        "schema": envelope.schema,
        "node": envelope.node,
        "boot": envelope.boot,
        "counter": envelope.counter,
        "subject": None if record.subject is None else _subject(record.subject),
        "leaf_hash": record.leaf.hex(),
        "checkpoint_size": record.covered_by_size,
    }


def json_line(value: dict[str, Any]) -> str:
    """An object as one line of ASCII, which no terminal and no transport misreads."""
    return json.dumps(value, separators=(",", ":"))


def _subject(subject: Subject) -> dict[str, JSON]:
    return {
        "actor": whole_characters(subject.actor),
        "display": whole_characters(subject.display),
        "department": whole_characters(subject.department),
        "groups": [whole_characters(group) for group in subject.groups],
    }
