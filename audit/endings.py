"""How requests ended, from the plain part of their outcomes: for whoever keeps books beside the log and compares.

Nothing here names a person or opens anything, so reading it is not recorded. Both functions see what is durable at the
moment they are asked, whichever process wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from audit.ids import day_of, parse_event_id
from audit.record import Phase, from_micros
from audit.store.port import DayView, Store, StoreReader

_COLUMNS = "seq, event_id, recorded_at, effect, credits"
# An outcome lies in its intent's day, so the days' numbers overlap: each day is asked, and the answers are merged.
_AFTER = f"select {_COLUMNS} from {{record}} where phase = 'outcome' and seq > ? order by seq limit ?"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One outcome. ``credits`` is what the record says that the request cost."""

    seq: int
    event_id: str
    at: datetime
    effect: str
    credits: int


async def endings_after(store: Store, seq: int, most: int) -> Sequence[Ending]:
    """The outcomes that follow a sequence number, oldest first, at most ``most``. Raises ``AuditUnavailable``."""

    def read(reader: StoreReader) -> list[Ending]:
        found: list[Ending] = []
        for view in _views(reader, reader.days()):
            if view.newest_seq() > seq:
                found += (_ending(values) for values in view.select(_AFTER, (seq, most)))
        return sorted(found, key=lambda ending: ending.seq)[:most]

    return await store.read(read)


async def endings_of(store: Store, event_ids: Iterable[str]) -> dict[str, Ending]:
    """The outcomes of these requests; a request without one is left out. Raises ``AuditUnavailable``."""
    wanted = [(event_id, parse_event_id(event_id)) for event_id in dict.fromkeys(event_ids)]

    def read(reader: StoreReader) -> dict[str, Ending]:
        found: dict[str, Ending] = {}
        days = sorted(reader.days(), reverse=True)
        views = {view.day: view for view in _views(reader, days)}
        for event_id, identifier in wanted:
            # The id tells its day but for a clock that was put right: then the others are asked too, newest first.
            hint = day_of(identifier)
            for day in sorted(days, key=lambda day: day != hint):
                rows = views[day].event(identifier.bytes) if day in views else []
                if rows:
                    last = rows[-1]
                    if last.phase == Phase.OUTCOME:
                        found[event_id] = Ending(
                            seq=last.seq,
                            event_id=event_id,
                            at=from_micros(last.recorded_at),
                            effect=last.effect,
                            credits=last.credits,
                        )
                    break
        return found

    return await store.read(read)


async def seq_before(store: Store, day: date) -> int:
    """The sequence number after which everything from ``day`` on lies. Raises ``AuditUnavailable``."""

    def read(reader: StoreReader) -> int:
        days = reader.days()
        later = [view.oldest_seq() for view in _views(reader, [found for found in days if found >= day])]
        earlier = [view.newest_seq() for view in _views(reader, [found for found in days if found < day][-1:])]
        return min(later) - 1 if later else max(earlier, default=-1)

    return await store.read(read)


def _views(reader: StoreReader, days: Iterable[date]) -> list[DayView]:
    return [view for day in days if (view := reader.day(day)) is not None]


def _ending(values: tuple[Any, ...]) -> Ending:
    seq, event_id, at, effect, credits = values
    return Ending(
        seq=seq, event_id=str(UUID(bytes=bytes(event_id))), at=from_micros(at), effect=effect, credits=credits
    )
