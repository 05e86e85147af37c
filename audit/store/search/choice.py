"""Which of its conditions leads through a day: the rarest, found by counting, each up to a bound.

What a count costs is what it looks at. A plain index counts a thousand entries in no time. The records of a blind token
may lie anywhere in the day, a page of the disk each: so they are counted up to a few first, and up to more only where
that does not decide. What is cheap in which store, ``SearchCosts`` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from audit.query import Condition
from audit.store.port import DayView, SearchCosts, StoreReader
from audit.store.search.filters import is_blind
from audit.store.search.sql import Sql, join, select, wrapped
from audit.store.search.tokens import Tokens

_RARE: Final = 50  # no need to look for a rarer one
_COUNTED: Final = 1_000  # entries of a plain index that are counted; more is "many"
_MANY: Final = 2**62
_SPARSE_WEIGHT: Final = (
    2**61
)  # many entries of a plain index, yet few of all that a token's walk in order would look at
# Looking whether a token is rarer than a plain index with so few entries costs this share of walking that at most.
_WORTH_COUNTING: Final = 4


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk through one index, in the order of ``head``."""

    source: Sql
    head: str  # the head's sequence number: d.head_seq, or a column of h where the walk is over heads themselves
    where: tuple[Sql, ...] = ()
    frequent: Walk | None = None  # the same for a token that many records have, if that is another walk

    @property
    def is_over_heads(self) -> bool:
        return self.head.startswith("h.")

    @property
    def heads(self) -> Sql:
        """The walk by itself."""
        return select(self.head, self.source, self.where)


@dataclass(frozen=True, slots=True)
class Lead:
    """The condition that leads: its walks, and whether they find exactly what it asks for."""

    walks: tuple[Walk, ...]
    condition: Condition | None = None
    is_exact: bool = False

    @property
    def is_blind(self) -> bool:
        return self.condition is not None and is_blind(self.condition)

    @property
    def has_two_ways(self) -> bool:
        return any(walk.frequent is not None for walk in self.walks)

    def for_many(self) -> Lead:
        """The same, for more than a few records."""
        return replace(self, walks=tuple(walk.frequent or walk for walk in self.walks))


@dataclass(frozen=True, slots=True)
class Part:
    """One day of a search, before it is planned. ``before_seq``: where it begins, downwards."""

    view: DayView
    tokens: Tokens
    before_seq: int


def choose(
    reader: StoreReader, days: Sequence[tuple[Part, Sequence[Lead]]], habit: Condition | None = None
) -> list[Lead]:
    """The lead of each day: of those that are many, the first. ``habit``: what led on all days before."""
    chosen = [leads[0] for _, leads in days]
    costs = [part.view.costs for part, _ in days]
    settled = _by_habit(reader, days, habit) if habit is not None and not is_blind(habit) else {}
    for at, lead in settled.items():
        chosen[at] = lead
    bounds = {
        at: _Bounds(_RARE, _COUNTED) for at, (_, leads) in enumerate(days) if len(leads) > 1 and at not in settled
    }
    for at, counts in _counted(reader, days, bounds):
        leads = days[at][1]
        weights = [bounds[at].weight(lead, count, costs[at]) for lead, count in zip(leads, counts, strict=True)]
        best = min(range(len(leads)), key=lambda number: (weights[number], number))
        chosen[at] = leads[best]
        of_tokens = min(costs[at].frequent, weights[best] // _WORTH_COUNTING)
        if of_tokens <= _RARE:
            del bounds[at]
        else:
            bounds[at] = _Bounds(of_tokens, max(_COUNTED, costs[at].sparse))
    for at, (_, leads) in enumerate(days):
        if len(leads) == 1 and leads[0].has_two_ways:  # with conditions beside it that can't lead
            bounds[at] = _Bounds(costs[at].frequent, _COUNTED)
    for at, counts in _counted(reader, days, bounds):
        leads = days[at][1]
        weights = [bounds[at].weight(lead, count, costs[at]) for lead, count in zip(leads, counts, strict=True)]
        best = min(range(len(leads)), key=lambda number: (weights[number], number))
        chosen[at] = leads[best].for_many() if weights[best] == _MANY else leads[best]
    return chosen


def _by_habit(reader: StoreReader, days: Sequence[tuple[Part, Sequence[Lead]]], habit: Condition) -> dict[int, Lead]:
    """Days that are left to what led before without counting tokens against it, which costs as much as it would save:
    those on which it is no more than what is counted of a plain index, so that a day unlike the others costs little."""
    leads = {
        at: lead for at, (_, leads) in enumerate(days) if len(leads) > 1 for lead in leads if lead.condition is habit
    }
    alone = [(part, [leads[at]] if at in leads else []) for at, (part, _) in enumerate(days)]
    counted = _counted(reader, alone, dict.fromkeys(leads, _Bounds(_RARE, _COUNTED)))
    return {at: leads[at] for at, (count,) in counted if count < _COUNTED}


def fetch_few(reader: StoreReader, days: Sequence[tuple[Part, Lead]], limit: int) -> list[list[int] | None]:
    """``head_seq`` of what the lead of each day walks over, without repeats, the newest so many, newest first; ``None``
    where all of that is many. Costs what counting them would."""
    asked = []
    for part, lead in days:
        walked = wrapped("with t as materialized (", _walks(lead), " limit ?)", part.view.costs.frequent)
        statement = wrapped(
            "",
            walked,
            " select head_seq, (select count(*) from t) as number from t"
            " group by head_seq order by head_seq desc limit ?",
            limit,
        )
        asked.append((part.view, statement.text, statement.parameters))
    found: list[list[int] | None] = [[] for _ in days]
    for at, (head, number) in reader.select_each(asked):
        heads = found[at]
        if number >= days[at][0].view.costs.frequent:
            found[at] = None
        elif heads is not None:
            heads.append(head)
    return [None if heads is None else sorted(heads, reverse=True) for heads in found]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How far the records of one day are counted."""

    of_tokens: int
    of_plain: int

    def of(self, lead: Lead) -> int:
        return self.of_tokens if lead.is_blind else self.of_plain

    def weight(self, lead: Lead, count: int, costs: SearchCosts) -> int:
        """What it would cost to let this one lead, which has so many as far as they were counted."""
        if count >= self.of(lead):
            return _MANY
        if lead.is_blind:
            return max(count, _RARE)
        return _SPARSE_WEIGHT if count >= _COUNTED else max(count * costs.plain, _RARE)


def _counted(
    reader: StoreReader, days: Sequence[tuple[Part, Sequence[Lead]]], bounds: Mapping[int, _Bounds]
) -> list[tuple[int, Sequence[int]]]:
    """How many records each candidate of these days walks over: asked of all days at once, each up to its bound."""
    asked, at = [], list(bounds)
    for number in at:
        part, leads = days[number]
        # Each count with a name of its own: of several days they are put together.
        counts = [
            wrapped(
                "(select count(*) from (",
                _walks(lead),
                f" limit ?) c) as n{name}",
                bounds[number].of(lead),
            )
            for name, lead in enumerate(leads)
        ]
        statement = wrapped("select ", join(", ", counts), "")
        asked.append((part.view, statement.text, statement.parameters))
    return [(at[number], counts) for number, counts in reader.select_each(asked)]


def _walks(lead: Lead) -> Sql:
    return join(" union all ", [walk.heads for walk in lead.walks])
