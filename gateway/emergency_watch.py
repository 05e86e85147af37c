"""What nobody is there to record: that a seal was made, on the host beside a running gateway; that an emergency ended.

The host's command writes a seal into the database, and it opens nothing before it is on record here. An emergency ends
by the clock, whether or not this runs; this says so in the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from audit import AuditError, AuditLog, Entry, Subject
from gateway.errors import IdentityUnavailable
from gateway.identity.emergency import Emergencies
from gateway.vocabulary import Effect, Event

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 1.0


class EmergencyWatch:
    """Looks once a second."""

    def __init__(self, emergencies: Emergencies, audit: AuditLog) -> None:
        self._emergencies = emergencies
        self._audit = audit

    async def run(self) -> None:
        """Never returns. What can't be recorded now is tried again."""
        while True:
            try:
                await self.look()
            except (AuditError, IdentityUnavailable, SQLAlchemyError, OSError) as error:
                log.error("emergency.unwatched", extra={"fields": {"cause": type(error).__name__}})
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Record what there is."""
        for seal in await self._emergencies.seals.unrecorded():
            log.critical("emergency.sealed", extra={"fields": {"seal": seal.name}})
            subject = Subject(actor=f"system:host-{seal.sealed_by}"[:255], display="a command on the host")
            content = {"seal": seal.name, "holder": seal.holder, "sealed_at": seal.sealed_at.isoformat()}
            await self._note(Event.EMERGENCY_SEAL, subject, content)
            await self._emergencies.seals.recorded(seal)
        for ended in await self._emergencies.ended():
            log.critical("emergency.ended", extra={"fields": {"emergency": ended.id}})
            subject = Subject(actor="system:emergency", display="the end of an emergency")
            ends = "" if ended.ends_at is None else ended.ends_at.isoformat()
            try:
                await self._note(Event.EMERGENCY_END, subject, {"emergency": ended.id, "ended_at": ends})
            except AuditError:
                await self._emergencies.unrecord_end(ended.id)
                raise

    async def _note(self, event: Event, subject: Subject, content: dict[str, str]) -> None:
        await self._audit.note(
            Entry(action=event.value, subject=subject, effect=Effect.ALLOW.value, content=dict(content))
        )
