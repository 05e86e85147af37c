"""The audit log: encrypted, provable, searchable, gone after thirty days. Usable without the gateway.

What a user may rely on:

- a record is durable (fsynced) when the call that wrote it returns; if it cannot be, ``AuditUnavailable``;
- who and what is sealed with AES-256-GCM under keys of the day; the keys are destroyed after retention;
- every record is a leaf of a Merkle tree (RFC 6962) with signed checkpoints; ``python -m audit verify`` checks all of
  it offline with nothing but a public key;
- nobody searches or opens anything through this package without a durable record of it first.
"""

from __future__ import annotations

from audit.canonical import JSON
from audit.endings import Ending, endings_after, endings_of, seq_before
from audit.errors import (
    AuditError,
    AuditUnavailable,
    CaseNotFound,
    CaseRefused,
    ContentDestroyed,
    EntryInvalid,
    FreshMfaRequired,
    HoldNotFound,
    KeyRefused,
    QueryInvalid,
    RecordNotFound,
    Refused,
    SnapshotRefused,
    StoreDamaged,
    StoreError,
    StoreInUse,
    StoreRolledBack,
    SubjectRequestNotFound,
    TicketConcluded,
    TicketError,
    TicketExpired,
    TicketUnknown,
)
from audit.governance.cases import Case, CaseState
from audit.governance.holds import Hold, HoldKind, Holds, HoldState
from audit.governance.officer import Officer, Signature
from audit.governance.scope import HoldScope, Scope
from audit.governance.subject_requests import SubjectRequest, SubjectRequestKind, SubjectRequests, SubjectRequestState
from audit.health import DiskState, Health
from audit.ids import new_event_id
from audit.keys.services.settings import KeyServiceSettings
from audit.log import AuditLog
from audit.note import VerifierKey
from audit.proof import Proof
from audit.push.feed import Feed, FeedSettings, source_of
from audit.query import Condition, OpenedRecord, Page, Query, RecordView, RequestRow
from audit.query import Field as QueryField
from audit.record import Effect, Entry, Envelope, OpenTicket, Phase, RecordRef, Subject, Ticket
from audit.retention import PurgeReceipt, RetentionRules
from audit.retention.receipts import read_receipts
from audit.settings import AuditSettings
from audit.tree import leaf_hash, verify_inclusion
from audit.vocabulary import LogEvent
from audit.witness.settings import WitnessSettings

__all__ = [
    "Refused",
    "FreshMfaRequired",
    "CaseRefused",
    "CaseNotFound",
    "CaseState",
    "Case",
    "QueryField",
    "Condition",
    "source_of",
    "LogEvent",
    "WitnessSettings",
    "RetentionRules",
    "KeyServiceSettings",
    "FeedSettings",
    "Feed",
    "JSON",
    "AuditError",
    "AuditLog",
    "AuditSettings",
    "AuditUnavailable",
    "ContentDestroyed",
    "DiskState",
    "Effect",
    "Entry",
    "Ending",
    "EntryInvalid",
    "Envelope",
    "Health",
    "Hold",
    "HoldKind",
    "HoldNotFound",
    "HoldScope",
    "HoldState",
    "Holds",
    "KeyRefused",
    "Officer",
    "OpenTicket",
    "OpenedRecord",
    "Page",
    "Phase",
    "Proof",
    "PurgeReceipt",
    "Query",
    "QueryInvalid",
    "RecordNotFound",
    "RecordRef",
    "RecordView",
    "RequestRow",
    "Scope",
    "Signature",
    "SnapshotRefused",
    "StoreDamaged",
    "StoreError",
    "StoreInUse",
    "StoreRolledBack",
    "Subject",
    "SubjectRequest",
    "SubjectRequestKind",
    "SubjectRequestNotFound",
    "SubjectRequestState",
    "SubjectRequests",
    "Ticket",
    "TicketConcluded",
    "TicketError",
    "TicketExpired",
    "TicketUnknown",
    "VerifierKey",
    "endings_after",
    "endings_of",
    "leaf_hash",
    "new_event_id",
    "read_receipts",
    "seq_before",
    "verify_inclusion",
]
