"""Records to export, made by a real log where that matters and by hand where every field must be chosen."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from audit.export import ExportRecord
from audit.record import Envelope, Phase, Subject

AT = datetime(2026, 11, 22, 12, 0, 1, 234567, tzinfo=UTC)
EVENT = str(uuid.UUID("019a0f5e-7c00-7abc-8def-0123456789ab"))


def make_envelope(**fields: Any) -> Envelope:
    values: dict[str, Any] = {
        "seq": 41,
        "head_seq": 40,
        "event_id": EVENT,
        "phase": Phase.OUTCOME,
        "tenant": "default",
        "day": date(2026, 11, 22),
        "class_": "standard",
        "recorded_at": AT,
        "action": "image:generate",
        "effect": "deny",
        "reasons": ("dlp.payment-card", "policy.quota"),
        "about": "",
        "bundle_revision": "2026-11-20.3",
        "model": "embedded-128",
        "model_digest": "sha256:0a1b",
        "credits": 0,
        "latency_bucket_ms": 250,
        "schema": 1,
        "key_id": "00ff",
        "node": "gateway-1",
        "boot": "a0b1c2d3e4f50617",
        "counter": 42,
    }
    return Envelope(**{**values, **fields})


def make_record(subject: Subject | None = None, covered_by_size: int = 50, **fields: Any) -> ExportRecord:
    return ExportRecord(
        origin="example.com/audit",
        envelope=make_envelope(**fields),
        subject=subject,
        leaf=bytes(range(32)),
        covered_by_size=covered_by_size,
    )


@pytest.fixture
def record() -> Callable[..., ExportRecord]:
    return make_record


@pytest.fixture
def person() -> Subject:
    return Subject(actor="alice", display="Alice Ä. O'Neil", department="press", groups=("writers", "night shift"))
