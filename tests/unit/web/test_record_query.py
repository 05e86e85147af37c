from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Query, QueryInvalid
from audit.query import Condition, Field
from audit.query.cursor import Cursor
from gateway.web.record_query import EXAMPLES, PAGE_ROWS, Filters, SearchForm

REQUEST = "01a2033e-6394-7688-ae58-061aca1eafce"
NOW = datetime(2026, 11, 22, 9, 41, tzinfo=UTC)
ACTIONS = ("image:", "image:edit", "auth:session:start")


def asked_at(address: str) -> str:
    return parse_qs(urlsplit(address).query)["q"][0]


def test_asking_nothing_shows_pictures_and_says_so_in_the_form():
    form = SearchForm.read({})
    assert form.action == "image:"
    assert form.query() == Query(action="image:", limit=PAGE_ROWS)


def test_asking_for_anything_is_possible():
    assert SearchForm.read({"action": ""}).query() == Query(limit=PAGE_ROWS)


def test_every_field_reaches_the_log():
    form = SearchForm.read(
        {
            "q": "-model:embedded quarterly",
            "who": "canaille|alice",
            "action": "image:edit",
            "effect": "deny",
            "reason": "dlp.payment-card",
            "model": "house",
            "since": "2026-11-01",
            "until": "2026-11-22",
        }
    )
    query = form.query(with_facets=True)
    same = Query(
        actor="canaille|alice",
        action="image:edit",
        effect="deny",
        reason="dlp.payment-card",
        model="house",
        word="quarterly",
        conditions=[Condition(Field.MODEL, ("embedded",), negated=True)],
        created_from=datetime(2026, 11, 1, tzinfo=UTC),
        created_to=datetime(2026, 11, 23, tzinfo=UTC),
        limit=PAGE_ROWS,
    )
    assert query.binding() == same.binding()
    assert (query.limit, query.with_facets) == (PAGE_ROWS, True)
    cursor = Cursor(date(2026, 11, 20), 17, 40).text(query.binding())
    assert replace(form, cursor=cursor).query().cursor == cursor


@pytest.mark.parametrize("typed", ["dlp", "dlp.", "dlp.*", " DLP "])
def test_a_family_of_reasons_may_be_written_as_people_write_it(typed):
    assert SearchForm.read({"reason": typed}).query() == Query(reason="dlp.", limit=PAGE_ROWS)


@pytest.mark.parametrize("field", ["who", "event_id"])
def test_a_request_is_found_by_its_id(field):
    assert SearchForm.read({field: REQUEST}).query() == Query(event_id=REQUEST, limit=PAGE_ROWS)


def test_relative_times_are_counted_from_the_given_moment():
    assert SearchForm.read({"q": "created:2h"}).query(NOW).created_from == datetime(2026, 11, 22, 7, 41, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "action:image:*"),
        ({"q": "created:7d   Fox"}, "created:7d Fox"),
        ({"q": "Fox", "effect": "deny"}, "Fox effect:deny"),
        ({"who": 'a "b" c'}, 'actor:"a \\"b\\" c"'),
        ({"since": "2026-11-01"}, "created:2026-11-01.."),
        ({"until": "2026-11-01"}, "created:..2026-11-01"),
        ({"q": '"never closed'}, '"never closed'),
    ],
)
def test_the_whole_question_is_one_text(fields, text):
    assert SearchForm.read(fields).text(NOW) == text


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("actor:alice effect:deny", Filters(who="alice", effect="deny")),
        (f"id:{REQUEST}", Filters(who=REQUEST)),
        ("action:image:* reason:dlp.*", Filters(action="image:", reason="dlp.*")),
        ("action:policy:*", Filters(rest="action:policy:*")),
        ("created:2026-11-01..2026-11-22", Filters(since="2026-11-01", until="2026-11-22")),
        ("created:2026-11-22", Filters(since="2026-11-22", until="2026-11-22")),
        ("created:2026-11-01..", Filters(since="2026-11-01")),
        ("created:..2026-11-01", Filters(until="2026-11-01")),
        ("created:2h", Filters(rest="created:2h")),
        ("effect:deny,mask Fox -model:x", Filters(rest="effect:deny,mask Fox -model:x")),
        ("actor:alice actor:bob", Filters(who="alice", rest="actor:bob")),
        (f"actor:alice id:{REQUEST}", Filters(who="alice", rest=f"id:{REQUEST}")),
        ("created:2026-11-01.. created:..2026-11-05", Filters(since="2026-11-01", until="2026-11-05")),
        ("reason:dlp", Filters(rest="reason:dlp")),
    ],
)
def test_filters_show_what_they_can_say_and_keep_the_rest(text, filters):
    assert SearchForm.read({"q": text}).filters(NOW, ACTIONS) == filters


