"""The pusher over a real log and a real receiver: in order, at least once, parked, stopped, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.errors import AuditUnavailable, SinkRefused, SinkUnavailable, StoreDamaged
from audit.export import ExportRecord, FeedFormat
from audit.export.cursor import Cursor
from audit.export.follow import Follow
from audit.export.positions import ConsumerPosition
from audit.export.source import FolderSource
from audit.push.backoff import Backoff
from audit.push.pusher import Pusher
from audit.push.webhook import WebhookSink, WebhookTarget
from audit.store.disk import Disk

ORIGIN = "example.com/audit"
ROOT = Path(__file__).parents[4]


@pytest.fixture
async def filled(house: Any, make: Any) -> Any:
    """A closed log with 40 records."""
    async with house.open() as log:
        for number in range(20):
            await make.request(log, f"person-{number}")
    house.positions = house.folder / "positions"
    return house


class Memory:
    """A sink that keeps what it is given, and fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.batches: list[list[str]] = []
        self.closed = False

    async def send(self, records: Sequence[ExportRecord]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([record.uid for record in records])

    async def aclose(self) -> None:
        self.closed = True

    @property
    def uids(self) -> list[str]:
        return [uid for batch in self.batches for uid in batch]


def open_pusher(house: Any, place: ConsumerPosition, sink: Any, **options: Any) -> Pusher:
    stored = place.load()
    follow = Follow(FolderSource(house.store), stored.cursor, clock=house.clock, last_leaf=stored.last_leaf)
    options = {"backoff": Backoff(0.001, 0.01), "idle_seconds": 0.01, "batch_limit": 7, **options}
    return Pusher(follow, sink, place, clock=house.clock, **options)


async def push_once(house: Any, sink: Any, **options: Any) -> Pusher:
    with ConsumerPosition(house.positions, "siem", ORIGIN, Disk()) as place:
        pusher = open_pusher(house, place, sink, **options)
        async with asyncio.timeout(20):
            await pusher.run(until_caught_up=True)
    return pusher


async def all_uids(house: Any) -> list[str]:
    sink = Memory()
    with ConsumerPosition(house.folder / "reference", "all", ORIGIN, Disk()) as place:
        await open_pusher(house, place, sink, batch_limit=1000).run(until_caught_up=True)
    return sink.uids


async def test_everything_arrives_once_in_order_and_a_second_run_has_nothing_to_do(filled: Any) -> None:
    sink, again = Memory(), Memory()
    pusher = await push_once(filled, sink)
    assert sink.uids == await all_uids(filled)
    assert len(sink.uids) == 40
    assert [len(batch) for batch in sink.batches] == [7, 7, 7, 7, 7, 5]
    assert sink.closed
    figures = await pusher.figures()
    assert (figures.sent, figures.lag_records, figures.position, figures.failures) == (40, 0, 40, 0)
    await push_once(filled, again)
    assert again.batches == []


async def test_a_receiver_that_fails_for_a_while_gets_everything_after(filled: Any) -> None:
    heard: list[str] = []
    sink = Memory(*[SinkUnavailable("webhook answered 503")] * 5)
    pusher = await push_once(filled, sink, report=heard.append)
    assert sink.uids == await all_uids(filled)
    assert (await pusher.figures()).failures == 5
    assert heard == ["webhook answered 503", "going on"]  # once, and not five times


async def test_a_wish_to_wait_is_honoured(filled: Any) -> None:
    sink = Memory(SinkUnavailable("busy", retry_after_seconds=0.3))
    began = time.monotonic()
    await push_once(filled, sink)
    assert time.monotonic() - began >= 0.3


async def test_a_refusal_parks_the_consumer_and_a_new_start_tries_again(filled: Any) -> None:
    sink = Memory(SinkUnavailable("busy"), SinkRefused("webhook siem answered 401"))
    pusher = await push_once(filled, sink)
    figures = await pusher.figures()
    assert (figures.parked_reason, figures.lag_records, figures.sent) == ("webhook siem answered 401", 40, 0)
    stored = json.loads((filled.positions / "siem.json").read_text())
    assert stored["parked_reason"] == "webhook siem answered 401"
    sink = Memory()
    await push_once(filled, sink)
    assert len(sink.uids) == 40
    assert json.loads((filled.positions / "siem.json").read_text())["parked_reason"] == ""


async def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_grows_again(filled: Any) -> None:
    class Small(Memory):
        async def send(self, records: Sequence[ExportRecord]) -> None:
            if len(records) > 3 and len(self.batches) < 4:
                raise SinkRefused("webhook answered 413", is_too_large=True)
            await super().send(records)

    sink = Small()
    await push_once(filled, sink)
    assert sink.uids == await all_uids(filled)
    assert max(len(batch) for batch in sink.batches) > 3

    class Tiny(Memory):
        async def send(self, records: Sequence[ExportRecord]) -> None:
            raise SinkRefused("webhook answered 413", is_too_large=True)

    with ConsumerPosition(filled.positions, "other", ORIGIN, Disk()) as place:
        pusher = open_pusher(filled, place, Tiny())
        await asyncio.wait_for(pusher.run(), 10)
    assert (await pusher.figures()).parked_reason == "webhook answered 413"


async def test_a_log_that_cannot_be_read_for_a_while_is_waited_for(filled: Any) -> None:
    class Busy(FolderSource):
        failures = 3

        async def covered(self) -> Any:
            if Busy.failures:
                Busy.failures -= 1
                raise AuditUnavailable("the audit log cannot be read")
            return await super().covered()

    sink = Memory()
    with ConsumerPosition(filled.positions, "siem", ORIGIN, Disk()) as place:
        follow = Follow(Busy(filled.store), place.load().cursor, clock=filled.clock)
        pusher = Pusher(follow, sink, place, clock=filled.clock, backoff=Backoff(0.001, 0.01), idle_seconds=0.01)
        await asyncio.wait_for(pusher.run(until_caught_up=True), 10)
    assert len(sink.uids) == 40


async def test_a_position_that_cannot_be_stored_ends_the_run_and_the_batch_comes_again(filled: Any) -> None:
    class Full(Disk):
        def write_whole(self, path: Path, data: bytes, mode: int) -> None:
            raise OSError(28, "No space left on device")

    sink = Memory()
    with ConsumerPosition(filled.positions, "siem", ORIGIN, Full()) as place, pytest.raises(OSError, match="No space"):
        await open_pusher(filled, place, sink).run()
    assert len(sink.uids) == 7
    assert sink.closed
    again = Memory()
    await push_once(filled, again)
    assert again.uids[:7] == sink.uids


async def test_a_position_that_was_stored_and_reported_failed_loses_nothing_either(filled: Any) -> None:
    class Confused(Disk):
        def write_whole(self, path: Path, data: bytes, mode: int) -> None:
            super().write_whole(path, data, mode)
            raise OSError(5, "Input/output error")

    sink, again = Memory(), Memory()
    with ConsumerPosition(filled.positions, "siem", ORIGIN, Confused()) as place, pytest.raises(OSError, match="error"):
        await open_pusher(filled, place, sink).run()
    await push_once(filled, again)
    assert sink.uids + again.uids == await all_uids(filled)


async def test_stopping_ends_a_wait_at_once_and_a_send_after_it(filled: Any) -> None:
    class Slow(Memory):
        async def send(self, records: Sequence[ExportRecord]) -> None:
            await asyncio.sleep(0.1)
            await super().send(records)

    sink = Slow()
    with ConsumerPosition(filled.positions, "siem", ORIGIN, Disk()) as place:
        pusher = open_pusher(filled, place, sink)
        task = asyncio.create_task(pusher.run())
        await asyncio.sleep(0.05)
        await pusher.aclose(task)
        assert len(sink.batches) == 1  # what was being sent was finished and stored
        assert place.load().cursor == Cursor(ORIGIN, 7)
        waiting = open_pusher(filled, place, Memory(*[SinkUnavailable("no")] * 9), backoff=Backoff(60, 60))
        task = asyncio.create_task(waiting.run())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await waiting.aclose(task)
        assert time.monotonic() - began < 1


async def test_a_receiver_that_never_answers_does_not_hold_up_the_end(filled: Any) -> None:
    class Never(Memory):
        async def send(self, records: Sequence[ExportRecord]) -> None:
            await asyncio.Event().wait()

    sink = Never()
    with ConsumerPosition(filled.positions, "siem", ORIGIN, Disk()) as place:
        pusher = open_pusher(filled, place, sink)
        task = asyncio.create_task(pusher.run())
        await asyncio.sleep(0.02)
        await pusher.aclose(task, grace_seconds=0.05)
        assert sink.closed
        assert place.load().cursor.position == 0


async def test_a_store_that_was_tampered_with_ends_the_run(filled: Any) -> None:
    import sqlite3

    connection = sqlite3.connect(filled.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'deny' where seq = 9")
    connection.close()
    sink = Memory()
    with pytest.raises(StoreDamaged, match="record 9"):
        await push_once(filled, sink)
    assert len(sink.uids) == 7


async def test_a_log_rewritten_between_two_runs_is_found_by_the_next(filled: Any, make: Any) -> None:
    await push_once(filled, Memory())
    path = filled.positions / "siem.json"
    stored = json.loads(path.read_text())
    assert len(stored["last_leaf"]) == 64
    stored["last_leaf"] = "00" * 32  # to the follower, the log has another record there now
    path.write_text(json.dumps(stored))
    with pytest.raises(StoreDamaged, match="record 39 is not the one that was taken"):
        await push_once(filled, Memory())


async def test_records_written_meanwhile_follow(house: Any, make: Any) -> None:
    house.with_settings(checkpoint_interval_seconds=0.02)
    sink = Memory()
    async with house.open() as log:
        house.positions = house.folder / "positions"
        with ConsumerPosition(house.positions, "siem", ORIGIN, Disk()) as place:
            pusher = open_pusher(house, place, sink)
            task = asyncio.create_task(pusher.run())
            for number in range(10):
                await make.request(log, f"person-{number}")
            async with asyncio.timeout(10):
                while len(sink.uids) < 20:
                    await asyncio.sleep(0.01)
            await pusher.aclose(task)
    assert len(set(sink.uids)) == 20


async def test_a_real_receiver_that_fails_in_every_way_has_everything_in_the_end(
    filled: Any, webhook_server: Any, answer: Any, secret_file: Path
) -> None:
    webhook_server.script = [
        answer(status=503),
        answer(),
        answer(hang_up=True),
        answer(stall_seconds=2),
        answer(status=429, headers={"Retry-After": "0"}),
        answer(),
        answer(status=413),
        answer(status=413),
        answer(),
        answer(drip=True),
    ]
    target = WebhookTarget(url=f"http://127.0.0.1:{webhook_server.port}/", secret_file=secret_file)
    sink = WebhookSink(target, FeedFormat.OCSF, total_seconds=0.3)
    await push_once(filled, sink)
    expected = await all_uids(filled)
    assert list(dict.fromkeys(webhook_server.accepted)) == expected


# -- kill -9


def spawn(filled: Any, server: Any, secret_file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "audit", "follow", filled.store, "--consumer", "siem", "--format", "ocsf"]
    options = ["--to", f"http://127.0.0.1:{server.port}/", "--secret", secret_file, "--batch", "5", "--once"]
    return subprocess.Popen([str(part) for part in command + options], cwd=ROOT, stderr=subprocess.PIPE)


def wait_for(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_kill_minus_nine_loses_nothing_and_repeats_carry_the_same_uid(
    filled: Any, webhook_server: Any, answer: Any, secret_file: Path
) -> None:
    expected = await all_uids(filled)
    # Killed while the third batch was received and not answered, then between answers, then left alone.
    for kill_at in (3, 6):
        webhook_server.script = [answer()] * 2 + [answer(stall_seconds=30)]
        process = spawn(filled, webhook_server, secret_file)
        wait_for(lambda at=kill_at: len(webhook_server.deliveries) >= at)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    webhook_server.script = []
    process = spawn(filled, webhook_server, secret_file)
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 0, printed
    received = [uid for delivery in webhook_server.deliveries for uid in delivery.uids]
    assert list(dict.fromkeys(received)) == expected  # all of them, first seen in order
    assert len(received) == 40 + 10  # the two unanswered batches came twice
    seen: dict[str, Any] = {}
    for delivery in webhook_server.deliveries:
        for record in delivery.records:
            assert seen.setdefault(record["metadata"]["uid"], record) == record


async def test_a_signal_ends_the_command_cleanly(
    filled: Any, webhook_server: Any, answer: Any, secret_file: Path
) -> None:
    webhook_server.script = [answer()] * 3 + [answer(status=503)] * 1000
    process = spawn(filled, webhook_server, secret_file)
    wait_for(lambda: len(webhook_server.deliveries) >= 5)
    process.terminate()
    _, printed = process.communicate(timeout=10)
    assert process.returncode == 0, printed
    assert b"15 records sent, 25 waiting" in printed
    assert b"webhook 127.0.0.1 answered 503" in printed
