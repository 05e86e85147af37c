"""Which purges the log holds a record of. Looked up in every store the same way: at its start, for the list of
destroyed days must know all of them, and before a purge is recorded twice."""

from __future__ import annotations

from audit.store.port import DayView, StoreReader
from audit.vocabulary import LogEvent

_STATEMENT = "select about, seq from {record} where action = ? and phase <> 'outcome' order by seq"


def purges_of_day(view: DayView) -> list[tuple[str, int]]:
    """What each purge record written on a day is about, and its sequence number. Uses the index of actions."""
    return [(about, seq) for about, seq in view.select(_STATEMENT, (LogEvent.PURGE.value,))]


def all_purges(reader: StoreReader) -> list[tuple[str, int]]:
    """The same of all days, oldest first."""
    views = (reader.day(day) for day in reader.days())
    return [purge for view in views if view is not None for purge in purges_of_day(view)]
