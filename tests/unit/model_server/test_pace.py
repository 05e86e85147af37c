from __future__ import annotations

import pytest

from model_server.pace import Pace


def test_nothing_is_promised_before_anything_was_measured() -> None:
    assert Pace().step_seconds(1) is None


def test_a_measured_batch_size_answers_with_its_own_time() -> None:
    pace = Pace()
    pace.learn(1, 0.1)
    pace.learn(4, 0.2)
    assert pace.step_seconds(4) == pytest.approx(0.2)


def test_between_two_measured_sizes_the_time_is_on_their_line() -> None:
    pace = Pace()
    pace.learn(2, 0.1)
    pace.learn(4, 0.3)
    assert pace.step_seconds(3) == pytest.approx(0.2)


def test_above_the_largest_measured_size_the_time_is_proportional() -> None:
    pace = Pace()
    pace.learn(2, 0.1)
    assert pace.step_seconds(6) == pytest.approx(0.3)


def test_one_slow_step_moves_the_forecast_only_a_little() -> None:
    pace = Pace()
    for _ in range(20):
        pace.learn(1, 0.1)
    pace.learn(1, 1.1)
    assert pace.step_seconds(1) == pytest.approx(0.3)
