"""Days whose matches planning found already, and days that are asked, in one order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from audit.store.port import DayView, SearchCosts, StoreReader
from audit.store.search import _heads
from audit.store.search.choice import Lead, Part, Walk, fetch_few
from audit.store.search.plan import DayPlan
from audit.store.search.sql import Sql
from audit.store.search.tokens import Tokens


class Asked:
    """A reader whose days answer with so many numbers, one after the other; ``days`` are those that were reached."""

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        self._answers = answers
        self.days = 0

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        assert len(questions) == len(self._answers)
        for number, answer in enumerate(self._answers):
            self.days += 1
            for head in answer:
                yield number, (head,)


class Plan:
    view = None

    def __init__(self, heads: Sequence[int] | None) -> None:
        self.heads = heads

    def newest(self, limit: int) -> Sql:
        return Sql("asked", (limit,))


def found(known: Sequence[Sequence[int] | None], answers: Sequence[Sequence[int]]) -> list[list[int]]:
    plans = cast(Sequence[DayPlan], [Plan(heads) for heads in known])
    return [list(heads) for heads in _heads(cast(StoreReader, Asked(answers)), plans, 2)]


@pytest.mark.parametrize(
    ("known", "answers", "expected"),
    [
        ([None, None], [[7, 9], [5]], [[9, 7], [5]]),
        ([[9, 8, 7], None, [3], None], [[5], [1]], [[9, 8], [5], [3], [1]]),
        ([None, [6], None], [[], [2]], [[], [6], [2]]),
        ([None, [6], None], [[8], []], [[8], [6], []]),
        ([None, None, None], [[], [], [1]], [[], [], [1]]),
        ([[], [4]], [], [[], [4]]),
    ],
)
def test_each_day_has_its_own(
    known: list[list[int] | None], answers: list[list[int]], expected: list[list[int]]
) -> None:
    assert found(known, answers) == expected


def test_no_day_is_asked_before_it_is_wanted() -> None:
    reader = Asked([[9], [5], [1]])
    days = _heads(cast(StoreReader, reader), cast(Sequence[DayPlan], [Plan(None)] * 3), 2)
    assert next(days) == [9]
    assert reader.days <= 2  # it must see where the first day ends


class Day:
    costs = SearchCosts(frequent=4)


class Rows:
    """A reader whose days answer with these rows."""

    def __init__(self, answers: Sequence[Sequence[tuple[int, int]]]) -> None:
        self._answers = answers
        self.asked: list[object] = []

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        self.asked += [value for _, _, parameters in questions for value in parameters]
        for number, answer in enumerate(self._answers):
            for row in answer:
                yield number, row


def test_the_newest_of_few_are_fetched_and_many_are_not() -> None:
    lead = Lead((Walk(Sql("token"), "d.head_seq"),))
    part = Part(cast(DayView, Day()), Tokens(()), 100)
    reader = Rows([[(3, 3), (9, 3)], [(4, 4), (3, 4)], []])
    assert fetch_few(cast(StoreReader, reader), [(part, lead)] * 3, 2) == [[9, 3], None, []]
    assert reader.asked == [4, 2] * 3  # no further than many, and no more than are shown
