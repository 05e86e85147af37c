"""Everything that can go wrong with the log, as one tree.

::

    AuditError
    ├── EntryInvalid            (also ValueError) the entry breaks a rule of record.py; nothing was written
    ├── QueryInvalid            (also ValueError) a query or cursor breaks a rule of audit/query; nothing was written
    ├── AuditUnavailable        the record is not durable: whoever asked must not go on
    │   └── KeyServiceUnavailable  the key service does not answer, or is sealed: the same may work later
    ├── TicketError
    │   ├── TicketConcluded     the ticket already has its outcome (or is getting it now)
    │   ├── TicketUnknown       this log never opened the ticket
    │   └── TicketExpired       the ticket's day is past retention, its keys are destroyed
    ├── RecordNotFound
    ├── ContentDestroyed        the day's keys are destroyed: nobody can read this any more
    ├── KeyRefused              a key file that must not be used: permissions, length, another key, a destroyed day
    ├── WitnessError            a witness did not take a checkpoint; the records are as safe as before
    │   ├── WitnessUnavailable  not now: the newest checkpoint is sent again later
    │   └── WitnessRefused      it holds what the checkpoint contradicts, or does not know the log: a person must look
    ├── Refused                 two people, fresh MFA, scope, state: what an officer asked for is not theirs to do
    │   ├── FreshMfaRequired    the officer's second factor is too old, or its age is not known
    │   ├── CaseRefused         the case does not permit it
    │   ├── HoldRefused         the hold does not permit it
    │   ├── ErasureRefused      the erasure does not permit it
    │   └── SubjectAccessRefused  the subject-access request does not permit it
    ├── MatterNotFound          no case, hold or subject request of this tenant has the id
    │   ├── CaseNotFound
    │   ├── HoldNotFound
    │   └── SubjectRequestNotFound
    ├── ConsumerBusy            another process sends this consumer its records
    ├── SinkError               a receiver of exported records does not take them
    │   ├── SinkUnavailable     not now: the same records are sent again later
    │   └── SinkRefused         not ever, as things are: sending stops until a person looks
    └── StoreError
        ├── StoreInUse          another process holds the directory
        ├── StoreDamaged        the files contradict each other; run `python -m audit verify`
        │   └── StoreRolledBack the files are older than a checkpoint that a witness holds
        └── SnapshotRefused     this is a copy; going on with it would fork the log

No message carries content, a person, a key or a token: paths, days, sequence numbers and event ids only.
"""

from __future__ import annotations


class AuditError(Exception):
    """Base of all errors of the audit log."""


class EntryInvalid(AuditError, ValueError):
    """The entry breaks a rule of ``record.py``. Nothing was written."""


class QueryInvalid(AuditError, ValueError):
    """The query breaks a rule of ``audit.query``. Nothing was read; the access was not recorded."""


class AuditUnavailable(AuditError):
    """The record could not be made durable. Fail closed: what it was to precede must not happen."""


class KeyServiceUnavailable(AuditUnavailable):
    """The key service did not do its work: unreachable, too slow, throttling, sealed, or our credentials do not pass.

    Says nothing about the key or what it wraps: the same call may succeed later. ``KeyRefused`` is the other half.
    """


class TicketError(AuditError):
    """A ticket cannot be concluded."""


class TicketConcluded(TicketError):
    """The ticket already has an outcome, or another call is writing it."""


class TicketUnknown(TicketError):
    """This log never opened the ticket."""


class TicketExpired(TicketError):
    """The ticket's day is past retention: its keys are destroyed, so its outcome cannot be sealed."""


class RecordNotFound(AuditError):
    """No record of this tenant has the event id."""


class ContentDestroyed(AuditError):
    """The keys of the record's day are destroyed; content, subject and blind index are gone for everybody."""


class KeyRefused(AuditError):
    """A key file exists but must not be used."""


class StoreError(AuditError):
    """The directory cannot be used as a log."""


class StoreInUse(StoreError):
    """Another process (or another ``AuditLog`` in this one) has the directory open."""


class StoreDamaged(StoreError):
    """Files of the store contradict each other. Nothing is repaired silently: that could hide an attack."""


class StoreRolledBack(StoreDamaged):
    """The store is shorter than, or differs from, a checkpoint that a witness holds."""


class SnapshotRefused(StoreError):
    """The directory is a snapshot; appending to it under the log's name would fork the log."""


class WitnessError(AuditError):
    """A witness did not take a checkpoint. Nothing is lost; the window that an attacker has grows until it does."""


class WitnessUnavailable(WitnessError):
    """The witness cannot answer now. ``retry_after_seconds`` is its own wish, if it had one."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class WitnessRefused(WitnessError):
    """The witness says no: it holds what the checkpoint contradicts, or does not know the log."""


class Refused(AuditError):
    """What an officer asked for is not theirs to do. A normal outcome: on record, explained, nothing was changed.

    ``reason`` is one of ``vocabulary.LogReason``; the message says what to do.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class FreshMfaRequired(Refused):
    """The officer must show the second factor again."""


class CaseRefused(Refused):
    """The case does not permit what was asked."""


class HoldRefused(Refused):
    """The hold does not permit what was asked."""


class ErasureRefused(Refused):
    """The erasure does not permit what was asked."""


class SubjectAccessRefused(Refused):
    """The subject-access request does not permit what was asked."""


class MatterNotFound(AuditError):
    """No case, hold or subject request of this tenant has the id."""


class CaseNotFound(MatterNotFound):
    """No case of this tenant has the id."""


class HoldNotFound(MatterNotFound):
    """No hold of this tenant has the id."""


class SubjectRequestNotFound(MatterNotFound):
    """No subject request of this tenant has the id."""


class ConsumerBusy(AuditError):
    """Another process sends this consumer its records; two at once would lose some."""


class SinkError(AuditError):
    """A receiver of exported records did not take them. Messages name no address's secrets and no answer's body."""


class SinkUnavailable(SinkError):
    """The receiver cannot take the records now. ``retry_after_seconds`` is its own wish, if it had one."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SinkRefused(SinkError):
    """The receiver will not take the records as things are. ``is_too_large``: fewer at once may do."""

    def __init__(self, message: str, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.is_too_large = is_too_large
