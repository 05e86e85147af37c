"""How one day is searched: which condition leads through the day, and what the others filter.

Walking an index newest first and stopping after a page is what keeps a search fast; which index, decides the rest.
Several walks (a person in two classes of records, two effects, the codes of a family) are merged by ``union all`` and
``order by``, which SQLite and PostgreSQL do without sorting where each walk has its order.

The rarest condition leads. How rare each is, is counted up to a bound, which costs less than walking the wrong one; of
those beyond the bound, what blind tokens find goes first, then effect, reason, action. Without any, all records are
walked. Where a store finds the records of a token in no order, the count also tells whether to fetch them all or to
walk the day and look at each; where nothing but a token is asked for, they are fetched instead of counted.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from audit.query import Condition, Field, Query
from audit.query.fields import OPEN, PREFIX
from audit.store.port import DayView, StoreReader, TokenSource
from audit.store.search.choice import Lead, Part, Walk, choose, fetch_few
from audit.store.search.filters import created_between, filter_of, hangs_on_head, is_blind
from audit.store.search.sql import Sql, all_of, join, select, wrapped
from audit.store.search.tokens import Tokens

_MOST_WALKS: Final = 64
OUTCOME_JOIN: Final = " left join {record} o on o.head_seq = h.seq and o.phase = 'outcome'"
_IS_HEAD: Final = Sql("h.phase <> 'outcome'")
_COPIES: Final = 2  # an index may name an event once for each of its halves


@dataclass(frozen=True, slots=True)
class DayPlan:
    """How a day is searched for one query."""

    lead: Lead
    filters: tuple[Condition, ...]
    query: Query = field(repr=False)
    view: DayView = field(repr=False)
    tokens: Tokens = field(repr=False)
    heads: Sequence[int] | None = None
    """``head_seq`` of the events that match, newest first, one more than fit a page, where planning found them."""

    def newest(self, limit: int) -> Sql:
        """``head_seq`` of the newest events that match, without repeats, newest first."""
        merged = self.merged(limit * len(self.lead.walks) * _COPIES)
        return wrapped("select head_seq from (", merged, ") w group by head_seq order by head_seq desc limit ?", limit)

    def merged(self, limit: int) -> Sql:
        """The same with repeats: all walks in one order, without sorting them."""
        walks = [self._matching(walk) for walk in self.lead.walks]
        if len(walks) > 1 and not self.view.walks_tokens_in_order:
            # PostgreSQL gives no order to a part of a union that does not ask for one; SQLite would sort for it.
            ends = " order by head_seq desc limit ?) w"
            walks = [wrapped("select head_seq from (", walk, ends, limit) for walk in walks]
        return wrapped("", join(" union all ", walks), " order by head_seq desc limit ?", limit)

    def walked(self, limit: int) -> Sql:
        """``head_seq`` of the newest events that the lead walks over, whether they match or not, perhaps repeated."""
        return wrapped(
            "", join(" union all ", [walk.heads for walk in self.lead.walks]), " order by head_seq desc limit ?", limit
        )

    def conditions(self, head: str, filters: Sequence[Condition] | None = None) -> Sql:
        """What ``h`` and ``o`` must fulfil beside being walked over: ``filters``, else all."""
        since, until = self.query.created_from, self.query.created_to
        asked = self.filters if filters is None else filters
        return all_of(
            [
                Sql("h.tenant = ?", (self.query.tenant,)),
                *created_between(since, until),
                *(filter_of(condition, self.view, self.tokens, head) for condition in asked),
            ]
        )

    def _matching(self, walk: Walk) -> Sql:
        source, where, joins = walk.source, walk.where, ""
        late = self.filters
        if not walk.is_over_heads:
            # What can be told of an event by its number is asked before its record is looked up.
            early = [condition for condition in self.filters if hangs_on_head(condition)]
            late = tuple(condition for condition in self.filters if not hangs_on_head(condition))
            if early:
                asked = [filter_of(condition, self.view, self.tokens, walk.head) for condition in early]
                source, where = wrapped("(", select(walk.head, source, (*where, *asked)), ") d"), ()
            # Neither store may begin with the records: SQLite is kept from it by the cross join, PostgreSQL by the sum,
            # without which their order would be as good as that of the walk.
            joins, where = " cross join {record} h", (Sql(f"h.seq = {walk.head} + 0"), *where)
        conditions = self.conditions(walk.head, late)
        if "o." in conditions.text:
            joins += OUTCOME_JOIN
        return select(walk.head, wrapped("", source, joins), (*where, conditions))


def plan_days(
    query: Query, reader: StoreReader, parts: Sequence[Part], habit: Condition | None = None
) -> list[DayPlan]:
    """The plans of those of the days where something can match. What must be counted is asked of all days at once.
    ``habit``: what led on the days before (``led_all``)."""
    is_blind_query = any(is_blind(condition) for condition in query.conditions)
    days: list[tuple[Part, list[Lead]]] = []
    for part in parts:
        if is_blind_query and not part.tokens.classes:
            continue  # no keys: nobody can say who or what is in this day any more
        leads = list(_leads(query, part))
        if all(lead.walks for lead in leads):  # else no record of the day has a code of that family
            days.append((part, leads or [_all_heads(part.before_seq)]))
    if _asks_for_tokens_alone(query, days):
        # A token is of one tenant: whatever has it matches.
        found = fetch_few(reader, [(part, leads[0]) for part, leads in days], query.limit + 1)
        return [
            _plan(query, part, lead.for_many() if heads is None else lead, heads)
            for (part, (lead,)), heads in zip(days, found, strict=True)
        ]
    return [_plan(query, part, lead) for (part, _), lead in zip(days, choose(reader, days, habit), strict=True)]


def led_all(plans: Sequence[DayPlan]) -> Condition | None:
    """The condition that leads on each of these days, if one does."""
    conditions = [plan.lead.condition for plan in plans]
    return conditions[0] if conditions and all(condition is conditions[0] for condition in conditions) else None


def _asks_for_tokens_alone(query: Query, days: Sequence[tuple[Part, Sequence[Lead]]]) -> bool:
    """Is a match whatever has a token of the only lead, in a store that finds those of many in another way?"""
    others = [condition for condition in query.conditions if condition.field is not Field.DAY]
    return (
        len(others) == 1
        and query.created_from is query.created_to is None
        and all(len(leads) == 1 and leads[0].is_exact and leads[0].has_two_ways for _, leads in days)
    )


def _plan(query: Query, part: Part, lead: Lead, heads: Sequence[int] | None = None) -> DayPlan:
    filters = tuple(
        condition
        for condition in query.conditions
        if condition.field is not Field.DAY  # it was asked before: see ``holds_on``
        and not (lead.is_exact and condition is lead.condition)
    )
    return DayPlan(lead, filters, query, part.view, part.tokens, heads)


def _leads(query: Query, part: Part) -> Iterator[Lead]:
    """What could lead, best first as far as that is known without looking. An id alone is always best."""
    view, tokens, before_seq = part.view, part.tokens, part.before_seq
    positive = [condition for condition in query.conditions if not condition.negated]
    by_field: dict[Field, list[Condition]] = {}
    for condition in positive:
        by_field.setdefault(condition.field, []).append(condition)
    for condition in by_field.get(Field.ID, [])[:1]:
        yield Lead(tuple(_id_walk(value, before_seq) for value in condition.values), condition)
        return
    for condition in positive:
        if is_blind(condition):
            yield from _token_leads(condition, view, tokens, before_seq)
    for condition in by_field.get(Field.EFFECT, []):
        if OPEN not in condition.values:
            walks = [_effect_walk(value, before_seq) for value in condition.values]
            yield Lead(tuple(walks), condition, is_exact=True)
    for name, source, walk in (
        (Field.REASON, _REASONS, _reason_walk),
        (Field.ACTION, _ACTIONS, _action_walk),
    ):
        for condition in by_field.get(name, []):
            codes = _codes(view, source, condition.values)
            if len(codes) <= _MOST_WALKS:
                yield Lead(tuple(walk(code, before_seq) for code in codes), condition, is_exact=True)


def _token_leads(condition: Condition, view: DayView, tokens: Tokens, before_seq: int) -> Iterator[Lead]:
    """Of several values, all must be walked; of a phrase, any of its words will do."""
    if condition.field is not Field.TEXT:
        found = [token for value in condition.values for token in tokens.of(condition.field, value)]
        yield Lead(tuple(_token_walk(view, token, before_seq) for token in found), condition, is_exact=True)
        return
    phrases = [value.split(" ") for value in condition.values]
    for number in range(len(phrases[0]) if len(phrases) == 1 else 1):
        found = [token for words in phrases for token in tokens.of(Field.TEXT, words[number])]
        is_exact = all(len(words) == 1 for words in phrases)
        yield Lead(tuple(_token_walk(view, token, before_seq) for token in found), condition, is_exact)


def _token_walk(view: DayView, token: bytes, before_seq: int) -> Walk:
    few = _walk_of(view.token_source([token], before_seq))
    return few if view.walks_tokens_in_order else replace(few, frequent=_walk_of(view.token_walk(token, before_seq)))


def _walk_of(source: TokenSource) -> Walk:
    where = [Sql(source.where_sql, source.where_parameters)] if source.where_sql else []
    inner = select(source.order_column, Sql(source.from_sql, source.from_parameters), where)
    return Walk(wrapped("(", inner, ") d"), "d.head_seq")


def _effect_walk(value: str, before_seq: int) -> Walk:
    where = Sql("e.effect = ? and e.effect <> '' and e.head_seq < ?", (value, before_seq))
    return Walk(wrapped("(", select("e.head_seq", Sql("{record} e"), [where]), ") d"), "d.head_seq")


def _reason_walk(code: str, before_seq: int) -> Walk:
    where = Sql("r.code = ? and r.head_seq < ?", (code, before_seq))
    return Walk(wrapped("(", select("r.head_seq", Sql("{reason} r"), [where]), ") d"), "d.head_seq")


def _action_walk(code: str, before_seq: int) -> Walk:
    return Walk(Sql("{record} h"), "h.head_seq", (Sql("h.action = ? and h.head_seq < ?", (code, before_seq)), _IS_HEAD))


def _id_walk(value: str, before_seq: int) -> Walk:
    event_id = uuid.UUID(value).bytes
    return Walk(Sql("{record} h"), "h.seq", (Sql("h.event_id = ? and h.seq < ?", (event_id, before_seq)), _IS_HEAD))


def _all_heads(before_seq: int) -> Lead:
    return Lead((Walk(Sql("{record} h"), "h.seq", (Sql("h.seq < ?", (before_seq,)), _IS_HEAD)),))


# Distinct codes of a day by skipping from one to the next in the index, instead of reading all entries.
_REASONS: Final = ("{reason} x where", "code")
_ACTIONS: Final = ("{record} x where x.phase <> 'outcome' and", "action")


def _codes(view: DayView, source: tuple[str, str], values: Sequence[str]) -> list[str]:
    """The codes that the values mean on this day: families become the codes there are."""
    table, column = source
    found = {value: None for value in values if not value.endswith(PREFIX)}
    for value in values:
        if value.endswith(PREFIX):
            start = value.removesuffix(PREFIX)
            statement = (
                f"with recursive c (code) as (select min(x.{column}) from {table} x.{column} >= ?"  # noqa: S608
                f" union all select (select min(x.{column}) from {table} x.{column} > c.code)"
                " from c where c.code is not null) select code from c where code is not null"
            )
            found.update((code, None) for (code,) in view.select(statement, (start,)) if code.startswith(start))
    return list(found)
