"""Who goes first, and when a request should be done: the schedule seen as a fluid that flows share by weight.

An estimate, not a simulation: a request is held up by what stands before it in its own flow, and by as much of each
other flow as the weights grant in that time (the fluid model of weighted fair queueing; Parekh & Gallager 1993). Steps
become seconds by the measured c(b). Requests still to come are not foreseen.
"""

from __future__ import annotations

from typing import NamedTuple

from model_server.engine.pace import Pace
from model_server.engine.schedule import Schedule
from model_server.engine.work import Work


class Forecast(NamedTuple):
    """`position`: how many requests that have not begun should begin before it. `seconds`: until its last step."""

    position: int
    seconds: float | None


def forecast(schedule: Schedule, work: Work, pace: Pace, capacity: int, now: float) -> Forecast:
    """What to tell the caller of a live request. `pace` and `capacity` are its group's."""
    before, others = schedule.line_of(work, now)
    own = work.seconds_left
    needed: float | None = None if own is None else own + sum(other.seconds_left or 0.0 for other in before)
    ahead = sum(not other.has_begun for other in before)
    elsewhere = 0
    for ratio, works in others:
        waiting = sum(not other.has_begun for other in works)
        # A flow that has just come goes first: then it is the others' surplus that waits, not this one.
        elsewhere += min(waiting, int(ratio * (ahead + 1))) if ahead else 0
        if needed is not None and own is not None:
            share = ratio * (own + sum(other.seconds_left or 0.0 for other in before))
            needed += min(share, sum(other.seconds_left or 0.0 for other in works))
    alone = alone_seconds(work, pace, capacity)
    seconds = None if needed is None or alone is None else round(max(needed, alone), 3)
    return Forecast(0 if work.has_begun else ahead + elsewhere, seconds)


def alone_seconds(work: Work, pace: Pace, capacity: int) -> float | None:
    """How long a request takes when nothing else is there; None before any measurement."""
    together = max(1, min(capacity, work.job.count))
    step = pace.step_seconds(together)
    return None if step is None else max(work.longest_left, work.steps_left / together) * step
