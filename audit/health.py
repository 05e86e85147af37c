"""How the log is doing: figures for probes, metrics and alarms. Nothing here names a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from audit.keys.ring import KeyRing
from audit.retention import count_records, days_past_retention
from audit.settings import AuditSettings
from audit.store.disk import Disk
from audit.store.files.integrator import Integrator
from audit.store.files.layout import Layout
from audit.store.files.writer import Writer

LOW_DISK_FRACTION = 0.20
CRITICAL_DISK_FRACTION = 0.10


class DiskState(StrEnum):
    """Headroom of the store's file system."""

    OK = "ok"
    LOW = "low"  # below 20 %: alarm
    CRITICAL = "critical"  # below 10 %: alarm louder
    REFUSING = "refusing"  # intents are refused; outcomes, reads and purge go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One moment of a running log."""

    writable: bool  # would an intent be taken now?
    backlog: int  # records waiting for the writer
    behind: int  # durable records not yet in the stored tree
    open_tickets: int
    checkpoint_size: int
    checkpoint_age_seconds: float | None  # None before the first; grows while nothing is written
    disk_free_fraction: float
    disk_state: DiskState
    days_past_retention: int  # should be 0: purge is overdue
    records_past_retention: int
    write_failures: int
    tree_failures: int
    witness_failures: int


def disk_state(free_fraction: float, refuse_fraction: float) -> DiskState:
    if free_fraction < refuse_fraction:
        return DiskState.REFUSING
    if free_fraction < CRITICAL_DISK_FRACTION:
        return DiskState.CRITICAL
    return DiskState.LOW if free_fraction < LOW_DISK_FRACTION else DiskState.OK


def measure(
    layout: Layout,
    ring: KeyRing,
    disk: Disk,
    writer: Writer,
    integrator: Integrator,
    *,
    open_tickets: int,
    settings: AuditSettings,
    now: datetime,
) -> Health:
    """Look at every part of a running log."""
    due = days_past_retention(layout, ring, now, settings.retention_days)
    latest = integrator.latest
    free = disk.free_fraction(layout.directory)
    state = disk_state(free, settings.disk_refuse_fraction)
    return Health(
        writable=writer.is_open and state is not DiskState.REFUSING and writer.backlog() < settings.max_pending,
        backlog=writer.backlog(),
        behind=integrator.behind(),
        open_tickets=open_tickets,
        checkpoint_size=latest[0].size if latest else 0,
        checkpoint_age_seconds=(now - latest[1]).total_seconds() if latest else None,
        disk_free_fraction=free,
        disk_state=state,
        days_past_retention=len(due),
        records_past_retention=sum(count_records(layout.day_path(day), day) for day in due),
        write_failures=writer.failures,
        tree_failures=integrator.failures,
        witness_failures=integrator.witness_failures,
    )
