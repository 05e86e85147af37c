"""Which condition leads through a day, and how much looking may cost before that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit.query import Condition, Field
from audit.store.port import FREQUENT, DayView, SearchCosts, StoreReader
from audit.store.search.choice import Lead, Part, Walk, choose
from audit.store.search.plan import DayPlan, led_all
from audit.store.search.sql import Sql
from audit.store.search.tokens import Tokens

LARGE: SearchCosts = SearchCosts(frequent=4_000, sparse=33_000, plain=5)
"""Of a day of 330,000 records where a token's walk in order is one over all records."""
ACTOR, EFFECT = Condition(Field.ACTOR, ("alice",)), Condition(Field.EFFECT, ("deny",))
NAMES = ("token", "effect")


class Counts:
    """A reader of one day whose token and whose effect have so many records; ``looked_at`` sums what was counted."""

    def __init__(self, token: int, effect: int) -> None:
        self._true = (token, effect)
        self.looked_at = [0, 0]

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for number, (_, sql, bounds) in enumerate(questions):
            asked = [NAMES.index(name) for name in re.findall(r"from (\w+) limit", sql)]
            counts = [min(self._true[at], cast(int, bound)) for at, bound in zip(asked, bounds, strict=True)]
            for at, count in zip(asked, counts, strict=True):
                self.looked_at[at] += count
            yield number, tuple(counts)


class Day:
    """A day of which no more is asked than what it costs to search it."""

    def __init__(self, costs: SearchCosts) -> None:
        self.costs = costs


def lead_of(
    token: int, effect: int | None, costs: SearchCosts | None = None, habit: Condition | None = None
) -> tuple[Lead, Counts]:
    reader = Counts(token, effect or 0)
    frequent = Walk(Sql("everything"), "d.head_seq")
    leads = [Lead((Walk(Sql("token"), "d.head_seq", frequent=frequent),), ACTOR, is_exact=True)]
    if effect is not None:
        leads.append(Lead((Walk(Sql("effect"), "d.head_seq"),), EFFECT, is_exact=True))
    part = Part(cast(DayView, Day(costs or SearchCosts())), Tokens(()), 1)
    (chosen,) = choose(cast(StoreReader, reader), [(part, leads)], habit)
    return chosen, reader


@pytest.mark.parametrize(
    ("token", "effect", "leader"),
    [
        (10, 10, ACTOR),
        (10, 900, ACTOR),
        (140, 333, ACTOR),
        (200, 333, EFFECT),  # a little rarer, perhaps: not worth finding out
        (100_000, 333, EFFECT),
        (100_000, 20, EFFECT),
        (400, 5_000, ACTOR),
        (100_000, 5_000, ACTOR),
    ],
)
def test_the_rarer_leads(token: int, effect: int, leader: Condition) -> None:
    assert lead_of(token, effect)[0].condition is leader


@pytest.mark.parametrize(
    ("token", "effect", "leader", "in_order"),
    [
        (380, 333, ACTOR, False),  # two halves of each of the others would be looked at
        (600, 333, EFFECT, False),
        (3_900, 6_000, ACTOR, False),
        (100_000, 6_000, EFFECT, False),  # in order, nineteen of twenty records would be looked at for nothing
        (100_000, 100_000, ACTOR, True),
    ],
)
def test_on_a_large_day_without_an_order_of_tokens(token: int, effect: int, leader: Condition, in_order: bool) -> None:
    chosen = lead_of(token, effect, LARGE)[0]
    assert chosen.condition is leader
    assert (chosen.walks[0].source.text == "everything") is in_order


@pytest.mark.parametrize("effect", [60, 101, 333, 900])
def test_records_of_a_token_are_counted_no_further_than_a_quarter_of_what_the_other_index_costs(effect: int) -> None:
    """Each lies on another page of the disk: counting up to five hundred on each of thirty days took two thirds of a
    search for a person and an effect."""
    _, reader = lead_of(100_000, effect)
    assert reader.looked_at[0] <= 50 + effect * 2 / 4


def test_of_many_the_token_leads_by_its_walk_in_order() -> None:
    chosen, reader = lead_of(100_000, 5_000)
    assert chosen.walks[0].source.text == "everything"
    assert reader.looked_at[0] <= 50 + FREQUENT
    assert lead_of(400, 5_000)[0].walks[0].source.text == "token"


def test_a_token_alone_is_counted_once() -> None:
    chosen, reader = lead_of(499, None)
    assert chosen.walks[0].source.text == "token"
    assert reader.looked_at[0] == 499
    assert lead_of(500, None)[0].walks[0].source.text == "everything"


def test_what_led_before_leads_again_without_a_look_at_the_token() -> None:
    chosen, reader = lead_of(10, 333, LARGE, habit=EFFECT)
    assert chosen.condition is EFFECT
    assert reader.looked_at == [0, 333]


def test_a_day_on_which_it_is_no_longer_rare_is_looked_at_anew() -> None:
    chosen, reader = lead_of(10, 5_000, LARGE, habit=EFFECT)
    assert chosen.condition is ACTOR
    assert reader.looked_at[0] == 10


def test_a_token_is_no_habit() -> None:
    chosen, _ = lead_of(100_000, 333, LARGE, habit=ACTOR)
    assert chosen.condition is EFFECT


def test_a_habit_is_what_led_on_each_of_the_days() -> None:
    actor, effect = (cast(DayPlan, SimpleNamespace(lead=Lead((), condition))) for condition in (ACTOR, EFFECT))
    assert led_all([effect, effect]) is EFFECT
    assert led_all([actor, effect]) is None
    assert led_all([]) is None
