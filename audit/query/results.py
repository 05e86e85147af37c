"""What comes back from the log: pages of rows with their counts, one record, opened content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from audit.canonical import JSON
from audit.record import Envelope, RecordRef, Subject

# What is counted on request. All of it is plain in the envelope: no person, nothing decrypted.
FACETS: Final = ("effect", "action", "reason", "model", "phase", "day")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One request or event in a page. ``subject`` is ``None`` once its keys are destroyed, and where none were kept."""

    event_id: str
    tenant: str
    action: str
    subject: Subject | None
    opened_at: datetime
    concluded_at: datetime | None  # None while open; equal to opened_at for events of one phase
    effect: str  # "" while open
    reasons: tuple[str, ...]
    model: str
    credits: int
    latency_bucket_ms: int | None
    bundle_revision: str
    seqs: tuple[int, ...]  # leaves of its records in the tree


@dataclass(frozen=True, slots=True)
class Count:
    """How many. If not exact: at least so many, for counting stopped at its bound."""

    number: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a field, spelled as a condition takes it (``dlp.*`` for a family), and how many events have it."""

    value: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows, newest first. ``next_cursor`` continues after the last one, however much is written meanwhile."""

    rows: tuple[RequestRow, ...]
    next_cursor: str | None
    access: RecordRef  # the durable record of this search
    count: Count | None = None  # of all pages together; only on request, like the facets
    facets: Mapping[str, tuple[FacetValue, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """Everything about one request that may be shown without opening its content."""

    event_id: str
    subject: Subject | None
    envelopes: tuple[Envelope, ...]
    content_destroyed: bool
    covered_by_size: int | None  # size of the newest checkpoint if it covers all halves, else None
    access: RecordRef


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRecord:
    """The opened content of one request. Show it to the reader who is named in ``access``, store it nowhere."""

    event_id: str
    subject: Subject
    envelopes: tuple[Envelope, ...]
    contents: tuple[dict[str, JSON], ...] = field(repr=False)  # never in a traceback or log line
    access: RecordRef
