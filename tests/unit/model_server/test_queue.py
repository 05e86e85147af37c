from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.queue import RoomClosed, RoomFull, WaitingRoom


def test_the_first_in_is_the_first_out() -> None:
    room: WaitingRoom[str] = WaitingRoom(3)
    for name in ("a", "b", "c"):
        room.enter(name)
    assert [room.take() for _ in range(3)] == ["a", "b", "c"]


def test_a_full_room_refuses_and_stays_as_it_was() -> None:
    room: WaitingRoom[str] = WaitingRoom(1)
    room.enter("a")
    with pytest.raises(RoomFull):
        room.enter("b")
    assert room.line() == ["a"]


def test_who_leaves_from_the_middle_is_never_taken() -> None:
    room: WaitingRoom[str] = WaitingRoom(3)
    for name in ("a", "b", "c"):
        room.enter(name)
    assert room.leave("b")
    assert not room.leave("b")
    assert [room.take(), room.take()] == ["a", "c"]


def test_the_place_is_told_before_anyone_can_take_the_item() -> None:
    room: WaitingRoom[str] = WaitingRoom(3)
    told: list[int] = []
    taken: list[int] = []

    def taker() -> None:
        room.take()
        taken.append(len(told))

    thread = threading.Thread(target=taker)
    thread.start()
    room.enter("a", told.append)
    thread.join(5)
    assert (told, taken) == ([0], [1])


def test_a_closed_room_sends_everyone_away_and_lets_nobody_in() -> None:
    room: WaitingRoom[str] = WaitingRoom(3)
    room.enter("a")
    assert room.close() == ["a"]
    with pytest.raises(RoomClosed):
        room.enter("b")
    with pytest.raises(RoomClosed):
        room.take()


def test_closing_wakes_whoever_waits() -> None:
    room: WaitingRoom[str] = WaitingRoom(1)
    ended = threading.Event()

    def taker() -> None:
        with pytest.raises(RoomClosed):
            room.take()
        ended.set()

    thread = threading.Thread(target=taker)
    thread.start()
    room.close()
    assert ended.wait(5)


@given(st.lists(st.sampled_from(["enter", "take", "leave"]), max_size=60), st.integers(1, 5))
def test_it_behaves_as_a_bounded_list_whatever_is_done(actions: list[str], limit: int) -> None:
    room: WaitingRoom[int] = WaitingRoom(limit)
    model: list[int] = []
    for number, action in enumerate(actions):
        if action == "enter" and len(model) < limit:
            room.enter(number)
            model.append(number)
        elif action == "take" and model:
            assert room.take() == model.pop(0)
        elif action == "leave" and model:
            assert room.leave(model.pop(len(model) // 2))
        assert room.line() == model
        assert len(room) == len(model)
