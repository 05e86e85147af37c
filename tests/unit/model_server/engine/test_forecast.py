"""Places and times that callers are told, against what then happens."""

from __future__ import annotations

import pytest

from model_server.engine.forecast import alone_seconds, forecast
from model_server.engine.pace import Pace
from model_server.engine.schedule import Schedule
from tests.unit.model_server.engine.test_schedule import scheduled, take, work


def linear() -> Pace:
    pace = Pace()
    for batch in (1, 2, 4, 8):
        pace.learn(batch, float(batch))
    return pace


def told(schedule: Schedule, name: str) -> tuple[int, float | None]:
    one = next(one for one in schedule if one.id == name)
    return forecast(schedule, one, linear(), 1, 0.0)


def test_one_alone_needs_its_own_steps() -> None:
    assert told(scheduled(work("a", steps=7)), "a") == (0, 7.0)


def test_who_is_before_counts_shortest_first() -> None:
    schedule = scheduled(work("long", steps=9), work("short", steps=2), work("middle", steps=5))
    assert [told(schedule, name) for name in ("short", "middle", "long")] == [(0, 2.0), (1, 7.0), (2, 16.0)]


def test_other_tenants_take_no_more_than_their_share() -> None:
    schedule = scheduled(work("mine", steps=10), *(work(f"flood{n}", tenant="b", steps=100) for n in range(20)))
    assert told(schedule, "mine") == (0, 20.0)  # half of the device's time, as long as it takes
    few = scheduled(work("mine", steps=10), work("theirs", tenant="b", steps=3))
    assert told(few, "mine") == (0, 13.0)


def test_the_weight_of_a_class_decides_how_much_goes_before() -> None:
    schedule = scheduled(work("batch", work_class="batch", steps=10), work("mine", steps=1000))
    assert told(schedule, "batch") == (0, 50.0)  # four steps of the other for each of its own


def test_a_request_that_has_begun_waits_for_nobody() -> None:
    schedule = scheduled(work("begun", steps=3), work("b", tenant="b", steps=3))
    take(schedule, 2)
    assert told(schedule, "begun")[0] == 0


def test_nothing_is_promised_before_anything_was_measured() -> None:
    schedule = scheduled(one := work("a"))
    one.step_seconds = None
    assert forecast(schedule, one, Pace(), 1, 0.0) == (0, None)
    assert alone_seconds(one, Pace(), 1) is None


@pytest.mark.parametrize(("count", "capacity", "expected"), [(1, 8, 10.0), (4, 4, 40.0), (4, 1, 40.0)])
def test_pictures_of_one_request_go_together_as_far_as_the_capacity(count: int, capacity: int, expected: float) -> None:
    assert alone_seconds(work("a", steps=10, count=count), linear(), capacity) == expected


def test_what_is_told_is_about_what_happens() -> None:
    works = [work(f"{t}{n}", tenant=t, steps=4 + 3 * n) for t in "abc" for n in range(6)]
    schedule = scheduled(*works)
    promised = {one.id: told(schedule, one.id)[1] or 0.0 for one in works}
    now, ended = 0.0, dict[str, float]()
    while len(schedule):
        places = take(schedule, 1, now=0.0)
        now += 1.0
        ended |= {p.work.id: now for p in places if not p.work.open_pictures()}
    total = sum(4 + 3 * n for n in range(6)) * 3
    # Turns are bursts and the forecast is a fluid: right to within one turn of each of the others.
    assert all(abs(promised[name] - ended[name]) <= 2 * 64 for name in promised)
    assert max(promised.values()) == pytest.approx(total)
