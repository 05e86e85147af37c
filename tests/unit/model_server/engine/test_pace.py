from __future__ import annotations

import pytest

from model_server.engine.memory import MemoryBook
from model_server.engine.pace import FixedPace, Pace, PaceBook
from model_server.limits import EngineLimits
from model_server.observe import Metrics
from tests.unit.model_server.support import PacedModel


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


def test_the_best_batch_is_the_smallest_that_has_nearly_the_best_throughput() -> None:
    pace = Pace()
    assert pace.best_batch() == 1
    for batch, seconds in ((1, 0.027), (2, 0.037), (4, 0.054), (8, 0.103), (16, 0.242)):
        pace.learn(batch, seconds)
    assert pace.best_batch() == 4  # 74 pictures a second, of 78 at the most
    pace = Pace()
    for batch in (1, 2, 4):
        pace.learn(batch, 0.1 * batch)
    assert pace.best_batch() == 1


def test_steps_that_are_always_padded_cost_the_same_however_many_are_in_them() -> None:
    pace = FixedPace(8)
    pace.learn(3, 0.2)
    assert pace.step_seconds(1) == pace.step_seconds(8) == pytest.approx(0.2)
    assert pace.best_batch() == 8


def test_what_was_learnt_of_a_model_goes_with_it() -> None:
    kept, gone = PacedModel(), PacedModel()
    book = PaceBook(EngineLimits(), MemoryBook(None, 1.0, Metrics()))
    for model in (kept, gone):
        for batch in (1, 8):
            book.of((model, "shape")).learn(batch, 0.1)
    book.keep_only([kept])
    assert book.capacity((kept, "shape", "taken alone")) == 8
    assert book.capacity((gone, "shape")) == 1