@given(
    st.lists(
        st.sampled_from(
            (
                *("actor:alice", "effect:deny", "-effect:allow", "reason:dlp.*", "reason:dlp", "fox", "model:a,b"),
                *("action:image:*", "action:image:edit", "created:2h", "created:2026-11-05.."),
                "created:2026-11-01..2026-11-22",
            )
        ),
        max_size=6,
    )
)
def test_filtering_again_without_a_change_asks_the_same(terms):
    form = SearchForm.read({"q": " ".join(terms)})
    shown = form.filters(NOW, ACTIONS)
    again = SearchForm(q=shown.rest, **{f.name: getattr(shown, f.name) for f in fields(shown) if f.name != "rest"})
    assert again.query(NOW).binding() == form.query(NOW).binding()


def test_a_question_that_cannot_be_read_stays_in_its_filters_as_typed():
    form = SearchForm.read({"who": "alice", "since": "yesterday", "effect": "perhaps"})
    assert form.filters(NOW, ACTIONS) == Filters(who="alice", since="yesterday", effect="perhaps")
    assert replace(form, q="Fox").filters(NOW, ACTIONS).rest == "Fox"
    assert replace(form, q="acter:x").filters(NOW, ACTIONS).rest == ""


def test_narrowing_replaces_what_was_asked_of_the_field():
    form = SearchForm.read({"q": "actor:alice effect:deny -effect:allow", "action": "image:"})
    assert asked_at(form.narrowed(NOW, "actor", "bob|x", ("action",))) == "effect:deny -effect:allow actor:bob|x"
    assert asked_at(form.narrowed(NOW, "effect", "mask")) == "actor:alice -effect:allow action:image:* effect:mask"


@pytest.mark.parametrize(
    "fields",
    [
        {"since": "yesterday"},
        {"until": "2026-02-30"},
        {"since": "2026-11-22", "until": "2026-11-21"},
        {"effect": "perhaps"},
        {"reason": "a b"},
        {"cursor": "1"},
        {"q": "acter:alice"},
        {"q": "x" * 3000},
        {"event_id": "1"},
        {"model": "a b"},
    ],
)
def test_what_cannot_be_searched_for_is_said_in_words(fields):
    with pytest.raises(QueryInvalid, match=r"[a-z]{3}"):
        SearchForm.read(fields).query()


@given(
    st.dictionaries(st.sampled_from(["q", "who", "action", "effect", "reason", "since", "until", "cursor"]), st.text())
)
def test_whatever_is_typed_either_means_a_query_or_is_refused(typed):
    form = SearchForm.read(typed)
    form.filters(NOW, ACTIONS)
    form.text(NOW)
    try:
        assert isinstance(form.query(NOW), Query)
    except QueryInvalid as error:
        assert str(error)


@given(st.text(min_size=1), st.text())
def test_an_address_says_the_whole_search_and_can_be_sent(who, reason):
    form = SearchForm.read({"who": who, "action": "", "reason": reason})
    parts = urlsplit(form.address())
    assert parts.path == "/audit"
    asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    assert SearchForm.read(asked) == form


def test_a_changed_search_starts_from_its_first_page():
    form = SearchForm.read({"effect": "deny", "cursor": "2026-11-20.17"})
    assert "cursor" not in form.address(reason="dlp.")
    assert "cursor=2026-11-20.3" in form.address(cursor="2026-11-20.3")


@pytest.mark.parametrize("example", [example for example, _ in EXAMPLES])
def test_the_examples_on_the_page_are_questions(example):
    assert SearchForm.read({"q": example}).query(NOW).text
