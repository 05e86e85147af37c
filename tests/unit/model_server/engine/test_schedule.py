"""Whose turn it is, without a device: the rules of fairness one at a time, and together under hypothesis."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from model_server.engine.schedule import QUANTUM_STEPS, WEIGHTS, Place, Schedule
from model_server.engine.work import Work
from model_server.wire import Class
from tests.unit.model_server.engine.engines import job
from tests.unit.model_server.support import PacedModel, PacedSlot

MODEL = PacedModel()
MUCH = 1000


def work(
    name: str,
    *,
    tenant: str = "a",
    work_class: Class = "interactive",
    steps: int = 10,
    count: int = 1,
    accepted_at: float = 0.0,
    deadline_at: float | None = None,
    shape: str = "one",
) -> Work:
    made = Work(
        name, MODEL, job(steps, count), lambda _: None, 0, tenant, work_class, accepted_at, deadline_at, shape=shape
    )
    made.step_seconds = 1.0
    return made


def scheduled(*works: Work) -> Schedule:
    schedule = Schedule()
    for one in works:
        schedule.add(one)
    return schedule


def take(schedule: Schedule, capacity: int, *, may_begin: int = MUCH, now: float = 0.0) -> list[Place]:
    """One step as the engine does it."""
    places = schedule.pick(lambda _group: capacity, may_begin, now)
    for place in places:
        if not place.work.slots:
            place.work.slots = [PacedSlot(0, place.work.job.steps) for _ in range(place.work.job.count)]
        place.work.slots[place.picture].done += 1
    for one in {place.work.id: place.work for place in places}.values():
        if not one.open_pictures():
            schedule.remove(one)
    return places


def names(places: list[Place]) -> list[str]:
    return [place.work.id for place in places]


def test_nothing_to_do_is_no_step() -> None:
    assert take(Schedule(), 4) == []


def test_the_least_work_left_goes_first_and_all_its_pictures_together() -> None:
    schedule = scheduled(work("long", steps=9), work("four", steps=2, count=4), work("short", steps=3))
    assert names(take(schedule, 1)) == ["short"]
    assert names(take(schedule, 5)) == ["short", "four", "four", "four", "four"]


def test_waiting_counts_as_work_done_so_that_nobody_waits_for_ever() -> None:
    # A new short request comes with every step; the long one is through all the same.
    long = work("long", steps=20, accepted_at=0.0)
    schedule = scheduled(long)
    for now in range(1, 1000):
        schedule.add(work(f"short-{now}", steps=1, accepted_at=float(now)))
        take(schedule, 1, now=float(now))
        if not long.open_pictures():
            break
    assert not long.open_pictures()


def test_only_one_group_is_in_a_step_and_the_first_says_which() -> None:
    schedule = scheduled(work("x", steps=2, shape="x"), work("y", steps=1, shape="y"), work("z", steps=5, shape="y"))
    assert names(take(schedule, 8)) == ["y", "z"]


def test_tenants_share_the_steps_evenly_whatever_they_pile_up() -> None:
    schedule = scheduled(*(work(f"a{n}", steps=1000) for n in range(50)), work("b", tenant="b", steps=1000))
    counted = Counter(place.work.tenant for _ in range(40 * QUANTUM_STEPS) for place in take(schedule, 1))
    assert abs(counted["a"] - counted["b"]) <= QUANTUM_STEPS * WEIGHTS["interactive"]


def test_classes_share_by_their_weights() -> None:
    schedule = scheduled(
        *(work(c, work_class=c, steps=10_000) for c in WEIGHTS),
    )
    rounds = 20 * QUANTUM_STEPS * sum(WEIGHTS.values())
    counted = Counter(place.work.work_class for _ in range(rounds) for place in take(schedule, 1))
    for work_class, weight in WEIGHTS.items():
        assert abs(counted[work_class] / rounds - weight / sum(WEIGHTS.values())) < 0.02


def test_a_newcomer_goes_before_those_who_have_been_served() -> None:
    schedule = scheduled(work("a", steps=500), work("b", tenant="b", steps=500))
    for _ in range(5):
        take(schedule, 1)
    schedule.add(work("c", tenant="c", steps=3))
    assert [names(take(schedule, 1)) for _ in range(3)] == [["c"]] * 3


def test_who_always_asks_for_one_thing_more_is_new_only_once() -> None:
    schedule = scheduled(work("steady", tenant="steady", steps=100_000))
    served: Counter[str] = Counter()
    for number in range(20 * QUANTUM_STEPS * WEIGHTS["interactive"]):
        if not any(one.tenant == "pushy" for one in schedule):
            schedule.add(work(f"pushy-{number}", tenant="pushy", steps=1))
        served.update(place.work.tenant for place in take(schedule, 1))
    assert served["steady"] >= served["pushy"] * 0.9


def test_a_place_that_would_stay_empty_is_given_on_credit_and_the_debt_is_bounded() -> None:
    alone = work("alone", steps=10**6)
    schedule = scheduled(alone)
    for _ in range(50 * QUANTUM_STEPS):
        assert names(take(schedule, 8)) == ["alone"]
    schedule.add(work("other", tenant="b", steps=10**6))
    counted = Counter(name for _ in range(20 * QUANTUM_STEPS) for name in names(take(schedule, 1)))
    assert counted["alone"] >= counted["other"] * 0.5


def test_no_more_is_begun_than_may_be_unless_nothing_else_could_go_on() -> None:
    schedule = scheduled(
        work("begun", steps=50), work("wide", tenant="b", steps=1, count=6), work("narrow", tenant="c")
    )
    take(schedule, 1)  # the newcomer of the three that was last: narrow
    places = take(schedule, 8, may_begin=1)
    assert "wide" not in names(places)
    only = scheduled(work("wide", steps=1, count=6))
    assert names(take(only, 4, may_begin=0)) == ["wide"] * 4


def test_a_request_that_may_still_be_in_time_goes_before_shorter_ones() -> None:
    urgent, late = work("urgent", steps=5, deadline_at=10.0), work("late", deadline_at=3.0)
    schedule = scheduled(work("short", steps=1), urgent, late)
    assert names(take(schedule, 1, now=1.0)) == ["late"]
    schedule.remove(late)
    assert names(take(schedule, 1, now=1.0)) == ["short"]
    schedule.add(work("short again", steps=1, accepted_at=6.0))
    assert names(take(schedule, 1, now=6.0)) == ["urgent"]
    assert [one.id for one in schedule.overdue(10.0)] == ["urgent"]
    assert schedule.overdue(9.9) == []


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(sorted(WEIGHTS)),
            st.integers(1, 12),
            st.integers(1, 4),
            st.sampled_from(["x", "y"]),
            st.integers(0, 30),
        ),
        min_size=1,
        max_size=14,
    ),
    capacity=st.integers(1, 6),
    may_begin=st.integers(0, 8),
)
def test_whatever_comes_no_step_is_idle_overfull_or_mixed_and_everything_is_done(
    requests: list[tuple[str, Class, int, int, str, int]], capacity: int, may_begin: int
) -> None:
    schedule = Schedule()
    works = [
        work(f"w{n}", tenant=t, work_class=c, steps=s, count=k, shape=shape, accepted_at=float(at))
        for n, (t, c, s, k, shape, at) in enumerate(requests)
    ]
    total = sum(one.job.steps * one.job.count for one in works)
    waiting = sorted(works, key=lambda one: one.accepted_at)
    taken = tick = 0
    while waiting or len(schedule):
        while waiting and waiting[0].accepted_at <= tick:
            schedule.add(waiting.pop(0))
        places = take(schedule, capacity, may_begin=may_begin, now=float(tick))
        assert len(places) <= capacity
        assert len({place.work.group for place in places}) <= 1
        assert len(set(places)) == len(places)
        assert places or not len(schedule) or waiting
        taken += len(places)
        tick += 1
        assert tick < 10_000
    assert taken == total
    assert all(not one.open_pictures() for one in works)
