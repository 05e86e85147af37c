"""The closed words of the log's own work: what it records about the people and systems that handle it.

An event is ``source:subject:action``. The gateway's events are the gateway's; these are the ones that this package
writes by itself, before it does what they say.
"""

from __future__ import annotations

from enum import StrEnum


class LogEvent(StrEnum):
    """Everything the log records about itself. Closed; ``docs/reference/audit-events.md`` lists them."""

    SEARCH = "audit:record:search"
    SHOW = "audit:record:show"
    OPEN_CONTENT = "audit:content:open"
    EXPORT = "audit:record:export"
    FOLLOW = "audit:record:follow"
    CASE_REQUEST = "audit:case:request"
    CASE_APPROVE = "audit:case:approve"
    CASE_REJECT = "audit:case:reject"
    CASE_CLOSE = "audit:case:close"
    HOLD_REQUEST = "audit:hold:request"
    HOLD_PLACE = "audit:hold:place"
    HOLD_REJECT = "audit:hold:reject"
    HOLD_KEEP = "audit:hold:keep"
    HOLD_RELEASE_REQUEST = "audit:hold:ask-release"
    HOLD_RELEASE = "audit:hold:release"
    ERASURE_REQUEST = "audit:erasure:request"
    ERASURE_APPROVE = "audit:erasure:approve"
    ERASURE_REJECT = "audit:erasure:reject"
    ERASURE_DONE = "audit:erasure:complete"
    SUBJECT_EXPORT_REQUEST = "audit:subject:ask-export"
    SUBJECT_EXPORT_APPROVE = "audit:subject:approve-export"
    SUBJECT_EXPORT_REJECT = "audit:subject:reject-export"
    SUBJECT_EXPORT = "audit:subject:export"
    PURGE = "audit:day:purge"
    KEYS_REWRAP = "audit:key:rewrap"
    PRUNE = "audit:tree:prune"


class LogReason(StrEnum):
    """Reason codes of the log's own records."""

    RETENTION_EXPIRED = "retention.expired"
    CASE_REFUSED = "case.refused"
    HOLD_REFUSED = "hold.refused"
    SUBJECT_REFUSED = "subject.refused"
    SECOND_PERSON_MISSING = "case.second-person-missing"
    STALE_MFA = "mfa.stale"
    ERASED_ON_REQUEST = "retention.erased"
