"""Which revisions may decide: the one in force, and for a while the one before it.

An OPA server takes a change when its bundle arrives, seconds after us. A server that stays behind goes on deciding by
rules that were taken back, and OPA itself has no guard against that; this is it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

REMEMBERED: Final = 64
"""Revisions of before, by which a straggler is called stale and not unknown. Both are refused."""


class Standing(StrEnum):
    """What a revision is to us."""

    CURRENT = "current"
    PASSING = "passing"
    """Superseded, and not longer than a server may take to follow."""
    STALE = "stale"
    UNKNOWN = "unknown"


class Revisions:
    """What was in force here, and until when. Touched by the event loop's thread only."""

    def __init__(self, clock: Callable[[], datetime], stale_after: timedelta) -> None:
        self._clock = clock
        self._stale_after = stale_after
        self._current: frozenset[str] = frozenset()
        self._until: OrderedDict[str, datetime] = OrderedDict()

    def put_in_force(self, *names: str) -> None:
        """From now on `names` (of one set of rules) are in force, and what was is superseded."""
        now, new = self._clock(), frozenset(names)
        for name in self._current - new:
            self._until[name] = now
            self._until.move_to_end(name)
        for name in new:
            self._until.pop(name, None)
        while len(self._until) > REMEMBERED:
            self._until.popitem(last=False)
        self._current = new

    def standing(self, revision: str) -> Standing:
        """What `revision` is now."""
        if revision in self._current:
            return Standing.CURRENT
        until = self._until.get(revision)
        if until is None:
            return Standing.UNKNOWN
        return Standing.PASSING if self._clock() - until <= self._stale_after else Standing.STALE

    def behind_seconds(self, revision: str) -> float:
        """Since when `revision` is superseded; 0 for the one in force and for unknown ones."""
        until = self._until.get(revision)
        return 0.0 if until is None else (self._clock() - until).total_seconds()
