"""Who goes first, and when a request should be done: the schedule seen as a fluid that flows share by weight.

An estimate, not a simulation: a flow's work is held up by what stands before it in its own flow, and by as much of each
other flow as the weights grant in that time (the fluid model of weighted fair queueing; Parekh & Gallager 1993). Steps
become seconds by the measured c(b). Requests still to come are not foreseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_server.pace import Pace
from model_server.schedule import WEIGHTS, Schedule
from model_server.work import Work

PaceOf = Callable[[Work], tuple[Pace, int]]
"""A work's pace, and how many pictures share its steps at most."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`position`: how many requests that have not begun should begin before it. `seconds`: until its last step."""

    position: int
    seconds: float | None


def forecasts(schedule: Schedule, pace_of: PaceOf, now: float) -> dict[str, Forecast]:
    """By request id, for all at once: each costs no more than the number of flows."""
    lines = {key: list(works) for key, works in schedule.flows(now)}
    totals = {key: (len([w for w in works if not w.has_begun]), _cost(works, pace_of)) for key, works in lines.items()}
    found: dict[str, Forecast] = {}
    for key, works in lines.items():
        weight = WEIGHTS[key[1]]
        others = [(WEIGHTS[other[1]] / weight, *total) for other, total in totals.items() if other != key]
        ahead_seconds: float | None = 0.0
        ahead_waiting = 0
        for work in works:
            own = _seconds_of(work, pace_of)
            ahead_seconds = None if own is None or ahead_seconds is None else ahead_seconds + own
            if ahead_seconds is None:
                seconds = None
            else:
                shares = (min(cost or 0.0, ratio * ahead_seconds) for ratio, _, cost in others)
                seconds = round(max(ahead_seconds + sum(shares), _at_least(work, pace_of)), 3)
            waiting_elsewhere = sum(min(waiting, int(ratio * (ahead_waiting + 1))) for ratio, waiting, _ in others)
            # A newcomer's flow goes first, so it is the others' surplus that waits, not this one.
            position = 0 if work.has_begun else ahead_waiting + (waiting_elsewhere if ahead_waiting else 0)
            found[work.id] = Forecast(position, seconds)
            ahead_waiting += not work.has_begun
    return found


def alone_seconds(work: Work, pace_of: PaceOf) -> float | None:
    """How long a request takes when nothing else is there; None before any measurement."""
    pace, cap = pace_of(work)
    together = max(1, min(cap, work.job.count))
    step = pace.step_seconds(together)
    return None if step is None else max(work.longest_left, work.steps_left / together) * step


def _seconds_of(work: Work, pace_of: PaceOf) -> float | None:
    """Its share of the device's time when the device is full."""
    pace, cap = pace_of(work)
    step = pace.step_seconds(cap)
    return None if step is None else work.steps_left * step / cap


def _cost(works: list[Work], pace_of: PaceOf) -> float | None:
    parts = [_seconds_of(work, pace_of) for work in works]
    return None if None in parts else sum(part for part in parts if part is not None)


def _at_least(work: Work, pace_of: PaceOf) -> float:
    return alone_seconds(work, pace_of) or 0.0
