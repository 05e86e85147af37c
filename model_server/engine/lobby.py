"""Everyone who has been accepted and not yet ended: who may come in, where they stand, and how the last ones ended.

Not safe between threads: the engine's lock is its guard.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from model_server.engine.events import Snapshot
from model_server.engine.forecast import alone_seconds, forecast
from model_server.engine.pace import PaceBook
from model_server.engine.schedule import Place, Schedule
from model_server.engine.work import Work
from model_server.errors import Conflict, QueueFull, Unavailable
from model_server.limits import BEGUN_PICTURES
from model_server.observe import Metrics
from model_server.wire import JobState

_REMEMBERED: Final = 1000
"""Ended requests whose last state can still be asked for. States only: the prompt goes when the request ends."""
_TENANT_SHARE: Final = 3
"""One tenant may have so many times the free places of the waiting room (dynamic thresholds, Choudhury & Hahne 1998):
alone three quarters of it, and less the fuller it is, so that the others find one."""
_UNKNOWN_WAIT_SECONDS: Final = 5


class Lobby:
    """The live requests and their schedule."""

    def __init__(self, limit: int, paces: PaceBook, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`limit`: requests that may wait, that is, have not begun."""
        self._limit = limit
        self._paces = paces
        self._metrics = metrics
        self._clock = clock
        self._schedule = Schedule()
        self._live: dict[str, Work] = {}
        self._on_device: frozenset[str] = frozenset()
        self._ended: OrderedDict[str, Snapshot] = OrderedDict()
        self._told: dict[str, int] = {}
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._live)

    def get(self, work_id: str) -> Work | None:
        """A live request."""
        return self._live.get(work_id)

    def works(self) -> list[Work]:
        """All live requests."""
        return list(self._live.values())

    def is_on_device(self, work: Work) -> bool:
        """Whether it takes part in the step of this moment: then it ends when that does."""
        return work.id in self._on_device

    def enter(self, work: Work) -> Snapshot:
        """Take a request in; says where it stands. Raises Conflict, QueueFull, Unavailable."""
        if self.is_closed:
            raise going_down()
        if work.id in self._live:
            raise Conflict("A request of this id is still in work.")
        self._find_room(work.tenant)
        work.step_seconds = self._paces.seconds_of_one(work)
        self._live[work.id] = work
        self._schedule.add(work)
        self._count()
        return self.snapshot(work)

    def leave(self, work: Work, state: JobState) -> None:
        """Forget a request but for its last state, and let go of its pictures."""
        del self._live[work.id]
        self._told.pop(work.id, None)
        self._schedule.remove(work)
        work.state = state
        self._ended[work.id] = work.snapshot(0, 0.0)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        work.let_go()
        self._count()

    def status(self, work_id: str) -> Snapshot | None:
        """Where a request is or how it ended; None when unknown or long ago."""
        work = self._live.get(work_id)
        return self._ended.get(work_id) if work is None else self.snapshot(work)

    def overdue(self) -> list[Work]:
        """Requests that nobody wants any more."""
        return self._schedule.overdue(self._clock())

    def next_step(self) -> list[Place]:
        """Choose the pictures of the next step; they are on the device until `step_done`."""
        begun = sum(len(work.slots) for work in self._live.values())
        places = self._schedule.pick(self._paces.capacity, BEGUN_PICTURES - begun, self._clock())
        self._on_device = frozenset(place.work.id for place in places)
        return places

    def step_done(self) -> None:
        """The step is over; those who took part in it can be cancelled at once again."""
        self._on_device = frozenset()
        self._count()

    def snapshot(self, work: Work) -> Snapshot:
        """Where a live request is."""
        return work.snapshot(*forecast(self._schedule, work, *self._paces.of_work(work), self._clock()))

    def moved(self) -> list[tuple[Work, Snapshot]]:
        """Those who wait and have another place than they were last told."""
        news = []
        for work in self._live.values():
            if work.state == "queued":
                snapshot = self.snapshot(work)
                if self._told.get(work.id) != snapshot.queue_position:
                    self._told[work.id] = snapshot.queue_position
                    news.append((work, snapshot))
        return news

    def _waiting(self) -> list[Work]:
        return [work for work in self._live.values() if work.state == "queued" and work.id not in self._on_device]

    def _find_room(self, tenant: str) -> None:
        waiting = self._waiting()
        free = self._limit - len(waiting)
        of_tenant = sum(work.tenant == tenant for work in waiting)
        if free <= 0 or of_tenant > _TENANT_SHARE * free:
            raise QueueFull("Too many requests are waiting.", retry_after_seconds=self._place_free_in())

    def _place_free_in(self) -> int:
        """Whole seconds until a request that is in work should end, which lets one that waits leave its place."""
        left = [
            alone_seconds(work, *self._paces.of_work(work)) for work in self._live.values() if work.state == "running"
        ]
        known = [seconds for seconds in left if seconds is not None]
        return max(1, math.ceil(min(known))) if known else _UNKNOWN_WAIT_SECONDS

    def _count(self) -> None:
        depths = Counter(work.work_class for work in self._waiting())
        for work_class, gauge in self._metrics.queue_depths.items():
            gauge.set(depths[work_class])


def going_down(retry_after_seconds: int = _UNKNOWN_WAIT_SECONDS) -> Unavailable:
    """The answer of a server that ends."""
    return Unavailable("The model server is shutting down.", retry_after_seconds=retry_after_seconds)
