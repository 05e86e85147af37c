"""Counts: exact up to the bound, then "at least"."""

from __future__ import annotations

from typing import Any

import pytest

from audit import Query
from audit.query import Count, FacetValue
from audit.store.port import StoreReader
from audit.store.search.choice import Part
from audit.store.search.counting import Counting
from audit.store.search.plan import plan_days
from audit.store.search.tokens import Tokens


async def _count(log: Any, query: Query, bound: int) -> Counting:
    def read(reader: StoreReader) -> Counting:
        counting = Counting(bound)
        for day in reversed(reader.days()):
            view = reader.day(day)
            assert view is not None
            for plan in plan_days(query, reader, [Part(view, Tokens(()), 1_000)]):
                if not counting.is_done:
                    counting.add(plan)
        return counting

    counting: Counting = await log._store.read(read)
    return counting


@pytest.fixture
async def log(house: Any, make: Any) -> Any:
    """Two days with three requests each; the newest is still open."""
    async with house.open() as log:
        for _ in range(2):
            await make.request(log, "alice", "deny", reasons=("dlp.iban", "dlp.payment-card", "mfa.stale"))
            await make.request(log, "bob", model="small")
            await log.intend(make.intent("carol", model="large"))
            house.clock.forward(days=1)
        yield log


@pytest.mark.parametrize(
    ("bound", "count"),
    [(100, Count(6, True)), (6, Count(6, True)), (5, Count(5, False)), (3, Count(3, False)), (1, Count(1, False))],
)
async def test_a_count_is_exact_up_to_its_bound(log: Any, bound: int, count: Count) -> None:
    assert (await _count(log, Query(), bound)).result()[0] == count


async def test_the_bound_is_of_records_looked_at_not_of_those_found(log: Any) -> None:
    """Else a rare match among millions would be counted for ever."""
    counting = await _count(log, Query(model="small"), 5)
    assert counting.result()[0] == Count(2, False)
    counting = await _count(log, Query(model="small"), 2)
    assert counting.result()[0] == Count(1, False)


async def test_an_index_that_leads_is_all_that_is_looked_at(log: Any) -> None:
    counting = await _count(log, Query(effect="deny"), 2)
    assert counting.result()[0] == Count(2, True)


async def test_values_come_the_most_frequent_first_and_days_in_their_order(log: Any) -> None:
    _, facets = (await _count(log, Query(), 100)).result()
    assert facets["effect"] == (FacetValue("allow", 2), FacetValue("deny", 2), FacetValue("open", 2))
    assert facets["reason"] == (FacetValue("dlp.*", 2), FacetValue("mfa.*", 2))
    assert facets["model"] == (FacetValue("large", 2), FacetValue("small", 2))
    assert facets["day"] == (FacetValue("2026-11-23", 3), FacetValue("2026-11-22", 3))
    assert facets["phase"] == (FacetValue("intent", 6),)
