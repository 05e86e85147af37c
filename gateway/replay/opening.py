"""Everything that replays and shadows need, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audit import AuditError, AuditLog, Entry, Subject
from gateway.observe.metrics import Metrics
from gateway.policy.bundle import Bundle, read_bundle
from gateway.replay.desk import Replays
from gateway.replay.jobs import JobStore
from gateway.replay.journal import Journal, KeepsFor
from gateway.replay.sealing import Sealer
from gateway.replay.shadow import Shadow, Shadows
from gateway.settings import ReplaySettings
from gateway.storage.database import Database
from gateway.vocabulary import Effect, Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """The parts, and what ends them."""

    journal: Journal
    replays: Replays
    shadows: Shadows

    async def sweep(self) -> None:
        """Destroy what is past its days, and what was erased from the log meanwhile."""
        await self.journal.sweep()
        await self.replays.sweep()

    async def aclose(self) -> None:
        """End replays and the shadow, write what waits."""
        await self.replays.aclose()
        await self.shadows.stop()
        await self.journal.flush()


def open_replaying(
    settings: ReplaySettings,
    *,
    secret_path: Path,
    keys_folder: Path,
    rules_folder: Path,
    database: Database,
    audit: AuditLog,
    metrics: Metrics,
    clock: Callable[[], datetime],
    keeps_for: KeepsFor,
) -> Replaying:
    """`rules_folder` holds the rules in force. Inputs are sealed under keys in `keys_folder`, which gateways share, and
    those are wrapped under one derived from the file `secret_path`. Raises ValueError for one that can't be used."""
    sealer = Sealer.from_file(secret_path, keys_folder)
    journal = Journal(database, sealer, clock, keep_days=settings.keep_days, keeps_for=keeps_for)

    async def in_force() -> Bundle:
        return await asyncio.to_thread(read_bundle, rules_folder)

    replays = Replays(
        journal,
        JobStore(database, sealer, clock, keep_days=settings.keep_days),
        in_force=in_force,
        erased=audit.governance.erased.all,
        clock=clock,
        minutes_per_review=settings.minutes_per_review,
        max_seconds=settings.max_seconds,
    )
    shadows = Shadows(clock, alarm_share=settings.shadow_alarm_share, on_alarm=_on_alarm(audit, metrics))
    return Replaying(journal=journal, replays=replays, shadows=shadows)


def _on_alarm(audit: AuditLog, metrics: Metrics) -> Callable[[Shadow], None]:
    """Counted at once; on record a moment later. An alarm that can't be recorded is still in the log of the process."""
    going_on = set[asyncio.Task[None]]()

    async def note(shadow: Shadow) -> None:
        entry = Entry(
            action=Event.SHADOW_ALARM.value,
            subject=Subject(actor="system:policy", display="policy shadow"),
            effect=Effect.ALLOW.value,
            content={
                "candidate": shadow.rules.revision,
                "compared": shadow.compared,
                "share": str(round(shadow.share, 6)),
            },
        )
        try:
            await audit.note(entry)
        except AuditError as error:
            log.error("shadow.unrecorded", extra={"fields": {"cause": type(error).__name__}})

    def alarm(shadow: Shadow) -> None:
        metrics.shadow_alarms.inc()
        task = asyncio.create_task(note(shadow))
        going_on.add(task)
        task.add_done_callback(going_on.discard)

    return alarm
