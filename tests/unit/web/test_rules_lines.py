"""Lines as people say them."""

from __future__ import annotations

from gateway.web.rules_lines import spans


def test_lines_that_follow_each_other_are_one_span() -> None:
    assert spans([9, 3, 4, 5, 4]) == [(3, 5), (9, 9)]
    assert spans([]) == []
    assert spans([1]) == [(1, 1)]
    assert spans([1, 3]) == [(1, 1), (3, 3)]
