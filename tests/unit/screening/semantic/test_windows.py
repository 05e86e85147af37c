"""Windows: every piece is in one, none is a stump."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.screening.semantic.windows import NARROW, PIECES, STEP, Window, cut


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
