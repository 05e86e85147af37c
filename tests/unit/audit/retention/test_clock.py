"""A clock that leaps ahead destroys nothing before somebody, or an hour of keeping its time, stands up for it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.retention.clock import ClockConfirmation, ClockGuard, counted_seconds
from audit.store.disk import Disk

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = 3600.0


class Clocks:
    """A wall clock that can be moved apart from the seconds that pass."""

    def __init__(self, newest: datetime | None = START, now: datetime = START) -> None:
        self.now, self.seconds = now, 1000.0
        self.guard = ClockGuard(HOUR, self.now, self.seconds, newest)

    def passes(self, seconds: float, *, step: float = 60.0) -> list[bool]:
        """Time goes by as it should; what the guard says on the way."""
        said = []
        while seconds > 0:
            one = min(step, seconds)
            self.now += timedelta(seconds=one)
            self.seconds += one
            seconds -= one
            said.append(self.look())
        return said

    def leap(self, **by: float) -> None:
        self.now += timedelta(**by)

    def look(self) -> bool:
        return self.guard.observe(self.now, self.seconds)


def test_a_clock_that_goes_as_it_should_is_trusted_for_months() -> None:
    clocks = Clocks()
    assert clocks.look()
    assert all(clocks.passes(100 * 24 * HOUR, step=HOUR / 2))


@pytest.mark.parametrize("leap", [{"hours": 2}, {"days": 31}, {"days": 4000}])
def test_a_leap_ahead_is_distrusted_until_the_clock_kept_its_time_for_an_hour(leap: dict[str, float]) -> None:
    clocks = Clocks()
    clocks.passes(5 * HOUR)
    clocks.leap(**leap)
    assert not clocks.look()
    said = clocks.passes(HOUR)
    assert not any(said[:-1])
    assert said[-1]
    assert all(clocks.passes(5 * HOUR))


def test_a_leap_that_is_taken_back_is_forgiven_at_once() -> None:
    clocks = Clocks()
    clocks.passes(HOUR)
    clocks.leap(days=365)
    assert not clocks.look()
    clocks.passes(HOUR / 2)
    clocks.leap(days=-365)
    assert clocks.look()


def test_a_clock_that_leaps_on_and_on_never_settles() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.leap(hours=2)
        assert not any(clocks.passes(HOUR * 0.9, step=300))


def test_many_small_steps_are_seen_as_the_leap_that_they_are() -> None:
    clocks = Clocks()
    said = []
    for _ in range(60):
        clocks.leap(minutes=5)
        clocks.passes(1)
        said.append(clocks.look())
    assert said[:10] == [True] * 10
    assert not any(said[14:])


def test_a_leap_back_destroys_nothing_and_the_way_forward_again_is_distrusted_only_once_it_was_believed() -> None:
    clocks = Clocks()
    clocks.passes(HOUR)
    clocks.leap(days=-40)
    assert all(clocks.passes(HOUR / 2))
    clocks.leap(days=40)
    assert clocks.look()
    clocks.leap(days=-40)
    clocks.passes(3 * HOUR)
    clocks.leap(days=40)
    assert not clocks.look()


@pytest.mark.parametrize(("rested_hours", "trusted"), [(1, True), (23, True), (25, False), (24 * 400, False)])
def test_a_start_long_after_the_newest_record_waits(rested_hours: float, trusted: bool) -> None:
    clocks = Clocks(newest=START - timedelta(hours=rested_hours))
    assert clocks.look() is trusted
    assert clocks.passes(HOUR)[-1]


def test_a_new_log_and_one_written_in_the_future_are_trusted() -> None:
    assert Clocks(newest=None).look()
    assert Clocks(newest=START + timedelta(days=400)).look()


def test_an_operators_word_counts_at_once() -> None:
    clocks = Clocks()
    clocks.leap(days=31)
    assert not clocks.look()
    clocks.guard.confirm(clocks.now, clocks.seconds)
    assert all(clocks.passes(HOUR * 2))
    clocks.leap(days=31)
    assert not clocks.look()  # it counts for one leap


def test_no_settling_time_trusts_any_clock() -> None:
    guard = ClockGuard(0, START, 0.0, START - timedelta(days=400))
    assert guard.observe(START, 0.0)
    assert guard.observe(START + timedelta(days=400), 1.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e7), st.floats(0.1, 100)), max_size=35))
def test_within_an_hour_no_way_of_leaping_is_believed_further_ahead_than_an_hour(
    moves: list[tuple[float, float]],
) -> None:
    clocks = Clocks()
    for leap, wait in moves:
        clocks.leap(seconds=leap)
        clocks.seconds += wait
        clocks.leap(seconds=wait)
        ahead = clocks.now - START - timedelta(seconds=clocks.seconds - 1000.0)
        assert clocks.look() is (ahead <= timedelta(hours=1))


def test_a_confirmation_is_for_about_the_time_that_was_confirmed(tmp_path: Path) -> None:
    word = ClockConfirmation(tmp_path)
    assert not word.is_given(START)
    word.give(START, Disk())
    assert (tmp_path / "clock-confirmed").stat().st_mode & 0o777 == 0o600
    assert word.is_given(START + timedelta(minutes=9))
    assert not word.is_given(START + timedelta(minutes=11))
    assert not word.is_given(START + timedelta(days=31))
    word.give(START + timedelta(days=31), Disk())
    assert word.is_given(START + timedelta(days=31))
    for garbage in (b"", b"\xff", b"[]", b'{"at": 7}', b'{"at": "2026-11-22T12:00:00"}'):
        (tmp_path / "clock-confirmed").write_bytes(garbage)
        assert not word.is_given(START)


def test_counted_seconds_count() -> None:
    before = counted_seconds()
    assert 0 <= counted_seconds() - before < 60
    assert os.name != "posix" or before > 0
