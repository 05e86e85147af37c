"""How long a step takes at each batch size, learnt as the server runs; the ground of every promised time."""

from __future__ import annotations

_NEW_WEIGHT = 0.2
"""Share of the newest measurement in the moving average: a step that was slowed once does not spoil the forecast."""


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
