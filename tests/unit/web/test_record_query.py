from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Query, QueryInvalid
from gateway.web.record_query import PAGE_ROWS, SearchForm

REQUEST = "01a2033e-6394-7688-ae58-061aca1eafce"


def test_asking_nothing_shows_pictures_and_says_so_in_the_form():
    form = SearchForm.read({})
    assert form.action == "image:"
    assert form.query() == Query(action="image:", limit=PAGE_ROWS)


def test_asking_for_anything_is_possible():
    assert SearchForm.read({"action": ""}).query() == Query(limit=PAGE_ROWS)


def test_every_field_reaches_the_log():
    form = SearchForm.read(
        {
            "who": "canaille|alice",
            "action": "image:edit",
            "effect": "deny",
            "reason": "dlp.payment-card",
            "model": "house",
            "since": "2026-11-01",
            "until": "2026-11-22",
            "cursor": "2026-11-20.17",
        }
    )
    assert form.query() == Query(
        actor="canaille|alice",
        action="image:edit",
        effect="deny",
        reason="dlp.payment-card",
        model="house",
        created_from=datetime(2026, 11, 1, tzinfo=UTC),
        created_to=datetime(2026, 11, 23, tzinfo=UTC),
        limit=PAGE_ROWS,
        cursor="2026-11-20.17",
    )


@pytest.mark.parametrize("typed", ["dlp", "dlp.", "dlp.*", " DLP "])
def test_a_family_of_reasons_may_be_written_as_people_write_it(typed):
    assert SearchForm.read({"reason": typed}).query().reason == "dlp."


@pytest.mark.parametrize("field", ["who", "event_id"])
def test_a_request_is_found_by_its_id(field):
    query = SearchForm.read({field: REQUEST}).query()
    assert (query.event_id, query.actor) == (REQUEST, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"since": "yesterday"},
        {"until": "2026-02-30"},
        {"since": "2026-11-22", "until": "2026-11-21"},
        {"effect": "perhaps"},
        {"reason": "a b"},
        {"cursor": "1"},
        {"event_id": "1"},
        {"model": "a b"},
    ],
)
def test_what_cannot_be_searched_for_is_said_in_words(fields):
    with pytest.raises(QueryInvalid, match=r"[a-z]{3}"):
        SearchForm.read(fields).query()


@given(st.dictionaries(st.sampled_from(["who", "action", "effect", "reason", "since", "until", "cursor"]), st.text()))
def test_whatever_is_typed_either_means_a_query_or_is_refused(fields):
    form = SearchForm.read(fields)
    try:
        assert isinstance(form.query(), Query)
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
