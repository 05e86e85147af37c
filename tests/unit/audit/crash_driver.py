"""Kills logs in the middle of their work, over and over, and prints what they had acknowledged. Run by test_crash.py.

A program of its own: it forks children (cheap, everything is imported already), so it must not have threads.

usage: crash_driver.py FOLDER random ROUNDS SEED      kill -9 at a random moment while many callers write
       crash_driver.py FOLDER operation               kill -9 before and after each touch of the disk, one round each
       crash_driver.py FOLDER purge                   the same, in the middle of a purge
       crash_driver.py FOLDER class                   the same, in a purge of one class with a record under a hold
       crash_driver.py FOLDER release                 the same, in the purge after the release of a hold
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, AuditSettings, Entry, Subject
from audit.retention import RetentionRules
from audit.store.disk import Disk

Tell = Callable[[str], None]
Work = Callable[[Tell], Awaitable[None]]

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WHO = Subject(actor="alice", display="Alice")


class Countdown(Disk):
    """Kills the process at the n-th moment around a touch of the disk."""

    def __init__(self, moments: int) -> None:
        self.moments = moments

    def _tick(self) -> None:
        self.moments -= 1
        if self.moments == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def commit(self, connection: sqlite3.Connection) -> None:
        self._tick()
        super().commit(connection)
        self._tick()

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        self._tick()
        super().write_whole(path, data, mode)
        self._tick()

    def create(self, path: Path, data: bytes, mode: int) -> None:
        self._tick()
        super().create(path, data, mode)
        self._tick()

    def append(self, path: Path, data: bytes, mode: int) -> None:
        self._tick()
        super().append(path, data, mode)
        self._tick()

    def erase(self, path: Path) -> None:
        self._tick()
        super().erase(path)
        self._tick()

    def replace(self, fresh: Path, path: Path) -> None:
        self._tick()
        super().replace(fresh, path)
        self._tick()


def settings(folder: Path) -> AuditSettings:
    return AuditSettings(
        directory=folder / "log",
        kek_path=folder / "kek",
        signing_key_path=folder / "signing.pem",
        origin="example.com/audit",
        witness_path=folder / "witness" / "checkpoints",
        create_keys=True,
        checkpoint_interval_seconds=0.01,
    )


async def write(log: AuditLog, tell: Tell, requests: int, class_: str = "standard") -> None:
    """One caller: what it tells was acknowledged."""
    for _ in range(requests):
        content = {"prompt": "p" * 300}
        ticket = await log.intend(Entry(action="image:generate", subject=WHO, content=content, class_=class_))
        tell(f"intent {ticket.event_id}")
        await log.conclude(ticket, Entry(action="image:generate", subject=WHO, effect="allow", class_=class_))
        tell(f"outcome {ticket.event_id}")


async def write_much(folder: Path, disk: Disk, tell: Tell, callers: int, requests: int) -> None:
    log = await AuditLog.open(settings(folder), clock=lambda: START, disk=disk)
    await asyncio.gather(*(write(log, tell, requests) for _ in range(callers)))
    await log.aclose()


async def write_and_purge(folder: Path, moments: int, tell: Tell) -> None:
    now = START
    disk = Countdown(0)
    log = await AuditLog.open(settings(folder), clock=lambda: now, disk=disk)
    await write(log, tell, 2)
    now += timedelta(days=31)
    disk.moments = moments  # from here on
    await log.purge()
    await log.aclose()


async def purge_a_class(folder: Path, moments: int, tell: Tell, *, releases: bool) -> None:
    """Records 0 to 3 are standard, of which 1 is held; 4 to 7 are abuse and stay. With ``releases`` the purge itself
    is over before the countdown begins, and what is killed is the one after the hold's release."""
    now = START
    disk = Countdown(0)
    rules = RetentionRules(30, {"abuse": 90})
    log = await AuditLog.open(settings(folder), clock=lambda: now, disk=disk, rules=lambda: rules)
    held = {"standard": frozenset({1})}
    log.retention.escrow = lambda _day, class_: held.get(class_, frozenset())
    await write(log, tell, 2)
    await write(log, tell, 2, "abuse")
    now += timedelta(days=31)
    if releases:
        await log.purge()
        held.clear()
    disk.moments = moments  # from here on
    await log.purge()
    await log.aclose()


def in_child(work: Work, kill_after: float | None) -> tuple[list[str], bool]:
    """Run in a forked child; returns what it told, and whether it came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        pipe = os.fdopen(writing, "w")
        try:
            asyncio.run(work(lambda line: print(line, file=pipe, flush=True)))  # type: ignore[arg-type]
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    data = b""
    deadline = None
    while True:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([reading], [], [], timeout)[0]:
            piece = os.read(reading, 65536)
            if not piece:
                break
            data += piece
            if deadline is None and kill_after is not None:
                deadline = time.monotonic() + kill_after  # counts from the first acknowledgement
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            deadline, kill_after = None, None  # read on until the pipe ends: what was told before counts
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("a child failed by itself")
    return data.decode().splitlines(), os.WIFEXITED(status)


def main(folder: Path, mode: str, rounds: int = 0, seed: int = 0) -> None:
    told: dict[str, list[str]] = {}
    killed = 0
    chance = random.Random(seed)
    for moment in range(1, rounds + 1) if mode == "random" else itertools.count(1):
        place = folder if mode == "random" else folder / str(moment)
        place.mkdir(exist_ok=True)
        lines, ended = in_child(*work_of(mode, place, moment, chance))
        told.setdefault(place.name, []).extend(lines)
        killed += not ended
        if ended and mode != "random":
            break  # fewer moments in a whole run than the countdown: all have had their turn
    print(json.dumps({"told": told, "killed": killed}))


def work_of(mode: str, place: Path, moment: int, chance: random.Random) -> tuple[Work, float | None]:
    if mode == "random":
        callers = chance.choice((1, 8, 64))
        return lambda tell: write_much(place, Disk(), tell, callers, 10_000), chance.uniform(0, 0.05)
    if mode == "operation":
        return lambda tell: write_much(place, Countdown(moment), tell, 1, 2), None
    if mode in ("class", "release"):
        return lambda tell: purge_a_class(place, moment, tell, releases=mode == "release"), None
    return lambda tell: write_and_purge(place, moment, tell), None


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *(int(text) for text in sys.argv[3:]))
