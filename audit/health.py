"""How the log is doing: figures for probes, metrics and alarms. Nothing here names a person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
