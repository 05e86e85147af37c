"""Writing tricks are undone, and every character knows where it came from."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.screening.text.normalise import REPLACEMENT, fold, normalise

ANY_TEXT = st.text(alphabet=st.characters(), max_size=200)
NASTY = st.text(alphabet="a4½ﷺ①\u200b\u0336\ufe0f\u20e3é１А🅰🔟\ud800\x00 \t", max_size=60)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("4\u200b1\u200b1", "411"),
        ("4\u00ad1", "41"),
        ("４１１１", "4111"),
        ("④①①①", "4111"),
        ("❹❶", "41"),
        ("1️⃣2️⃣", "12"),
        ("🔟", "10"),
        ("4̶1̶1̶", "411"),
        ("٤١١", "411"),
        ("४११", "411"),
        ("𝟜𝟙", "41"),
        ("раураl", "paypal"),
        ("ΑΒΕ", "ABE"),
        ("🅰🅱", "AB"),
        ("🇦🇧", "AB"),
        ("ｊａｎｅ＠ｃｏｒｐ．ｃｏｍ", "jane@corp.com"),
        ("a\u2013b\u2212c", "a-b-c"),
        ("a\u00a0b\u3000c", "a b c"),
        ("a\u2028b", "a\nb"),
        ("\u202eabc\u202c", "abc"),
        ("\U000e0041x", "x"),
        ("a\x00b", "ab"),
        ("x\ud800y", f"x{REPLACEMENT}y"),
        ("corp․com", "corp.com"),
        ("plain ascii\tstays\n", "plain ascii\tstays\n"),
        ("Müller", "Müller"),
    ],
)
def test_a_trick_of_writing_is_undone(written: str, plain: str) -> None:
    assert normalise(written).text == plain


def test_a_keycap_belongs_to_its_digit_so_a_mask_takes_it_whole() -> None:
    source = "x 1️⃣2️⃣ y"
    plain = normalise(source)
    at = plain.text.index("12")
    start, end = plain.source_span(at, at + 2)
    assert source[start:end] == "1️⃣2️⃣"


def test_half_of_an_expanded_character_means_all_of_it() -> None:
    plain = normalise("½ x\u200b")
    assert plain.text.startswith("1/2")
    assert plain.source_span(0, 1) == (0, 1)
    assert plain.source_span(2, 3) == (0, 1)


def test_vowel_signs_of_other_scripts_stay_because_they_carry_meaning() -> None:
    assert normalise("हिन्दी").text == "हिन्दी"


@given(st.one_of(ANY_TEXT, NASTY))
def test_offsets_lead_back_and_never_out_of_the_text(source: str) -> None:
    plain = normalise(source)
    if plain.offsets is None:
        assert len(plain.text) == len(source)
    else:
        assert len(plain.offsets) == len(plain.text) + 1
        assert list(plain.offsets) == sorted(plain.offsets)
    for i in range(len(plain.text)):
        start, end = plain.source_span(i, i + 1)
        assert 0 <= start < end <= len(source)
        # What a character came from, normalised alone, holds that character.
        assert plain.text[i] in normalise(source[start:end]).text


@given(st.one_of(ANY_TEXT, NASTY))
def test_normalising_twice_changes_nothing_more(source: str) -> None:
    once = normalise(source).text
    assert normalise(once).text == once


@given(st.one_of(ANY_TEXT, NASTY))
def test_whole_spans_join_without_gaps(source: str) -> None:
    plain = normalise(source)
    if plain.text:
        start, end = plain.source_span(0, len(plain.text))
        dropped = source[:start]
        assert end == len(source)
        assert normalise(dropped).text == ""


def test_repr_shows_no_text() -> None:
    assert "secret" not in repr(normalise("my secret prompt é"))


def test_folding_makes_words_of_one_family_equal() -> None:
    assert fold("Téléphone") == fold("telephone") == "telephone"
    assert fold("STRASSE") == fold("Straße")
    assert fold(unicodedata.normalize("NFD", "é")) == "e"
    assert fold("Łódź") == "lodz"
