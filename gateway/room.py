"""Memory for what people upload, counted: many uploads at once must not become more than this process has."""

from __future__ import annotations

from typing import Final

from gateway.errors import RateLimited

RETRY_SECONDS: Final = 5.0


class Room:
    """`total_bytes` for everybody together. Used by the event loop's thread only."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._taken = 0

    @property
    def taken_bytes(self) -> int:
        return self._taken

    def lease(self) -> Lease:
        """Nothing yet; one for each request that brings files."""
        return Lease(self)

    def take(self, size_bytes: int) -> None:
        """Raises RateLimited, and takes nothing, when so much isn't left. Nobody waits: who waits holds something."""
        if self._taken + size_bytes > self._total:
            raise RateLimited(
                "Very many pictures are being sent right now. Try again in a few seconds; nothing was charged.",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._taken += size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._taken -= size_bytes


class Lease:
    """What one request holds. Owned by its task; `release` gives back all of it, however often it is called."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def hold(self, size_bytes: int) -> None:
        """So many bytes more. Raises RateLimited."""
        self._room.take(size_bytes)
        self._held += size_bytes

    def release(self) -> None:
        self._room.give_back(self._held)
        self._held = 0
