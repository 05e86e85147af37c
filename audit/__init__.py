"""The audit log: encrypted, provable, searchable, gone after thirty days. Usable without the gateway.

What a user may rely on:

- a record is durable (fsynced) when the call that wrote it returns; if it cannot be, ``AuditUnavailable``;
- who and what is sealed with AES-256-GCM under keys of the day; the keys are destroyed after retention;
- every record is a leaf of a Merkle tree (RFC 6962) with signed checkpoints; ``python -m audit verify`` checks all of
  it offline with nothing but a public key;
- nobody searches or opens anything through this package without a durable record of it first.

What is named here is loaded when it is first asked for (PEP 562), so that whoever only verifies loads, and needs to
install, no database's client and no reader of settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
    from audit.governance.subject_requests import (
        SubjectRequest,
        SubjectRequestKind,
        SubjectRequests,
        SubjectRequestState,
    )
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

# The same once more for whoever runs it: where each name lives, and what it is called there if that differs.
_HOMES: Final = {
    "JSON": "audit.canonical",
    "Ending": "audit.endings",
    "endings_after": "audit.endings",
    "endings_of": "audit.endings",
    "seq_before": "audit.endings",
    "AuditError": "audit.errors",
    "AuditUnavailable": "audit.errors",
    "CaseNotFound": "audit.errors",
    "CaseRefused": "audit.errors",
    "ContentDestroyed": "audit.errors",
    "EntryInvalid": "audit.errors",
    "FreshMfaRequired": "audit.errors",
    "HoldNotFound": "audit.errors",
    "KeyRefused": "audit.errors",
    "QueryInvalid": "audit.errors",
    "RecordNotFound": "audit.errors",
    "Refused": "audit.errors",
    "SnapshotRefused": "audit.errors",
    "StoreDamaged": "audit.errors",
    "StoreError": "audit.errors",
    "StoreInUse": "audit.errors",
    "StoreRolledBack": "audit.errors",
    "SubjectRequestNotFound": "audit.errors",
    "TicketConcluded": "audit.errors",
    "TicketError": "audit.errors",
    "TicketExpired": "audit.errors",
    "TicketUnknown": "audit.errors",
    "Case": "audit.governance.cases",
    "CaseState": "audit.governance.cases",
    "Hold": "audit.governance.holds",
    "HoldKind": "audit.governance.holds",
    "Holds": "audit.governance.holds",
    "HoldState": "audit.governance.holds",
    "Officer": "audit.governance.officer",
    "Signature": "audit.governance.officer",
    "HoldScope": "audit.governance.scope",
    "Scope": "audit.governance.scope",
    "SubjectRequest": "audit.governance.subject_requests",
    "SubjectRequestKind": "audit.governance.subject_requests",
    "SubjectRequests": "audit.governance.subject_requests",
    "SubjectRequestState": "audit.governance.subject_requests",
    "DiskState": "audit.health",
    "Health": "audit.health",
    "new_event_id": "audit.ids",
    "KeyServiceSettings": "audit.keys.services.settings",
    "AuditLog": "audit.log",
    "VerifierKey": "audit.note",
    "Proof": "audit.proof",
    "Feed": "audit.push.feed",
    "FeedSettings": "audit.push.feed",
    "source_of": "audit.push.feed",
    "Condition": "audit.query",
    "OpenedRecord": "audit.query",
    "Page": "audit.query",
    "Query": "audit.query",
    "RecordView": "audit.query",
    "RequestRow": "audit.query",
    "QueryField": "audit.query:Field",
    "Effect": "audit.record",
    "Entry": "audit.record",
    "Envelope": "audit.record",
    "OpenTicket": "audit.record",
    "Phase": "audit.record",
    "RecordRef": "audit.record",
    "Subject": "audit.record",
    "Ticket": "audit.record",
    "PurgeReceipt": "audit.retention",
    "RetentionRules": "audit.retention",
    "read_receipts": "audit.retention.receipts",
    "AuditSettings": "audit.settings",
    "leaf_hash": "audit.tree",
    "verify_inclusion": "audit.tree",
    "LogEvent": "audit.vocabulary",
    "WitnessSettings": "audit.witness.settings",
}


def __getattr__(name: str) -> Any:
    home, _, there = _HOMES.get(name, "").partition(":")
    if not home:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), there or name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
