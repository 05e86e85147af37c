"""The values of the log: what a caller hands in, what it gets back.

A *record* is one sealed entry. A request has two, its *intent* and its *outcome*, joined by an event id; other events
(a search, a purge, a sign-in) have one. The *envelope* of a record is plain and holds no person and no content; the
*subject* (who) and the *content* (what) are sealed apart from each other, so that a search may show who acted without
opening what they wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache

from audit.canonical import JSON
from audit.errors import EntryInvalid

# Names become parts of file names and of associated data: keep them short, lower-case and free of separators.
NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
# Codes are closed vocabularies of the caller: "image:generate", "dlp.payment-card".
CODE_PATTERN = r"^[a-z0-9]+(?:[:._-][a-z0-9]+)*$"
# Revisions, model names and digests are plain in the envelope, so free text has no place in them.
REVISION_PATTERN = r"^[A-Za-z0-9._:/@+-]*$"

_NAME, _CODE, _REVISION = re.compile(NAME_PATTERN), re.compile(CODE_PATTERN), re.compile(REVISION_PATTERN)
MAX_CODE_LENGTH = 80
MAX_REVISION_LENGTH = 160
MAX_REASONS = 64
MAX_TERMS = 1024  # people are in many groups
MAX_TERM_LENGTH = 512
MAX_CREDITS = 2**53  # exact in every JSON reader

# Exact latencies would let an outsider match a plain envelope with a network capture; buckets do not.
LATENCY_BUCKETS_MS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000)
ABOVE_ALL_BUCKETS_MS = -1


class Phase(StrEnum):
    """Which part of an event a record is. Closed; stored as text and bound into the tree."""

    INTENT = "intent"
    OUTCOME = "outcome"
    ACCESS = "access"
    ADMIN = "admin"
    HOLD = "hold"
    ERASURE = "erasure"
    PURGE = "purge"


class Effect(StrEnum):
    """What came of a request. An intent has none (``""``)."""

    ALLOW = "allow"
    MASK = "mask"
    REVIEW = "review"
    DENY = "deny"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who acted. Sealed apart from the content; only ``actor`` is searchable, through the blind index."""

    actor: str  # a stable id, never a display name: it is what a search compares, byte for byte
    display: str = ""
    department: str = ""
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.actor or len(self.actor) > MAX_TERM_LENGTH:
            raise EntryInvalid(f"actor must have 1 to {MAX_TERM_LENGTH} characters, got {len(self.actor)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One half of a record, or all of a single-phase event, before it is sealed.

    Everything but ``subject``, ``content`` and ``index`` becomes the plain envelope: put no person and no free text
    there. Empty index terms (an unknown address, a nameless group) are left out. Raises ``EntryInvalid`` (which quotes
    no value) when a field breaks its rule.
    """

    action: str  # closed by the caller: "image:generate", "auth:sign-in"
    subject: Subject
    effect: str = ""
    reasons: tuple[str, ...] = ()
    class_: str = "standard"
    tenant: str = "default"
    bundle_revision: str = ""
    model: str = ""
    model_digest: str = ""
    credits: int = 0
    latency_ms: int | None = None
    content: Mapping[str, JSON] = field(default_factory=dict)
    index: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_codes(self.action, self.class_, self.tenant, self.effect, tuple(self.reasons))
        _check_revisions(self.bundle_revision, self.model, self.model_digest)
        if not 0 <= self.credits <= MAX_CREDITS:
            raise EntryInvalid(f"credits must lie between 0 and {MAX_CREDITS}")
        if self.latency_ms is not None and self.latency_ms < 0:
            raise EntryInvalid("latency_ms must not be negative")
        terms = 0
        for kind, values in self.index.items():
            _check("index kind", kind, _CODE, MAX_CODE_LENGTH)
            if kind == ACTOR_TERM:
                raise EntryInvalid("index kind 'actor' is made from subject.actor")
            terms += len(values)
            for value in values:
                if len(value) > MAX_TERM_LENGTH:
                    raise EntryInvalid(f"index terms must have at most {MAX_TERM_LENGTH} characters")
        if terms > MAX_TERMS:
            raise EntryInvalid(f"at most {MAX_TERMS} index terms")


ZERO_CLASS = "zero"  # zero retention: sealed under a key that nobody keeps
ACTOR_TERM = "actor"  # kind of the blind-index term that every record has


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Proof that an intent is durable. Whatever needs a recorded intent takes one of these."""

    event_id: str  # UUIDv7; also the request id that people see
    seq: int  # leaf index of the intent
    opened_at: datetime
    tenant: str
    class_: str
    action: str

    @property
    def day(self) -> date:
        """The UTC day whose keys seal both halves, and whose purge destroys both."""
        return self.opened_at.date()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRef:
    """Where a durable record is."""

    event_id: str
    seq: int
    phase: Phase
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The plain part of a stored record: no person, no content."""

    seq: int
    head_seq: int  # the intent's seq for an outcome, else its own
    event_id: str
    phase: Phase
    tenant: str
    day: date
    class_: str
    recorded_at: datetime
    action: str
    effect: str
    reasons: tuple[str, ...]
    about: str  # what a record of the log's own work is about, e.g. the purged day
    bundle_revision: str
    model: str
    model_digest: str
    credits: int
    latency_bucket_ms: int | None  # upper bound of the bucket; -1 above the largest
    schema: int
    key_id: str
    node: str
    boot: str  # random name of one run of the process
    counter: int  # records of this run so far: orders them even if the clock jumps


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTicket:
    """An intent without an outcome, for the sweeper that concludes it as ``unknown``."""

    ticket: Ticket
    envelope: Envelope
    subject: Subject  # unsealed for the sweeper, which seals it again into the outcome; show it to nobody

    @property
    def action(self) -> str:
        return self.ticket.action


def latency_bucket_ms(latency_ms: int | None) -> int | None:
    """Upper bound of the bucket that a latency falls in; ``ABOVE_ALL_BUCKETS_MS`` above the largest."""
    if latency_ms is None:
        return None
    return next((bound for bound in LATENCY_BUCKETS_MS if latency_ms <= bound), ABOVE_ALL_BUCKETS_MS)


def to_micros(at: datetime) -> int:
    """Unix microseconds of an aware time. Raises ``ValueError`` for a naive one."""
    if at.tzinfo is None:
        raise ValueError("expected an aware time, got a naive one")
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Inverse of ``to_micros``, in UTC."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # of what passed: an error is not remembered
def _check_codes(action: str, class_: str, tenant: str, effect: str, reasons: tuple[str, ...]) -> None:
    _check("action", action, _CODE, MAX_CODE_LENGTH)
    _check("class_", class_, _NAME, MAX_CODE_LENGTH)
    _check("tenant", tenant, _NAME, MAX_CODE_LENGTH)
    if effect and effect not in Effect.__members__.values():
        raise EntryInvalid(f"effect must be empty or one of {', '.join(Effect)}")
    if len(reasons) > MAX_REASONS:
        raise EntryInvalid(f"at most {MAX_REASONS} reasons, got {len(reasons)}")
    for reason in reasons:
        _check("reasons", reason, _CODE, MAX_CODE_LENGTH)


@lru_cache(maxsize=4096)
def _check_revisions(bundle_revision: str, model: str, model_digest: str) -> None:
    _check("bundle_revision", bundle_revision, _REVISION, MAX_REVISION_LENGTH)
    _check("model", model, _REVISION, MAX_REVISION_LENGTH)
    _check("model_digest", model_digest, _REVISION, MAX_REVISION_LENGTH)


def _check(name: str, value: str, pattern: re.Pattern[str], longest: int) -> None:
    if not _matches(value, pattern, longest):
        raise EntryInvalid(f"{name} must match {pattern.pattern} and have at most {longest} characters")


@lru_cache(maxsize=4096)  # the vocabularies are closed: the same few values come with every record
def _matches(value: str, pattern: re.Pattern[str], longest: int) -> bool:
    # fullmatch, not match: "$" alone would let a trailing newline through.
    return len(value) <= longest and pattern.fullmatch(value) is not None
