"""What may be asked of the log, and what comes back: one row for each request or event, newest first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime

from audit.canonical import JSON
from audit.errors import QueryInvalid
from audit.ids import parse_event_id
from audit.record import (
    MAX_TERM_LENGTH,
    NAME_PATTERN,
    REVISION_PATTERN,
    Effect,
    Envelope,
    RecordRef,
    Subject,
)

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_CODE_OR_PREFIX = re.compile(r"[a-z0-9]+(?:[:._-][a-z0-9]+)*[:._-]?")
_CURSOR = re.compile(r"(\d{4}-\d{2}-\d{2})\.(0|[1-9]\d{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search. All given conditions must hold; times are aware, ``created_from`` counts in and ``created_to`` out.

    ``action`` and ``reason`` are codes, or prefixes that end in a separator (``image:``, ``dlp.``). Raises
    ``QueryInvalid``.
    """

    tenant: str = "default"
    actor: str | None = None
    action: str | None = None
    effect: str | None = None
    reason: str | None = None
    model: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    event_id: str | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.tenant):
            raise QueryInvalid("tenant is not a name")
        if self.actor is not None and not 0 < len(self.actor) <= MAX_TERM_LENGTH:
            raise QueryInvalid(f"actor must have 1 to {MAX_TERM_LENGTH} characters")
        for name in ("action", "reason"):
            value = getattr(self, name)
            if value is not None and not _CODE_OR_PREFIX.fullmatch(value):
                raise QueryInvalid(f"{name} is not a code")
        if self.effect is not None and self.effect not in Effect.__members__.values():
            raise QueryInvalid(f"effect must be one of {', '.join(Effect)}")
        if self.model is not None and not re.fullmatch(REVISION_PATTERN, self.model):
            raise QueryInvalid("model is not a model name")
        for name in ("created_from", "created_to"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise QueryInvalid(f"{name} must be an aware time")
        if self.event_id is not None:
            parse_event_id(self.event_id)
        if not 1 <= self.limit <= MAX_LIMIT:
            raise QueryInvalid(f"limit must lie between 1 and {MAX_LIMIT}, got {self.limit}")
        if self.cursor is not None:
            parse_cursor(self.cursor)

    def as_content(self) -> dict[str, JSON]:
        """The query for its own access record (sealed: it may name a person)."""
        found: dict[str, JSON] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None:
                found[name] = value.isoformat() if isinstance(value, datetime) else value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One request or event in a page. ``subject`` is ``None`` once its day's keys are destroyed."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows, newest first. ``next_cursor`` continues after the last one, however much is written meanwhile."""

    rows: tuple[RequestRow, ...]
    next_cursor: str | None
    access: RecordRef  # the durable record of this search


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


def format_cursor(day: date, seq: int) -> str:
    return f"{day.isoformat()}.{seq}"


def parse_cursor(text: str) -> tuple[date, int]:
    """Day and sequence number of the last row seen. Raises ``QueryInvalid``."""
    match = _CURSOR.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return date.fromisoformat(match[1]), int(match[2])
    except ValueError:
        raise QueryInvalid("cursor is not one that a search returned") from None
