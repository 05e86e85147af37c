"""Conditions as SQL over one event: its head ``h`` and its outcome ``o``, which may be missing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

from audit.query import RULES, Condition, Field
from audit.query.fields import OPEN, PREFIX
from audit.query.values import read_days, read_numbers, read_times
from audit.record import ABOVE_ALL_BUCKETS_MS, Phase, to_micros
from audit.store.port import DayView
from audit.store.search.sql import Sql, all_of, any_of, inverted, one_of, select, wrapped
from audit.store.search.tokens import Tokens

# The effect of an event: that of its outcome, or its own if it has one phase.
EFFECT: Final = "coalesce(nullif(o.effect, ''), h.effect)"
_LATENCY: Final = "coalesce(o.latency_bucket_ms, h.latency_bucket_ms)"
_NO_END: Final = 2**62
# Unknown latencies lie below every span, those above all buckets within every open one.
_LATENCY_BOUND: Final = (
    f"coalesce(case when {_LATENCY} = {ABOVE_ALL_BUCKETS_MS} then {_NO_END - 1} else {_LATENCY} end, -1)"
)
_HALVES: Final[Mapping[Field, str]] = {
    Field.MODEL: "model",
    Field.BUNDLE: "bundle_revision",
    Field.ABOUT: "about",
    Field.NODE: "node",
    Field.CLASS: "class_",
}


def is_blind(condition: Condition) -> bool:
    """Is it looked up by blind tokens?"""
    return bool(RULES[condition.field].term_kind)


def holds_on(condition: Condition, day: date) -> bool:
    """Can a condition on the day hold on this one? True for every other condition."""
    if condition.field is not Field.DAY:
        return True
    spans = [read_days(value) for value in condition.values]
    return any(first <= day <= last for first, last in spans) is not condition.negated


def hangs_on_head(condition: Condition) -> bool:
    """Does ``filter_of`` ask for nothing but the head's number, of indexes?"""
    if is_blind(condition):
        return not condition.negated
    if condition.field is Field.EFFECT:
        return OPEN not in condition.values
    return condition.field is Field.REASON and not any(value.endswith(PREFIX) for value in condition.values)


def filter_of(condition: Condition, view: DayView, tokens: Tokens, head: str) -> Sql:
    """What an event must fulfil; ``head`` is the column with its head's sequence number.

    Only for days whose keys exist, if the condition is blind.
    """
    if is_blind(condition):
        found = any_of(_has_all(condition, value, view, tokens, head) for value in condition.values)
        return all_of([inverted(found), _is_whole(tokens.classes)]) if condition.negated else found
    if hangs_on_head(condition):
        has = _has_effect if condition.field is Field.EFFECT else _has_reason
        found = has(condition.values, head)
    else:
        found = any_of(_PLAIN[condition.field](condition.field, value) for value in condition.values)
    return inverted(found) if condition.negated else found


def created_between(since: datetime | None, until: datetime | None) -> list[Sql]:
    """Bounds of when it began."""
    bounds = []
    if since is not None:
        bounds.append(Sql("h.recorded_at >= ?", (to_micros(since),)))
    if until is not None:
        bounds.append(Sql("h.recorded_at < ?", (to_micros(until),)))
    return bounds


def _has_all(condition: Condition, value: str, view: DayView, tokens: Tokens, head: str) -> Sql:
    terms = value.split(" ") if condition.field is Field.TEXT else [value]
    return all_of(Sql(*view.has_token(tokens.of(condition.field, term), head)) for term in terms)


def _has_effect(values: Sequence[str], head: str) -> Sql:
    """By the index of effects, without looking at the records: one of the two halves has the effect of an event."""
    where = [one_of("e.effect", values), Sql(f"e.effect <> '' and e.head_seq = {head}")]
    return wrapped("exists (", select("1", Sql("{record} e"), where), ")")


def _has_reason(codes: Sequence[str], head: str) -> Sql:
    where = [one_of("r.code", codes), Sql(f"r.head_seq = {head}")]
    return wrapped("exists (", select("1", Sql("{reason} r"), where), ")")


def _is_whole(classes: Sequence[str]) -> Sql:
    """Of a record that was erased, or whose keys are gone, nobody can say that it was not somebody's."""
    sealed = "exists (select 1 from {{sealed}} s where s.seq = {half}.seq)"
    head, outcome = (
        wrapped("(", one_of(f"{half}.class_", classes), " and " + sealed.format(half=half) + ")") for half in "ho"
    )
    return all_of([head, wrapped("(o.seq is null or ", outcome, ")")])


def _equals(column: str, value: str) -> Sql:
    if value.endswith(PREFIX):
        start = value.removesuffix(PREFIX)
        return Sql(f"substr({column}, 1, {len(start)}) = ?", (start,))
    return Sql(f"{column} = ?", (value,))


def _action(_field: Field, value: str) -> Sql:
    return _equals("h.action", value)


def _either_half(field: Field, value: str) -> Sql:
    column = _HALVES[field]
    return any_of([_equals(f"h.{column}", value), _equals(f"coalesce(o.{column}, '')", value)])


def _effect(_field: Field, value: str) -> Sql:
    return Sql(f"{EFFECT} = ?", ("" if value == OPEN else value,))


def _reason(_field: Field, value: str) -> Sql:
    """Codes lie side by side in ``reasons``, all lower case, so here ``like`` is exact."""
    escaped = value.removesuffix(PREFIX).replace("_", "!_")
    end = "" if value.endswith(PREFIX) else " "
    return Sql("(' ' || h.reasons || ' ' || coalesce(o.reasons, '') || ' ') like ? escape '!'", (f"% {escaped}{end}%",))


def _id(_field: Field, value: str) -> Sql:
    return Sql("h.event_id = ?", (uuid.UUID(value).bytes,))


def _phase(_field: Field, value: str) -> Sql:
    return Sql("o.seq is not null") if value == Phase.OUTCOME else Sql("h.phase = ?", (value,))


def _created(_field: Field, value: str) -> Sql:
    since, until = read_times(value)
    return wrapped("(", all_of(created_between(since, until)), ")")


def _number(column: str) -> Callable[[Field, str], Sql]:
    def compare(_field: Field, value: str) -> Sql:
        low, high = read_numbers(value)
        return Sql(f"{column} between ? and ?", (low or 0, _NO_END if high is None else high))

    return compare


_PLAIN: Final[Mapping[Field, Callable[[Field, str], Sql]]] = {
    Field.ACTION: _action,
    Field.EFFECT: _effect,
    Field.REASON: _reason,
    Field.ID: _id,
    Field.PHASE: _phase,
    Field.CREATED: _created,
    Field.LATENCY: _number(_LATENCY_BOUND),
    Field.CREDITS: _number("coalesce(o.credits, h.credits)"),
    **dict.fromkeys(_HALVES, _either_half),
}
