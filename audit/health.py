"""How the log is doing: figures for probes, metrics and alarms. Nothing here names a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from audit.errors import AuditUnavailable, StoreError
from audit.retention import Retention
from audit.settings import AuditSettings
from audit.store.port import Store

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
    readable: bool  # False: the store did not answer; what it alone knows is as it was when it last did
    backlog: int  # records waiting for the writer
    behind: int  # durable records not yet in the stored tree
    open_tickets: int
    checkpoint_size: int
    checkpoint_age_seconds: float | None  # None before the first; grows while nothing is written
    disk_free_fraction: float
    disk_state: DiskState
    days_past_retention: int  # should be 0: purge is overdue
    records_past_retention: int  # with their sealed parts still here, holds apart; should be 0
    oldest_readable_day: date | None  # None without any day keys
    next_purge_at: datetime | None
    last_purge_age_seconds: float | None  # None before the first
    held_records: int  # readable past retention under a hold
    purge_failures: int
    retention_clock_trusted: bool  # False: the clock leapt ahead, nothing is destroyed until that is cleared up
    destroyed_list_intact: bool  # False: the list of destroyed days was replaced by an older one; put it back
    write_failures: int
    tree_failures: int
    witness_failures: int


def disk_state(free_fraction: float, refuse_fraction: float) -> DiskState:
    if free_fraction < refuse_fraction:
        return DiskState.REFUSING
    if free_fraction < CRITICAL_DISK_FRACTION:
        return DiskState.CRITICAL
    return DiskState.LOW if free_fraction < LOW_DISK_FRACTION else DiskState.OK


class Gauge:
    """Looks at a running log, also while its store is away."""

    def __init__(self, store: Store, settings: AuditSettings, retention: Retention) -> None:
        self._store = store
        self._settings = settings
        self._retention = retention
        self._last: Health | None = None

    def measure(self, now: datetime) -> Health:
        """All figures. Blocks: reads disk or database. Never raises because those fail: that is what one asks for."""
        try:
            self._last = _measure(self._store, self._settings, now, self._retention)
        except (AuditUnavailable, StoreError, OSError):
            return self._blind(now)
        return self._last

    def _blind(self, now: datetime) -> Health:
        latest = self._store.latest
        write_failures, tree_failures, witness_failures = self._store.failures()
        return replace(
            self._last or _NOTHING,
            writable=False,
            readable=False,
            backlog=self._store.backlog(),
            checkpoint_size=latest[0].size if latest else 0,
            checkpoint_age_seconds=(now - latest[1]).total_seconds() if latest else None,
            purge_failures=self._retention.failures,
            write_failures=write_failures,
            tree_failures=tree_failures,
            witness_failures=witness_failures,
        )


def _measure(store: Store, settings: AuditSettings, now: datetime, retention: Retention) -> Health:
    due = retention.due(now, is_thorough=False)
    listed = retention.listed(now)
    latest = store.latest
    free = store.free_fraction()
    state = disk_state(free, settings.disk_refuse_fraction)
    write_failures, tree_failures, witness_failures = store.failures()
    backlog = store.backlog()
    return Health(
        writable=store.is_writable and state is not DiskState.REFUSING and backlog < settings.max_pending,
        readable=True,
        backlog=backlog,
        behind=store.behind(),
        open_tickets=store.open_count(),
        checkpoint_size=latest[0].size if latest else 0,
        checkpoint_age_seconds=(now - latest[1]).total_seconds() if latest else None,
        disk_free_fraction=free,
        disk_state=state,
        days_past_retention=len(due),
        records_past_retention=retention.records_past(due),
        oldest_readable_day=listed.oldest_readable_day,
        next_purge_at=listed.next_purge_at,
        last_purge_age_seconds=(now - listed.last_purge_at).total_seconds() if listed.last_purge_at else None,
        held_records=listed.held_records,
        purge_failures=retention.failures,
        retention_clock_trusted=retention.is_clock_trusted,
        destroyed_list_intact=not store.ring.destroyed.is_rolled_back,
        write_failures=write_failures,
        tree_failures=tree_failures,
        witness_failures=witness_failures,
    )


_NOTHING = Health(
    writable=False,
    readable=False,
    backlog=0,
    behind=0,
    open_tickets=0,
    checkpoint_size=0,
    checkpoint_age_seconds=None,
    disk_free_fraction=1.0,
    disk_state=DiskState.OK,
    days_past_retention=0,
    records_past_retention=0,
    oldest_readable_day=None,
    next_purge_at=None,
    last_purge_age_seconds=None,
    held_records=0,
    purge_failures=0,
    retention_clock_trusted=True,
    destroyed_list_intact=True,
    write_failures=0,
    tree_failures=0,
    witness_failures=0,
)
