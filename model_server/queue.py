"""The waiting room before the device: bounded, first come first served, safe between threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class RoomFull(Exception):
    """There is no place; nothing was changed."""


class RoomClosed(Exception):
    """No more is taken in, or there will be no more to take out."""


class WaitingRoom(Generic[T]):
    """A bounded queue that knows everyone's place and lets anyone leave from the middle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[T] = deque()  # guarded by _changed
        self._closed = False  # guarded by _changed
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting)

    def enter(self, item: T, on_enter: Callable[[int], None] = lambda _position: None) -> None:
        """Take the last place. Raises RoomFull or RoomClosed.

        `on_enter(position)` runs before anyone can take the item out, so that what it tells comes first.
        """
        with self._changed:
            if self._closed:
                raise RoomClosed
            if len(self._waiting) >= self._limit:
                raise RoomFull
            on_enter(len(self._waiting))
            self._waiting.append(item)
            self._changed.notify()

    def leave(self, item: T) -> bool:
        """Give up a place. False when the item is not waiting (any more)."""
        with self._changed:
            try:
                self._waiting.remove(item)
            except ValueError:
                return False
            return True

    def take(self) -> T:
        """The first in line; waits for one. Raises RoomClosed when closed and empty."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    raise RoomClosed
                self._changed.wait()
            return self._waiting.popleft()

    def close(self) -> list[T]:
        """Let nobody in any more. Returns those still waiting, who are sent away."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return left

    def line(self) -> list[T]:
        """Those waiting, first to last, as of now."""
        with self._changed:
            return list(self._waiting)
