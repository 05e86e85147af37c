"""Kills writers (and the database under them) over and over, sets their clock wrong, and keeps what they had
acknowledged."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
JUMPS_SECONDS = (86_400, -3_600)


@dataclass
class Told:
    """What was acknowledged, over all kills."""

    records: set[str] = field(default_factory=set)
    refused: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    ready_seconds: list[float] = field(default_factory=list)
    """From the start of a process to a log that is open, of each writer."""

    def count(self, kind: str) -> None:
        self.kills[kind] = self.kills.get(kind, 0) + 1

    def take(self, data: bytes) -> bytes:
        """Read whole lines; returns what is left of a torn one."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            text = line.decode()
            if text == "refused":
                self.refused += 1
            elif text.startswith(("intent ", "outcome ")):
                self.records.add(text)
        return rest


class Writer:
    """One process of `tests.storm.writer`."""

    def __init__(self, settings: Path, callers: int, node: str, told: Told) -> None:
        self.node = node
        self._told = told
        self._rest = b""
        self.is_ready = False
        self._started = time.monotonic()
        self._log = settings.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}.stderr")
        self._stderr = self._log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.writer", str(settings), str(callers), node],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def pump(self, seconds: float) -> None:
        """Take acknowledgements for a while."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.process.stdout], [], [], left)[0]:
                return
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise RuntimeError(f"a writer ended by itself: {self.complaint()}")
            self._read(data)

    def wait_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while not self.is_ready:
            if time.monotonic() > end:
                raise RuntimeError(f"a writer did not get ready: {self.complaint()}")
            self.pump(0.05)

    def kill(self) -> None:
        """SIGKILL, then read what it had said before."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGKILL)
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            self._read(data)
        self.process.wait()
        self.process.stdout.close()
        self._stderr.close()
        self._log.unlink()

    def complaint(self) -> str:
        return self._log.read_text("utf-8", "replace")[-3000:]

    def _read(self, data: bytes) -> None:
        if not self.is_ready and b"ready\n" in data:
            self.is_ready = True
            self._told.ready_seconds.append(time.monotonic() - self._started)
        self._rest = self._told.take(self._rest + data)


@dataclass(frozen=True, kw_only=True)
class Database:
    """What can be done to a database server, and who leads among its writers."""

    crashes: Mapping[str, Callable[[], None]]  # by name; each brings it up again
    leader: Callable[[], str | None]  # node of the writer that signs


def storm(
    settings: dict[str, Any],
    folder: Path,
    *,
    kills: int,
    writers: int,
    seed: int,
    database: Database | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Told:
    """Keep ``writers`` processes at work and kill one of them, or the database, ``kills`` times; every seventh time the
    clock jumps before, a day ahead or an hour back."""
    chance = random.Random(seed)
    told = Told()
    path = folder / "storm.json"
    path.write_text(json.dumps(settings, default=str), "utf-8")
    running: list[Writer] = []
    wrong_by = 0
    try:
        for number in range(kills):
            while len(running) < writers:
                node = f"writer-{number}-{len(running)}"
                running.append(Writer(path, chance.choice((1, 8, 32)), node, told))
            for writer in running:
                writer.wait_ready()
            if number % 7 == 3:
                wrong_by += chance.choice(JUMPS_SECONDS)
                _set_clock(folder / "clock", wrong_by)
                told.count("clock")
            running[chance.randrange(len(running))].pump(chance.uniform(0.0, 0.15))
            if database is not None and number % 5 == 4:
                how = chance.choice(sorted(database.crashes))
                database.crashes[how]()
                told.count(how)
                for writer in running:
                    writer.pump(0.3)
            else:
                victim = _leader(running, database) if number % 5 == 2 else None
                told.count("writer" if victim is None else "leader")
                victim = victim or running[chance.randrange(len(running))]
                running.remove(victim)
                victim.kill()
            if (number + 1) % 50 == 0:
                opened = sorted(told.ready_seconds[-50:])
                say(
                    f"{number + 1} kills, {len(told.records):,} acknowledged records; the last writers were ready in "
                    f"{opened[len(opened) // 2]:.1f} s, the slowest in {opened[-1]:.1f} s"
                )
    finally:
        for writer in running:
            writer.kill()
    return told


def _leader(running: list[Writer], database: Database | None) -> Writer | None:
    """The writer that signs at this moment, if it is known."""
    node = database.leader() if database is not None else None
    return next((writer for writer in running if writer.node == node), None)


def _set_clock(path: Path, wrong_by: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(str(wrong_by), "utf-8")
    fresh.replace(path)
