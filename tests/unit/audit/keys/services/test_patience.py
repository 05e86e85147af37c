from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.patience import NotNow, try_patiently


def failing(times: int, error: Exception) -> tuple[Callable[[float], str], list[float]]:
    given: list[float] = []

    def call(seconds: float) -> str:
        given.append(seconds)
        if len(given) <= times:
            raise error
        return "done"

    return call, given


def test_a_call_is_tried_again_while_the_service_is_away() -> None:
    call, given = failing(2, KeyServiceUnavailable("away"))
    assert try_patiently(call, timeout_seconds=5, attempts=3) == "done"
    assert len(given) == 3
    assert given[0] == pytest.approx(5 / 3, abs=0.1)


def test_no_more_often_than_allowed() -> None:
    call, given = failing(9, KeyServiceUnavailable("away"))
    with pytest.raises(KeyServiceUnavailable):
        try_patiently(call, timeout_seconds=5, attempts=2)
    assert len(given) == 2


@pytest.mark.parametrize("error", [KeyRefused("no"), NotNow("no"), ValueError("no")])
def test_what_does_not_mend_itself_is_not_tried_again(error: Exception) -> None:
    call, given = failing(9, error)
    with pytest.raises(type(error)):
        try_patiently(call, timeout_seconds=5, attempts=5)
    assert len(given) == 1


def test_nothing_is_tried_beyond_the_limit() -> None:
    def slow(seconds: float) -> str:
        time.sleep(seconds)
        raise KeyServiceUnavailable("away")

    begun = time.monotonic()
    with pytest.raises(KeyServiceUnavailable):
        try_patiently(slow, timeout_seconds=0.3, attempts=10)
    assert time.monotonic() - begun < 0.6
