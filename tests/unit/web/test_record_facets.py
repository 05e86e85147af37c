from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from audit.query import FacetValue, read_terms
from gateway.web.record_facets import asked, facets

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def question(address: str) -> str:
    found = parse_qs(urlsplit(address).query, keep_blank_values=True)
    return found["q"][0] if "q" in found else f"everything, {found}"


def effects(text: str, *values: str):
    counted = {"effect": tuple(FacetValue(value, 7) for value in values)}
    (facet,) = facets(counted, read_terms(text, NOW))
    return facet.values


def test_a_value_is_a_link_that_asks_for_it_and_one_that_leaves_it_out():
    deny, allow = effects("created:7d Fox", "deny", "allow")
    assert (deny.words, deny.number, deny.is_chosen) == ("denied", 7, False)
    assert question(deny.address) == "created:7d Fox effect:deny"
    assert question(allow.without) == "created:7d Fox -effect:allow"


def test_a_chosen_value_is_taken_back():
    (deny,) = effects("effect:deny Fox", "deny")
    assert (deny.is_chosen, deny.without) == (True, "")
    assert question(deny.address) == "Fox"
    (deny,) = effects("effect:deny", "deny")
    assert question(deny.address) == "everything, {'action': ['']}"


def test_of_a_list_one_value_is_taken_back():
    deny, mask = effects("Fox effect:deny,mask", "deny", "mask")
    assert deny.is_chosen
    assert question(deny.address) == "Fox effect:mask"
    assert question(mask.address) == "Fox effect:deny"


def test_what_is_left_out_already_does_not_count_as_chosen():
    deny, _ = effects("-effect:allow", "deny", "mask")
    assert not deny.is_chosen
    assert question(deny.address) == "-effect:allow effect:deny"


def test_a_family_of_reasons_is_one_value():
    counted = {"reason": (FacetValue("dlp.*", 3), FacetValue("mfa.*", 1))}
    (facet,) = facets(counted, read_terms("reason:dlp.", NOW))
    assert [link.is_chosen for link in facet.values] == [True, False]


def test_a_field_that_tells_nothing_is_left_out():
    counted = {"effect": (FacetValue("deny", 3),), "model": (), "day": (FacetValue("2026-11-22", 3),)}
    assert facets(counted, read_terms("Fox", NOW)) == ()


def test_every_term_can_be_taken_out():
    terms = asked(read_terms('created:7d -model:x "Two Words"', NOW))
    assert [term.text for term in terms] == ["created:7d", "-model:x", '"Two Words"']
    assert [question(term.without) for term in terms] == [
        '-model:x "Two Words"',
        'created:7d "Two Words"',
        "created:7d -model:x",
    ]
