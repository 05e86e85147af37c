"""How long a step takes at each batch size, measured at warm-up and learnt on; the ground of every promised time."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from model_server.engine.memory import MemoryBook
from model_server.engine.work import AnyModel, Work
from model_server.limits import EngineLimits

_NEW_WEIGHT = 0.2
"""Share of the newest measurement in the moving average: a step that was slowed once does not spoil the forecast."""
_GOOD_ENOUGH = 0.95
"""Share of the best throughput at which a batch stops growing: beyond it everybody only finishes later."""


class Pace:
    """Moving averages of the step time c(b) at batch size b. Used by the engine's thread, read by any."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def learn(self, batch: int, seconds: float) -> None:
        """Take in one measured step."""
        old = self._seconds.get(batch)
        self._seconds[batch] = seconds if old is None else old + _NEW_WEIGHT * (seconds - old)

    def step_seconds(self, batch: int) -> float | None:
        """The expected time of one step: measured, or on the line between measured neighbours; None before any."""
        known = dict(self._seconds)
        if batch in known:
            return known[batch]
        below = max((b for b in known if b < batch), default=None)
        above = min((b for b in known if b > batch), default=None)
        if below is not None and above is not None:
            share = (batch - below) / (above - below)
            return known[below] + share * (known[above] - known[below])
        nearest = above if below is None else below
        # Beyond what was measured the cost is taken as proportional: pessimistic above, and above is what matters.
        return None if nearest is None else known[nearest] * batch / nearest

    def best_batch(self) -> int:
        """The smallest measured batch that has 95 % of the best throughput; 1 before any measurement."""
        throughput = {batch: batch / seconds for batch, seconds in self._seconds.items() if seconds > 0}
        best = max(throughput.values(), default=0.0)
        return min((batch for batch, rate in throughput.items() if rate >= _GOOD_ENOUGH * best), default=1)


class FixedPace(Pace):
    """The pace of steps that are always padded to the same size: one cost, however many pictures are in them."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def learn(self, batch: int, seconds: float) -> None:
        super().learn(self._rows, seconds)

    def step_seconds(self, batch: int) -> float | None:
        return super().step_seconds(self._rows)

    def best_batch(self) -> int:
        return self._rows


class PaceBook:
    """The pace of each group, and with it how many pictures of that group should share a step."""

    def __init__(self, limits: EngineLimits, memory: MemoryBook) -> None:
        self._limits = limits
        self._memory = memory
        self._paces: dict[Hashable, Pace] = {}

    def of(self, group: Hashable) -> Pace:
        """The group's pace; an empty one when it was never seen."""
        if group not in self._paces:
            is_fixed = self._limits.batching == "fixed"
            self._paces[group] = FixedPace(self._limits.max_batch) if is_fixed else Pace()
        return self._paces[group]

    def capacity(self, group: Hashable) -> int:
        """Pictures that should share a step: as few as have the best throughput, and never more than memory allows.

        A group that was never measured takes one at a time: that still gives fairness, previews and cancelling.
        """
        group = group[:2] if isinstance(group, tuple) else group  # one that is taken alone has its shape's pace
        return self._memory.allowed(group, min(self.of(group).best_batch(), self._limits.max_batch))

    def of_work(self, work: Work) -> tuple[Pace, int]:
        """A request's pace and capacity."""
        group = (work.model, work.shape)
        return self.of(group), self.capacity(group)

    def seconds_of_one(self, work: Work) -> float | None:
        """What one step of one of its pictures takes of the device's time when the device is full; None: unknown."""
        pace, capacity = self.of_work(work)
        step = pace.step_seconds(capacity)
        return None if step is None else step / capacity

    def keep_only(self, models: Iterable[AnyModel]) -> None:
        """Forget the paces of all other models."""
        kept = list(models)
        self._paces = {g: pace for g, pace in self._paces.items() if isinstance(g, tuple) and g[0] in kept}
