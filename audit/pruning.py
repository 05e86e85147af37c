"""Pruning: what is left of days long purged goes too, and the log begins later.

After its purge a record still is an envelope, digests and a leaf: some 400 bytes that everybody's proofs lean on. When
nobody needs proofs of such old records any more, they can go. What stays is each full tile's root (C2SP tlog-tiles,
minimum index), so that proofs of newer records, and consistency with every old checkpoint, hold as before.

The record that says so is durable before anything goes; ``verify`` takes missing records without one for an attack.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date

from audit.errors import StoreError
from audit.log import AuditLog
from audit.record import Effect, Entry, Phase, RecordRef, Subject
from audit.vocabulary import LogEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReceipt:
    """What one pruning did. ``record`` is ``None`` if there was nothing to prune."""

    minimum_index: int  # number of the first record that is left
    days: tuple[date, ...]  # days that went, whole or but for late outcomes
    record: RecordRef | None


async def prune(log: AuditLog, before: date, by: Subject) -> PruneReceipt:
    """Remove what is left of the days before ``before``. All of them must be purged, space freed.

    Raises ``StoreError`` if one is not, ``AuditUnavailable`` if it cannot be put on record.
    """
    store = log.store
    days = await asyncio.to_thread(store.days)
    old = [day for day in days if day < before]
    for day in old:
        if not log.store.ring.is_destroyed(day) or not await asyncio.to_thread(store.is_freed, day, None):
            raise StoreError(f"{day.isoformat()} still holds sealed content: it is purged first")
    kept = [day for day in days if day >= before]
    if not old or not kept:
        return PruneReceipt(minimum_index=0, days=(), record=None)
    # Late outcomes of an old day lie between the first records of the next: they stay, and so do their heads' numbers.
    minimum = await asyncio.to_thread(lambda: min(store.first_seq(day) for day in kept))
    left = await asyncio.to_thread(lambda: [day for day in old if store.count(day) and store.first_seq(day) < minimum])
    if not left:
        return PruneReceipt(minimum_index=minimum, days=(), record=None)
    entry = Entry(
        action=LogEvent.PRUNE,
        subject=by,
        effect=Effect.ALLOW,
        content={"before": before.isoformat(), "minimum_index": minimum},
    )
    record = await log.note(entry, Phase.PURGE, about=str(minimum))
    # In the signed tree before anything goes, and with it every record below, those that go among them.
    await asyncio.to_thread(store.prove, [record.seq])
    await asyncio.to_thread(store.prune, minimum)
    return PruneReceipt(minimum_index=minimum, days=tuple(left), record=record)
