"""What officers do goes into the log first: the one place where governance writes records.

Order of every change: the event is durable in the log, then the row changes. A crash between leaves an event without
effect; there is never an effect without an event. Refusals are recorded as well (effect ``deny``, with the reason).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NoReturn, Protocol

from audit.canonical import JSON
from audit.errors import Refused
from audit.governance.officer import MfaRule, Officer, require_fresh
from audit.record import Effect, Entry, Phase, RecordRef, Subject
from audit.vocabulary import LogEvent, LogReason

Clock = Callable[[], datetime]
TARGET_TERM = "target"  # index kind under which what was done to a record is found by its event id


class Record(Protocol):
    """Writes a record of one phase. Durable when it returns; raises ``AuditUnavailable`` if it cannot be."""

    def __call__(self, entry: Entry, phase: Phase, *, about: str = "") -> Awaitable[RecordRef]: ...


class Acts:
    """Records acts and their refusals; knows the time and the rule for second factors."""

    def __init__(self, record: Record, clock: Clock, mfa: MfaRule) -> None:
        self._record = record
        self._clock = clock
        self._mfa = mfa

    def now(self) -> datetime:
        return self._clock()

    async def record(
        self,
        event: LogEvent,
        by: Officer | Subject,
        content: Mapping[str, JSON],
        *,
        about: str,
        tenant: str,
        phase: Phase = Phase.ADMIN,
        effect: Effect = Effect.ALLOW,
        reasons: tuple[str, ...] = (),
        target: str = "",
    ) -> RecordRef:
        """Durable when it returns. ``about`` is plain in the envelope: an id or a digest, never a name."""
        subject = by if isinstance(by, Subject) else by.subject
        mfa: dict[str, JSON] = {}
        if isinstance(by, Officer):
            mfa["mfa_at"] = by.mfa_at.isoformat() if by.mfa_at else None
            if by.is_without_evidence:
                mfa["mfa"] = "no evidence: command line"
        entry = Entry(
            action=event,
            subject=subject,
            tenant=tenant,
            effect=effect,
            reasons=reasons,
            content={**content, **mfa},
            index={TARGET_TERM: (target,)} if target else {},
        )
        return await self._record(entry, phase, about=about)

    async def refuse(
        self,
        event: LogEvent,
        by: Officer | Subject,
        error: Refused,
        *,
        about: str,
        tenant: str,
        phase: Phase = Phase.ADMIN,
        target: str = "",
    ) -> NoReturn:
        """Record that somebody was refused, then raise the refusal."""
        content: dict[str, JSON] = {"refused": str(error)}
        await self.record(
            event,
            by,
            content,
            about=about,
            tenant=tenant,
            phase=phase,
            effect=Effect.DENY,
            reasons=(error.reason,),
            target=target,
        )
        raise error

    def check_fresh(self, officer: Officer) -> None:
        """Raises ``FreshMfaRequired``."""
        if officer.is_without_evidence and self._mfa.accepts_no_evidence:
            return
        require_fresh(officer, self.now(), self._mfa.max_age_seconds)


def check_second(officer: Officer, others: tuple[str, ...], refusal: type[Refused], what: str) -> None:
    """Raises ``refusal`` if the officer is one of those who must not be the second person."""
    if officer.actor in others:
        raise refusal(f"{what}: it takes a second person", LogReason.SECOND_PERSON_MISSING)
