"""A failing neighbour is left alone, and asked again by one call at a time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.policy.breaker import Breaker
from gateway.policy.engine import EngineFailed


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, open_seconds=2.0, monotonic=clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(EngineFailed, match="down"), breaker.guard():
            raise EngineFailed("down")


def test_it_lets_calls_through_until_enough_have_failed_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    with breaker.guard():
        pass
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open


def test_open_it_refuses_without_trying(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 1.999
    tried = False
    with pytest.raises(EngineFailed, match="left alone"), breaker.guard():
        tried = True
    assert not tried


def test_refusals_do_not_keep_it_open(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    for _ in range(4):
        clock.now += 0.5
        if clock.now < 102.0:
            with pytest.raises(EngineFailed, match="left alone"), breaker.guard():
                pass
    with breaker.guard():
        pass
    assert not breaker.is_open


def test_when_its_time_has_come_one_call_may_try_and_the_rest_may_not(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    with breaker.guard(), pytest.raises(EngineFailed, match="left alone"), breaker.guard():
        pass
    with breaker.guard():
        pass


def test_a_failed_try_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    fail(breaker)
    clock.now += 1.9
    with pytest.raises(EngineFailed, match="left alone"), breaker.guard():
        pass


def test_a_cancelled_try_lets_the_next_one_try(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    with pytest.raises(asyncio.CancelledError), breaker.guard():
        raise asyncio.CancelledError
    with breaker.guard():
        pass
    assert not breaker.is_open
