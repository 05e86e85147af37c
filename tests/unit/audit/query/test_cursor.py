"""A cursor works for the search that gave it, and for nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Query, QueryInvalid
from audit.query.cursor import Cursor

CURSOR = Cursor(date(2026, 11, 22), 1042, 2000)
QUERY = Query(actor="alice", effect="deny", created_from=datetime(2026, 11, 1, tzinfo=UTC))
TEXT = CURSOR.text(QUERY.binding())


@given(st.dates(), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_it_comes_back_as_it_was(day: date, seq: int, horizon: int) -> None:
    cursor = Cursor(day, seq, horizon)
    assert Cursor.parse(cursor.text(b"12345678"), b"12345678") == cursor


def test_it_tells_nothing_at_a_glance() -> None:
    assert "1042" not in TEXT
    assert "alice" not in TEXT


def test_the_order_of_conditions_and_the_size_of_a_page_may_change() -> None:
    turned = Query(conditions=tuple(reversed(QUERY.conditions)), created_from=QUERY.created_from)
    assert replace(turned, cursor=TEXT, limit=7, with_facets=True).cursor == TEXT


@pytest.mark.parametrize(
    "other",
    [
        Query(actor="alice", effect="deny"),
        Query(actor="bob", effect="deny", created_from=QUERY.created_from),
        Query(effect="deny", created_from=QUERY.created_from),
        replace(QUERY, tenant="other"),
    ],
)
def test_it_does_not_work_for_another_search(other: Query) -> None:
    with pytest.raises(QueryInvalid, match="other conditions"):
        replace(other, cursor=TEXT)


def test_turning_a_condition_round_makes_another_search() -> None:
    first = QUERY.conditions[0]
    turned = (replace(first, negated=True), *QUERY.conditions[1:])
    with pytest.raises(QueryInvalid, match="other conditions"):
        replace(QUERY, conditions=turned, cursor=TEXT)


@pytest.mark.parametrize("text", ["", "x", "2026-11-20.17", TEXT[:-1], TEXT + "A", "A" * len(TEXT), "é" * len(TEXT)])
def test_what_no_search_returned_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid, match="not one that a search returned"):
        replace(QUERY, cursor=text)


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_changed_character_is_refused_or_names_another_place(at: int, character: str) -> None:
    changed = TEXT[:at] + character + TEXT[at + 1 :]
    if changed == TEXT:
        return
    with suppress(QueryInvalid):
        assert Cursor.parse(changed, QUERY.binding()) != CURSOR
