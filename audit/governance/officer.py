"""A person who decides something about the log, and how fresh their second factor is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.canonical import JSON
from audit.errors import EntryInvalid, FreshMfaRequired
from audit.record import Subject
from audit.vocabulary import LogReason

SYSTEM_PREFIX = "system:"  # actors that are parts of the product; they never count as one of two people
# Two machines' clocks differ by seconds; a second factor from further in the future is a mistake or a lie.
MAX_CLOCK_SKEW = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Officer:
    """Who decides. ``mfa_at`` is when they last showed a second factor; ``None`` if nobody knows.

    ``is_without_evidence`` is set by the command line only, which cannot see a second factor: whoever may run it has
    the key files anyway. It counts only where ``MfaRule.accepts_no_evidence`` says so, and goes on record.
    """

    subject: Subject
    mfa_at: datetime | None = None
    is_without_evidence: bool = False

    def __post_init__(self) -> None:
        if self.actor.startswith(SYSTEM_PREFIX):
            raise EntryInvalid("an officer is a person: the actor must not begin with 'system:'")
        if self.mfa_at is not None and self.mfa_at.tzinfo is None:
            raise EntryInvalid("mfa_at must be an aware time, got a naive one")

    @property
    def actor(self) -> str:
        return self.subject.actor


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaRule:
    """How fresh a second factor must be for approvals and openings."""

    max_age_seconds: int = 300
    accepts_no_evidence: bool = False  # for the command line


def require_fresh(officer: Officer, now: datetime, max_age_seconds: int) -> None:
    """Raises ``FreshMfaRequired`` unless the second factor is known and not older than this."""
    if officer.mfa_at is None:
        raise FreshMfaRequired("this needs a second factor, and none is known: sign in with one", LogReason.STALE_MFA)
    if officer.mfa_at > now + MAX_CLOCK_SKEW:
        raise FreshMfaRequired("the second factor lies in the future: check the clocks", LogReason.STALE_MFA)
    if now - officer.mfa_at > timedelta(seconds=max_age_seconds):
        raise FreshMfaRequired(
            f"the second factor is older than {max_age_seconds} seconds: show it again", LogReason.STALE_MFA
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who did something about a case, hold or subject request, and when: as kept with it, sealed."""

    actor: str
    display: str
    at: datetime
    mfa_at: datetime | None = None
    is_without_evidence: bool = False

    @classmethod
    def of(cls, officer: Officer | Subject, at: datetime) -> Signature:
        """An officer's; or that of a part of the product, which has no second factor."""
        if isinstance(officer, Subject):
            return cls(actor=officer.actor, display=officer.display, at=at)
        return cls(
            actor=officer.actor,
            display=officer.subject.display,
            at=at,
            mfa_at=officer.mfa_at,
            is_without_evidence=officer.is_without_evidence,
        )

    def as_json(self) -> dict[str, JSON]:
        return {
            "actor": self.actor,
            "display": self.display,
            "at": self.at.isoformat(),
            "mfa_at": self.mfa_at.isoformat() if self.mfa_at else None,
            "without_mfa_evidence": self.is_without_evidence,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Signature:
        return cls(
            actor=stored["actor"],
            display=stored["display"],
            at=datetime.fromisoformat(stored["at"]),
            mfa_at=datetime.fromisoformat(stored["mfa_at"]) if stored["mfa_at"] else None,
            is_without_evidence=stored["without_mfa_evidence"],
        )
