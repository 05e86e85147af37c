"""The page about the query language says what the parser does."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit.errors import QueryInvalid
from audit.query import MAX_QUERY_LENGTH, RULES, Field, read_query
from audit.query.model import MAX_CONDITIONS, MAX_VALUES
from audit.record import LATENCY_BUCKETS_MS
from audit.store.search.counting import COUNTED_RECORDS

PAGE = Path(__file__).parents[4] / "docs/reference/query-language.md"
TEXT = PAGE.read_text("utf-8")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EXAMPLES = [line for block in re.findall(r"```query\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_query(example: str) -> None:
    query = read_query(example, now=NOW)
    assert query.text
    assert read_query(query.text, now=NOW) == query


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 10


@pytest.mark.parametrize("field", list(Field))
def test_every_field_has_its_line(field: Field) -> None:
    rule = RULES[field]
    kept = "blind" if rule.term_kind else "plain"
    assert f"| `{field}` | {kept} | {rule.meaning} | `{rule.example}` |" in TEXT


def test_every_line_of_the_table_is_a_field() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:blind|plain) \|", TEXT, re.MULTILINE) == list(Field)


def test_the_limits_are_those_of_the_parser() -> None:
    assert f"{MAX_QUERY_LENGTH:,} characters, {MAX_CONDITIONS} conditions, {MAX_VALUES} values" in TEXT
    assert f"the newest {COUNTED_RECORDS:,} records" in TEXT
    assert ", ".join(f"{bound:,}" for bound in LATENCY_BUCKETS_MS) in TEXT.replace("\n", " ")


def test_the_error_shown_is_the_one_that_comes() -> None:
    (shown,) = re.findall(r"```text\n(.*?), \.\.\.\n```", TEXT, re.DOTALL)
    with pytest.raises(QueryInvalid) as refused:
        read_query("effect:deny acter:alice", now=NOW)
    assert str(refused.value).startswith(shown)
