"""Windows: every piece is in one, none is a stump."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.screening.semantic.windows import NARROW, PIECES, SHORT, STEP, Window, cut


def test_no_pieces_no_windows() -> None:
    assert cut(0) == []


@pytest.mark.parametrize("pieces", [1, 5, PIECES])
def test_a_short_text_is_one_window(pieces: int) -> None:
    assert cut(pieces) == [Window(0, pieces)]


@pytest.mark.parametrize("pieces", [PIECES + 1, PIECES + STEP - 1, PIECES + STEP, PIECES + STEP + 1, 5_000])
def test_a_long_text_is_covered_by_whole_windows_that_overlap(pieces: int) -> None:
    windows = cut(pieces)
    assert windows[0].first == 0
    assert windows[-1].last == pieces
    assert {window.last - window.first for window in windows} == {NARROW}
    for before, after in pairwise(windows):
        assert 0 < after.first - before.first <= STEP


def test_windows_share_most_when_more_than_half_of_one_lies_in_the_other() -> None:
    assert Window(0, 24).shares_most_with(Window(8, 32))
    assert Window(8, 32).shares_most_with(Window(0, 24))
    assert not Window(0, 24).shares_most_with(Window(12, 36))
    assert not Window(0, 24).shares_most_with(Window(40, 64))


def test_a_long_text_s_sentences_are_windows_too() -> None:
    slid = cut(100)
    assert cut(100, [10, 40]) == [*slid, Window(0, 10), Window(10, 40)]  # what is left is longer than a window
    assert cut(100, [10, 60, 80, 100]) == [*slid, Window(0, 10), Window(60, 80), Window(80, 100)]


def test_a_short_sentence_is_read_with_what_follows_it_and_that_alone_as_well() -> None:
    ends = [SHORT - 1, SHORT + 10, SHORT + 12, 40]
    assert cut(60, ends)[-5:] == [
        Window(SHORT - 1, SHORT + 10),
        Window(0, SHORT + 10),
        Window(SHORT + 12, 40),
        Window(SHORT + 10, 40),
        Window(40, 60),
    ]


def test_a_short_text_is_one_window_however_many_sentences_it_has() -> None:
    assert cut(PIECES, [10, 20, 30]) == [Window(0, PIECES)]
