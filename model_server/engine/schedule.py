"""Whose pictures take the next step: fair between tenants and classes, shortest first within each.

Deficit round robin (Shreedhar & Varghese 1995) over flows, a flow being one tenant's requests of one class, with the
"new flows first" of FQ-CoDel (RFC 8290, 4.2): who asks little is served at once, whatever others have piled up. Within
a flow the least work left goes first, and waiting counts as work done, so that nobody waits for ever. The choice is
made anew before every step; a picture that is passed over keeps what it has.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Final, NamedTuple

from model_server.engine.work import Work
from model_server.wire import Class

QUANTUM_STEPS: Final = 16
"""Steps of one picture that a flow of weight 1 may take before the next flow's turn."""
WEIGHTS: Final[dict[Class, int]] = {"preview": 8, "interactive": 4, "batch": 1}
"""A draft is short and looked at; nobody waits for a batch. At 4, a picture of 64 steps passes in one turn."""
_AGEING: Final = 0.1
"""Seconds of work that a second of waiting is worth: ten seconds' wait overtakes one second's work."""


_NO_BOUND: Final = 1 << 30


class Place(NamedTuple):
    """One picture's place in the next step."""

    work: Work
    picture: int


class _Flow:
    """One tenant's requests of one class."""

    def __init__(self, work_class: Class) -> None:
        self.quantum = QUANTUM_STEPS * WEIGHTS[work_class]
        self.deficit = self.quantum
        self.works: list[Work] = []


class Schedule:
    """All live requests. Not safe between threads: the engine's lock is its guard."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, Class], _Flow] = {}
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._deadlines = 0

    def __len__(self) -> int:
        return sum(len(flow.works) for flow in self._flows.values())

    def __iter__(self) -> Iterator[Work]:
        for flow in self._flows.values():
            yield from flow.works

    def add(self, work: Work) -> None:
        """Take a request in."""
        flow = self._flows.get((work.tenant, work.work_class))
        if flow is None:
            flow = self._flows[work.tenant, work.work_class] = _Flow(work.work_class)
            self._new.appendleft(flow)  # before those who have had a step already: it waits for one at most
        flow.works.append(work)
        self._deadlines += work.deadline_at is not None

    def remove(self, work: Work) -> None:
        """Forget a request that ended. Its flow keeps its turn's place until the turn comes (RFC 8290, 4.2.2): else
        one who always asks for one thing more would be new each time, and go first each time."""
        self._flows[work.tenant, work.work_class].works.remove(work)
        self._deadlines -= work.deadline_at is not None

    def overdue(self, now: float) -> list[Work]:
        """Requests whose deadline has passed."""
        if not self._deadlines:
            return []
        return [work for work in self if work.deadline_at is not None and work.deadline_at <= now]

    def line_of(self, work: Work, now: float) -> tuple[list[Work], Iterator[tuple[float, list[Work]]]]:
        """Who goes before a request in its own flow; and each other flow with its weight beside this one's."""
        own = self._flows[work.tenant, work.work_class]
        rank = _rank(work, now)
        before = [other for other in own.works if other is not work and _rank(other, now) <= rank]
        others = ((flow.quantum / own.quantum, flow.works) for flow in self._flows.values() if flow is not own)
        return before, others

    def pick(self, capacity: Callable[[Hashable], int], may_begin: int, now: float) -> list[Place]:
        """The pictures of the next step, all of one group; empty when there is nothing to do.

        `capacity(group)` bounds their number. `may_begin` bounds how many pictures may be newly begun; it is waived
        when else nothing could go on.
        """
        flows = self._in_turn()
        lead = self._lead(flows, may_begin, now)
        if lead is None:
            may_begin = _NO_BOUND
            lead = self._lead(flows, may_begin, now)
        return [] if lead is None else self._fill(flows, lead.group, max(1, capacity(lead.group)), may_begin, now)

    def _lead(self, flows: list[_Flow], may_begin: int, now: float) -> Work | None:
        """The request that is first: it says of which group the step is."""
        for flow in flows:
            able = [work for work in flow.works if work.has_begun or work.job.count <= may_begin]
            if able:
                return min(able, key=lambda work: _rank(work, now))
        return None

    def _fill(self, flows: list[_Flow], group: Hashable, room: int, may_begin: int, now: float) -> list[Place]:
        batch: list[Place] = []
        taken: set[str] = set()
        for on_credit in (False, True):  # a second round on credit: no place stays empty while someone waits
            for flow in flows:
                able = [work for work in flow.works if work.group == group and work.id not in taken]
                # More than fit are looked at, because some of the first may not begin.
                for work in heapq.nsmallest(2 * room, able, key=lambda work: _rank(work, now)):
                    if room <= 0 or (flow.deficit <= 0 and not on_credit):
                        break
                    if not work.has_begun:
                        if work.job.count > may_begin:
                            continue
                        may_begin -= work.job.count
                    taken.add(work.id)
                    pictures = work.open_pictures()[:room]
                    batch += [Place(work, picture) for picture in pictures]
                    room -= len(pictures)
                    # Not deeper into debt than one turn: who had the device alone must not starve when others come.
                    flow.deficit = max(flow.deficit - len(pictures), -flow.quantum)
        return batch

    def _in_turn(self) -> list[_Flow]:
        """The flows that have work, the one whose turn it is first."""
        while self._new or self._old:
            line = self._new or self._old
            flow = line[0]
            if flow.works and flow.deficit > 0:
                break
            line.popleft()
            if not flow.works and line is self._old:
                self._flows = {key: value for key, value in self._flows.items() if value is not flow}
                continue
            if flow.works:
                flow.deficit += flow.quantum
            self._old.append(flow)
        return [flow for flow in (*self._new, *self._old) if flow.works]


def _rank(work: Work, now: float) -> float:
    """Less goes first. The same for all but the pictures that move, so waiting alone never reorders."""
    left = work.seconds_left or 0.0
    if work.deadline_at is not None and work.deadline_at - now <= left:
        return float("-inf")
    return left + _AGEING * work.accepted_at
