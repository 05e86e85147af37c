"""The queues in front of a store: how many wait, in which order they are taken, and who waits for whom."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from audit import AuditUnavailable
from audit.store.queue import WriteQueue


class Taken:
    """Takes batches when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.has_begun = threading.Event()

    def __call__(self, batch: list[int]) -> None:
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        self.batches.append(batch)


def queue_of(taken: Taken, **options: Any) -> WriteQueue[int]:
    return WriteQueue(taken, failed=lambda _: None, **{"max_pending": 4, "max_batch": 2, **options})


def test_jobs_are_taken_in_their_order_so_many_at_a_time() -> None:
    taken = Taken()
    queue = queue_of(taken)
    for job in range(4):
        queue.submit(job)
    taken.may_go_on.set()
    queue.start()
    queue.close()
    assert taken.batches == [[0, 1], [2, 3]]


def test_those_that_wait_further_on_count_as_pending() -> None:
    further_on = [1]
    queue = queue_of(Taken(), handed_on=lambda: further_on[0])
    for job in range(3):
        queue.submit(job)
    with pytest.raises(AuditUnavailable, match="4 records are waiting"):
        queue.submit(3)
    further_on[0] = 0
    queue.submit(3)


def test_whoever_hands_over_waits_for_room_and_nothing_is_refused() -> None:
    taken = Taken()
    queue = queue_of(taken)
    for job in range(4):
        queue.submit(job)
    handed = threading.Thread(target=queue.hand_over, args=([4, 5],))
    handed.start()
    handed.join(0.1)
    assert handed.is_alive()
    assert len(queue) == 4
    queue.start()
    assert taken.has_begun.wait(10)  # two of the four are taken, and there is room
    handed.join(10)
    assert not handed.is_alive()
    taken.may_go_on.set()
    queue.close()
    assert taken.batches == [[0, 1], [2, 3], [4, 5]]


async def test_records_keep_the_order_they_came_in(house: Any, make: Any) -> None:
    async with house.open() as log:
        tickets = await asyncio.gather(*(log.intend(make.intent(f"user-{number}")) for number in range(300)))
    assert [ticket.seq for ticket in tickets] == list(range(300))


async def test_the_next_records_are_sealed_while_the_disk_is_busy(house: Any, make: Any) -> None:
    async with house.open() as log:
        await log.intend(make.intent())
        writer = log._store._writer
        write, prepare = writer._files[house.clock().date()].write, writer._composer.prepare
        busy, sealed = threading.Event(), threading.Event()

        def slow(rows: Any) -> None:
            busy.set()
            assert sealed.wait(10), "nothing was sealed meanwhile"
            write(rows)

        def noticed(job: Any) -> Any:
            if busy.is_set():
                sealed.set()
            return prepare(job)

        writer._files[house.clock().date()].write = slow
        writer._composer.prepare = noticed
        first = asyncio.create_task(log.intend(make.intent()))
        await asyncio.to_thread(busy.wait, 10)
        second = await log.intend(make.intent())
        assert second.seq == (await first).seq + 1
