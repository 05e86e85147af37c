"""From the halves of a request to one line of a page."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from audit.errors import ContentDestroyed
from audit.keys.ring import KeyRing
from audit.query import RequestRow
from audit.record import ZERO_CLASS, Phase, Subject, from_micros
from audit.row import COLUMNS, Row
from audit.store.compose import open_subject
from audit.store.port import DayView
from audit.store.search.plan import OUTCOME_JOIN
from audit.store.search.sql import Sql, wrapped

# A search shows who and what came of it. It never reads content, and needs nothing that proofs and tokens are made of.
_NOT_READ: Final = frozenset(
    {
        "content",
        "index_salt",
        "terms",
        "authenticator",
        "envelope_salt",
        "subject_digest",
        "content_digest",
        "index_commitment",
        "leaf",
    }
)
_WIDTH: Final = len(COLUMNS)


def _columns(record: str, subject: str) -> str:
    special = {"subject": subject, **dict.fromkeys(_NOT_READ, "null")}
    return ", ".join(special.get(name, f"{record}.{name}") for name in COLUMNS)


# Who acted is the same in both halves, so only the head's is read.
_SELECT: Final = f"select {_columns('h', 's.subject')}, {_columns('o', 'null')} from "  # noqa: S608  # columns of ours
_JOINS: Final = (
    " cross join {record} h left join {sealed} s on s.seq = h.seq" + OUTCOME_JOIN + " where h.seq = m.head_seq"
)


def halves_of(view: DayView, heads: Sequence[int]) -> Sql:
    """Both halves of the events with these heads."""
    return wrapped(_SELECT, Sql(*view.numbers(heads)), _JOINS)


def read_halves(values: tuple[Any, ...]) -> tuple[Row, Row | None]:
    """One result of ``halves_of``."""
    head, outcome = values[:_WIDTH], values[_WIDTH:]
    return Row._make(head), Row._make(outcome) if outcome[0] is not None else None


def request_row(head: Row, outcome: Row | None, ring: KeyRing) -> RequestRow:
    """One line of a page."""
    last = outcome or head
    concluded_at = from_micros(last.recorded_at) if outcome or head.phase != Phase.INTENT else None
    return RequestRow(
        event_id=str(uuid.UUID(bytes=head.event_id)),
        tenant=head.tenant,
        action=head.action,
        subject=subject_of(head, ring),
        opened_at=from_micros(head.recorded_at),
        concluded_at=concluded_at,
        effect=last.effect,
        reasons=tuple(last.reasons.split()),
        model=last.model or head.model,
        credits=last.credits,
        latency_bucket_ms=last.latency_bucket_ms,
        bundle_revision=last.bundle_revision or head.bundle_revision,
        seqs=(head.seq, outcome.seq) if outcome else (head.seq,),
    )


def subject_of(row: Row, ring: KeyRing) -> Subject | None:
    """Who a row is about; ``None`` once its keys are destroyed or it was erased, and of a record of zero retention,
    whose key nobody kept."""
    if row.subject is None or row.class_ == ZERO_CLASS or row.event_id in ring.erased:
        return None
    try:
        return open_subject(row, ring.get(date.fromisoformat(row.day), row.tenant, row.class_))
    except ContentDestroyed:
        return None
