"""Searching a store, whatever it is made of: newest days first, each day led by its rarest condition.

A person's token differs from day to day, and asking for any of thirty tokens ordered by time made the prototype some
300 times slower: so each day is asked for its own. The newest day is asked alone, for whoever is often there fills a
page from it; then ever more days at a time, each for a page at most, for whoever came on few days is not worth a trip
to the database for each day he did not come on.

``plan.py`` how a day is searched, ``filters.py`` conditions as SQL, ``tokens.py`` blind tokens, ``counting.py`` counts,
``rows.py`` lines of a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from itertools import chain, count, groupby, repeat
from operator import itemgetter

from audit.keys.ring import KeyRing
from audit.query import Count, FacetValue, Query, RequestRow
from audit.query.cursor import Cursor
from audit.row import Row
from audit.store.port import StoreReader
from audit.store.search.choice import Part
from audit.store.search.counting import Counting
from audit.store.search.filters import holds_on, is_blind
from audit.store.search.plan import DayPlan, led_all, plan_days
from audit.store.search.rows import halves_of, read_halves, request_row, subject_of
from audit.store.search.tokens import DayClasses, Tokens

__all__ = ["Found", "Search", "request_row", "subject_of"]


# Days that are asked at once. Few different numbers: a store may remember how it ran a text.
_DAYS_AT_ONCE = (1, 8, 21)


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
        plans: list[DayPlan] = []
        heads: list[tuple[int, int]] = []  # place of the day, sequence number
        for some in self._plans(reader, self._after):
            for place, of_day in enumerate(_heads(reader, some, limit + 1 - len(heads)), start=len(plans)):
                heads += ((place, seq) for seq in of_day)
                if len(heads) > limit:
                    break
            plans += some
            if len(heads) > limit:
                break
        found = _halves(reader, plans, heads[: limit + 1])
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
        for plan in chain.from_iterable(self._plans(reader, None)):
            if counting.is_done:
                break
            counting.add(plan)
        return counting.result()

    def _plans(self, reader: StoreReader, after: Cursor | None) -> Iterator[list[DayPlan]]:
        """How to search the days that can hold a match, newest first, some at a time."""
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
        numbers = chain(_DAYS_AT_ONCE, repeat(_DAYS_AT_ONCE[-1]))
        habit = None
        while days:
            number = next(numbers)
            asked, days = days[:number], days[number:]
            parts = []
            for day in asked:
                view = reader.day(day)
                if view is not None:
                    tokens = self._classes.on(day) if self._is_blind else Tokens(())
                    before_seq = self._horizon
                    if after is not None and day == after.day:
                        before_seq = min(after.seq, self._horizon)
                    parts.append(Part(view, tokens, before_seq))
            plans = plan_days(query, reader, parts, habit)
            habit = led_all(plans)
            yield plans


def _heads(reader: StoreReader, plans: Sequence[DayPlan], limit: int) -> Iterator[Sequence[int]]:
    """The newest matches of one day after the other: those that planning found, and those that are asked for now."""
    asked = []
    for plan in plans:
        if plan.heads is None:
            sql = plan.newest(limit)
            asked.append((plan.view, sql.text, sql.parameters))
    found = groupby(reader.select_each(asked), key=itemgetter(0))
    places = count()  # among those that are asked
    waiting: tuple[int, list[int]] | None = None
    for plan in plans:
        if plan.heads is not None:
            yield plan.heads[:limit]
            continue
        if waiting is None:  # not before it is wanted: a store may ask one day after the other
            place, rows = next(found, (-1, iter(())))
            waiting = place, sorted((seq for _, (seq,) in rows), reverse=True)
        if waiting[0] == next(places):
            yield waiting[1]
            waiting = None
        else:
            yield []


def _halves(
    reader: StoreReader, plans: Sequence[DayPlan], heads: Sequence[tuple[int, int]]
) -> list[tuple[date, Row, Row | None]]:
    """Of those that are shown, both halves, in the same order: all at the one moment that the reader sees, and asked of
    all days that were searched, for a store may remember how it ran a text."""
    if not heads:
        return []
    shown: list[list[int]] = [[] for _ in plans]
    for number, seq in heads:
        shown[number].append(seq)
    statements = [halves_of(plan.view, seqs) for plan, seqs in zip(plans, shown, strict=True)]
    asked = [(plan.view, sql.text, sql.parameters) for plan, sql in zip(plans, statements, strict=True)]
    found = [(number, *read_halves(values)) for number, values in reader.select_each(asked)]
    found.sort(key=lambda match: (match[0], -match[1].seq))
    return [(plans[number].view.day, head, outcome) for number, head, outcome in found]
