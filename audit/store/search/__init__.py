"""Searching a store, whatever it is made of: day by day, newest first, each day led by its rarest condition.

One statement over all days is not tried on purpose: a person's token differs from day to day, and asking for any of
thirty tokens ordered by time made the prototype some 300 times slower.

``plan.py`` how a day is searched, ``filters.py`` conditions as SQL, ``tokens.py`` blind tokens, ``counting.py`` counts,
``rows.py`` lines of a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date

from audit.keys.ring import KeyRing
from audit.query import Count, FacetValue, Query, RequestRow
from audit.query.cursor import Cursor
from audit.row import Row
from audit.store.port import StoreReader
from audit.store.search.counting import Counting
from audit.store.search.filters import holds_on, is_blind, needed_tokens
from audit.store.search.plan import DayPlan, plan_day
from audit.store.search.rows import halves_of, read_halves, request_row, subject_of
from audit.store.search.tokens import DayClasses, Tokens

__all__ = ["Found", "Search", "request_row", "subject_of"]


# Days that are looked into before the store is asked which of the others can hold a match at all: whoever came lately
# is found without that question, and whoever did not is looked for once, not day by day.
_LOOKED_INTO = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What one page holds, before it is joined with the record of the access."""

    rows: tuple[RequestRow, ...]
    next_cursor: str | None
    count: Count | None
    facets: Mapping[str, tuple[FacetValue, ...]]


class Search:
    """Runs one query in a reader's thread."""

    def __init__(self, query: Query, ring: KeyRing, access_seq: int) -> None:
        """``access_seq``: the search's own record of access, which the first page stays before. Later pages stay
        before that of the first: what begins meanwhile moves nothing."""
        self._query = query
        self._ring = ring
        self._after = Cursor.parse(query.cursor, query.binding()) if query.cursor else None
        self._horizon = min(access_seq, self._after.horizon) if self._after else access_seq
        self._classes = DayClasses(ring, query.tenant)
        self._is_blind = any(is_blind(condition) for condition in query.conditions)

    def __call__(self, reader: StoreReader) -> Found:
        """The rows of one page, newest first, the cursor of the next, and counts if they are asked for."""
        limit = self._query.limit
        found: list[tuple[date, Row, Row | None]] = []
        for plan in self._plans(reader, self._after):
            statement = halves_of(plan.newest(limit + 1 - len(found)))
            for values in plan.view.select(statement.text, statement.parameters):
                found.append((plan.view.day, *read_halves(values)))
            if len(found) > limit:
                break
        page, cursor = found[:limit], None
        if len(found) > limit:
            day, last, _ = page[-1]
            cursor = Cursor(day, last.seq, self._horizon).text(self._query.binding())
        rows = tuple(request_row(head, outcome, self._ring) for _, head, outcome in page)
        if not self._query.with_facets:
            return Found(rows, cursor, None, {})
        return Found(rows, cursor, *self._count(reader))

    def _count(self, reader: StoreReader) -> tuple[Count, Mapping[str, tuple[FacetValue, ...]]]:
        """Of all pages, whichever is shown."""
        counting = Counting()
        for plan in self._plans(reader, None):
            if counting.is_done:
                break
            counting.add(plan)
        return counting.result()

    def _plans(self, reader: StoreReader, after: Cursor | None) -> Iterator[DayPlan]:
        """How to search the days that can hold a match, newest first."""
        query = self._query
        first = query.created_from.astimezone(UTC).date() if query.created_from else date.min
        last = query.created_to.astimezone(UTC).date() if query.created_to else date.max
        if after is not None:
            last = min(last, after.day)
        days = [
            day
            for day in reversed(reader.days())
            if first <= day <= last and all(holds_on(condition, day) for condition in query.conditions)
        ]
        holding: set[date] | None = None
        for number, day in enumerate(days):
            if number == _LOOKED_INTO and self._is_blind:
                holding = self._holding(reader, days[number:])
            if holding is not None and day not in holding:
                continue
            view = reader.day(day)
            if view is None:
                continue
            before_seq = min(after.seq, self._horizon) if after is not None and day == after.day else self._horizon
            plan = plan_day(query, view, self._classes.on(day) if self._is_blind else Tokens(()), before_seq)
            if plan is not None:
                yield plan

    def _holding(self, reader: StoreReader, days: list[date]) -> set[date]:
        """Days that have a record for each condition that is looked up by blind tokens."""
        asked: dict[date, list[list[bytes]]] = {}
        for day in days:
            tokens = self._classes.on(day)
            if tokens.classes:  # else nobody can be found there any more
                asked[day] = [
                    group
                    for condition in self._query.conditions
                    if is_blind(condition) and not condition.negated
                    for group in needed_tokens(condition, tokens)
                ]
        return reader.days_holding(asked)
