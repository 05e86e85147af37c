"""Memory for uploads, counted."""

from __future__ import annotations

import pytest

from gateway.errors import RateLimited
from gateway.room import Room


def test_there_is_room_until_there_is_none():
    room = Room(100)
    first, second = room.lease(), room.lease()
    first.hold(60)
    with pytest.raises(RateLimited) as caught:
        second.hold(41)
    assert caught.value.retry_after_seconds
    second.hold(40)
    assert room.taken_bytes == 100


def test_what_was_refused_holds_nothing():
    room = Room(100)
    lease = room.lease()
    with pytest.raises(RateLimited):
        lease.hold(101)
    assert room.taken_bytes == 0


def test_all_of_it_goes_back_once():
    room = Room(100)
    lease = room.lease()
    lease.hold(30)
    lease.hold(30)
    lease.release()
    lease.release()
    assert room.taken_bytes == 0
