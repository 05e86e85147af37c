"""The words of a text that the blind index takes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.keywords import MAX_WORD_LENGTH, MAX_WORDS, STOP_WORDS, keywords


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A quarterly report, in RED!", ("quarterly", "report", "red")),
        ("snake_case and e-mail", ("snake", "case", "mail")),
        ("ein Fuchs und die Straße", ("fuchs", "strasse")),
        ("STRASSE", ("strasse",)),
        ("ｆｕｌｌ ｗｉｄｔｈ", ("full", "width")),
        ("ﬁre ① H₂O", ("fire", "h2o")),
        ("cafe\u0301 CAFÉ", ("café",)),
        ("f\u200box fo\u00adx", ("fox",)),
        ("İstanbul", ("i\u0307stanbul",)),
        ("हिन्दी में", ("हिन्दी", "में")),
        ("狐の絵", ("狐の絵",)),
        ("fox fox FOX", ("fox",)),
        ("a b c 1 22", ("22",)),
        ("", ()),
        ("!?… _ -", ()),
        ("the and für von", ()),
    ],
)
def test_words_are_folded_split_and_told_apart(text: str, words: tuple[str, ...]) -> None:
    assert keywords(text) == words


def test_only_the_first_thirty_two_words_are_taken_and_none_that_is_too_long() -> None:
    assert keywords(" ".join(f"w{number}" for number in range(50))) == tuple(f"w{n}" for n in range(MAX_WORDS))
    assert keywords("x" * 33 + " " + "y" * 32) == ("y" * 32,)


def test_stop_words_are_in_the_form_that_words_are_compared_in() -> None:
    for word in STOP_WORDS:
        assert keywords(word + "zz") == (word + "zz",), word


@given(st.text(max_size=300))
def test_what_is_indexed_is_found_again(text: str) -> None:
    words = keywords(text)
    assert len(words) <= MAX_WORDS
    assert all(2 <= len(word) <= MAX_WORD_LENGTH for word in words)
    assert keywords(" ".join(words)) == words
    for word in words:
        assert keywords(word) == (word,)


@given(st.text(max_size=100))
def test_case_does_not_matter(text: str) -> None:
    if text.upper().casefold() == text.casefold():
        assert keywords(text.upper()) == keywords(text)


def test_a_huge_prompt_costs_no_more_than_a_long_one() -> None:
    started = time.perf_counter()
    keywords("ß" * 5_000_000)
    assert time.perf_counter() - started < 0.5
