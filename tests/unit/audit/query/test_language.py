"""The query language: every text means a query or is refused with a place; every query has a text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Query, QueryInvalid
from audit.query import MAX_QUERY_LENGTH, RULES, Condition, Field, read_query, read_terms
from audit.record import Effect, Phase

NOW = datetime(2026, 11, 22, 9, 41, 7, 250_000, tzinfo=UTC)
EVENT = "0195c7a0-0000-7000-8000-000000000000"


def read(text: str) -> Query:
    return read_query(text, now=NOW)


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def test_a_query_as_an_auditor_writes_it() -> None:
    text = 'actor:alice effect:deny created:2026-11-01..2026-11-22 reason:dlp.* -model:embedded "Quarterly Report"'
    assert read(text) == Query(
        conditions=(
            Condition(Field.ACTOR, ("alice",)),
            Condition(Field.EFFECT, ("deny",)),
            Condition(Field.REASON, ("dlp.*",)),
            Condition(Field.MODEL, ("embedded",), negated=True),
            Condition(Field.TEXT, ("quarterly report",)),
        ),
        created_from=at(1),
        created_to=at(23),
    )


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("effect:DENY", "effect:deny"),
        ("EFFECT:deny", "effect:deny"),
        ("effect:deny,mask,deny", "effect:deny,mask"),
        ("effect:deny effect:deny", "effect:deny"),
        ("reason:dlp.", "reason:dlp.*"),
        ("action:image:", "action:image:*"),
        ('actor:"alice"', "actor:alice"),
        ("fox Fox", "fox"),
        ('"fox"', "fox"),
        ("text:fox", "fox"),
        ("e-mail", '"mail"'),
        ("credits:>4", "credits:5.."),
        ("credits:>=4", "credits:4.."),
        ("credits:<4", "credits:..3"),
        ("credits:<=4", "credits:..4"),
        ("credits:4..4", "credits:4"),
        (f"id:{EVENT.upper()}", f"id:{EVENT}"),
        ("created:today", "created:2026-11-22"),
        ("created:yesterday", "created:2026-11-21"),
        ("created:7d", "created:2026-11-15T09:41:07Z.."),
        ("created:90min", "created:2026-11-22T08:11:07Z.."),
        ("created:2d..", "created:2026-11-20T09:41:07Z.."),
        ("created:>=2026-11-01", "created:2026-11-01.."),
        ("created:>2026-11-01", "created:2026-11-02.."),
        ("created:<2026-11-01", "created:..2026-10-31"),
        ("created:<=2026-11-01", "created:..2026-11-01"),
        ("created:2026-11-01.. created:..2026-11-05", "created:2026-11-01..2026-11-05"),
        ("created:2026-11-01..2026-11-05 created:2026-11-04..2026-11-09", "created:2026-11-04..2026-11-05"),
        ("created:2026-11-22T10:00:00+01:00..", "created:2026-11-22T09:00:00Z.."),
        ("-created:today", "-created:2026-11-22"),
        ("day:yesterday", "day:2026-11-21"),
        ("  actor:alice \n effect:deny ", "actor:alice effect:deny"),
    ],
)
def test_two_spellings_of_one_question(text: str, same: str) -> None:
    assert read(text) == read(same)
    assert read(text).text == read(same).text


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("actor:alice acter:bob", 13, "the nearest is actor"),
        ("effekt:deny", 1, "the nearest is effect"),
        ("zzzzzzzz:deny", 1, "Fields: actor, group"),
        ("effect:perhaps", 8, "expected one of allow, mask"),
        ("effect:deny,perhaps", 13, "expected one of allow"),
        ("effect:", 8, "expected a value of effect"),
        ("effect:deny,", 13, "expected a value of effect"),
        ("effect: deny", 8, "expected a value"),
        ('fox "never closed', 5, "never closed"),
        ('"a\\b"', 4, "expected"),
        ('"fox"trot', 6, "expected a space"),
        ("fox -", 6, "expected a term"),
        ("fox OR wolf", 5, "effect:deny,mask"),
        ("the", 1, "no word to search for"),
        ('fox "and the"', 5, "no word to search for"),
        ("id:42", 4, "not a UUID"),
        ("created:soon", 9, "expected a day such as"),
        ("created:2026-02-30", 9, "expected a day such as"),
        ("created:2026-11-22T09:00:00Z", 9, "expected a day such as"),
        ("created:2026-11-22T09:00:00", 9, "expected a day such as"),
        ("created:2026-11-22..2026-11-01", 9, "ends before it begins"),
        ("created:99999w", 9, "expected a"),
        ("created:0001-01-01", 9, "year between"),
        ("day:7d", 5, "expected a day"),
        ("credits:-1", 9, "expected a whole number"),
        ("credits:<0", 9, "no number is below 0"),
        ("credits:5..1", 9, "ends before it begins"),
        ("credits:..", 9, "needs a number"),
        ("model:a*b", 7, "expected a model name"),
        ("reason:*", 8, "expected a code"),
        ("node:UPPER", 6, "expected a node"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_its_place(text: str, place: int, said: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        read(text)
    assert str(refused.value).startswith(f"character {place}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "created:2026-11-02.. created:..2026-10-30",
        "x" * (MAX_QUERY_LENGTH + 1),
        " ".join(f"actor:a{number}" for number in range(33)),
        "actor:" + ",".join(f"a{number}" for number in range(65)),
        " ".join(["fox"] * 65),
    ],
)
def test_bounds_are_kept(text: str) -> None:
    with pytest.raises(QueryInvalid):
        read(text)


SECRET = "mallory"


@pytest.mark.parametrize(
    "text",
    [
        f"{SECRET}:x",
        f"effect:{SECRET}",
        f'actor:"{SECRET}',
        f'"{SECRET}"x',
        f"created:{SECRET}",
        f"id:{SECRET}",
        f"reason:{SECRET}!",
        f"credits:{SECRET}",
        f"node:{SECRET}_",
    ],
)
def test_an_error_never_quotes_what_was_typed(text: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        read(text)
    assert SECRET not in str(refused.value)


def test_the_source_of_a_term_is_kept_as_it_was_written() -> None:
    text = 'created:7d  -actor:"Alice \\"A\\"",bob   "Two Words"'
    assert [term.source for term in read_terms(text, NOW)] == [
        "created:7d",
        '-actor:"Alice \\"A\\"",bob',
        '"Two Words"',
    ]


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_means_a_query_or_is_refused(text: str) -> None:
    _means_or_is_refused(text)


pieces = st.sampled_from(
    (
        *(f"{field}:" for field in Field),
        *("-", '"', "\\", ",", " ", "..", ">", "=", "*", ":", "a", "7d", "today", "1", "ß", "2026-11-22"),
        *("T09:00:00Z", EVENT, "deny", "dlp.", "\u00a0", "\u200b", "\ud800", "\0", "fox", "OR"),
    )
)


@given(st.lists(pieces, max_size=14).map("".join))
def test_any_text_of_the_languages_own_pieces_means_a_query_or_is_refused(text: str) -> None:
    _means_or_is_refused(text)


def _means_or_is_refused(text: str) -> None:
    try:
        query = read(text)
    except QueryInvalid as error:
        assert str(error)
        return
    assert read(query.text) == query
    query.as_content()
    query.binding()


blind = st.text(min_size=1, max_size=20)
codes = st.sampled_from(["dlp.iban", "dlp.*", "dlp", "image:edit", "image:*"])
revisions = st.from_regex(r"[A-Za-z0-9._:/@+-]{1,12}\*?", fullmatch=True)
days = st.integers(0, 40).map(lambda number: (at(1) + timedelta(days=number)).date().isoformat())
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda when: when.isoformat() + "Z")  # noqa: DTZ001
numbers = st.integers(0, 10**6).map(str)
values: dict[Field, st.SearchStrategy[str]] = {
    **dict.fromkeys((field for field, rule in RULES.items() if rule.term_kind), blind),
    Field.TEXT: st.from_regex(r"[a-z]{3,9}x( [a-z]{3,9}x){0,3}", fullmatch=True),
    Field.ACTION: codes,
    Field.REASON: codes,
    Field.EFFECT: st.sampled_from([*Effect, "open"]),
    Field.PHASE: st.sampled_from(list(Phase)),
    Field.ID: st.just(EVENT),
    **dict.fromkeys((Field.MODEL, Field.BUNDLE, Field.ABOUT), revisions),
    **dict.fromkeys((Field.CLASS, Field.NODE), st.sampled_from(["standard", "abuse", "node-2"])),
    Field.CREATED: st.one_of(days, moments.map(lambda when: f"{when}.."), moments.map(lambda when: f"..{when}")),
    Field.DAY: days,
    **dict.fromkeys((Field.LATENCY, Field.CREDITS), st.one_of(numbers, numbers.map(lambda n: f"{n}.."))),
}
conditions = st.sampled_from(list(Field)).flatmap(
    lambda field: st.builds(
        Condition, st.just(field), st.lists(values[field], min_size=1, max_size=3).map(tuple), st.booleans()
    )
)
bounds = st.none() | st.datetimes(datetime(1999, 1, 1), datetime(2101, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(conditions, max_size=5), bounds, bounds)
def test_every_query_has_a_text_that_means_it(
    asked: list[Condition], since: datetime | None, until: datetime | None
) -> None:
    try:
        query = Query(conditions=asked, created_from=since, created_to=until)
    except QueryInvalid as error:
        assert "before it begins" in str(error)
        return
    assert read(query.text) == query


@pytest.mark.parametrize("field", list(Field))
def test_the_example_of_every_field_is_one(field: Field) -> None:
    (term,) = read_terms(RULES[field].example, NOW)
    assert term.condition.field is field
