"""Kills writers (and the database under them) over and over, and keeps what they had acknowledged."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0


@dataclass
class Told:
    """What was acknowledged, over all kills."""

    records: set[str] = field(default_factory=set)
    refused: int = 0
    kills: dict[str, int] = field(default_factory=dict)

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

    def __init__(self, settings: Path, callers: int, told: Told) -> None:
        self._told = told
        self._rest = b""
        self.is_ready = False
        self._log = settings.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}.stderr")
        self._stderr = self._log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.writer", str(settings), str(callers)],
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
        self.is_ready = self.is_ready or b"ready\n" in data
        self._rest = self._told.take(self._rest + data)


def storm(
    settings: dict[str, Any],
    folder: Path,
    *,
    kills: int,
    writers: int,
    seed: int,
    kill_database: Callable[[], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Told:
    """Keep ``writers`` processes at work and kill one of them, or the database, ``kills`` times."""
    chance = random.Random(seed)
    told = Told()
    path = folder / "storm.json"
    path.write_text(json.dumps(settings, default=str), "utf-8")
    running: list[Writer] = []
    try:
        for number in range(kills):
            while len(running) < writers:
                running.append(Writer(path, chance.choice((1, 8, 32)), told))
            for writer in running:
                writer.wait_ready()
            running[chance.randrange(len(running))].pump(chance.uniform(0.0, 0.15))
            if kill_database is not None and number % 5 == 4:
                kill_database()
                told.count("database")
                for writer in running:
                    writer.pump(0.3)
            else:
                running.pop(chance.randrange(len(running))).kill()
                told.count("writer")
            if (number + 1) % 50 == 0:
                say(f"{number + 1} kills, {len(told.records):,} acknowledged records")
    finally:
        for writer in running:
            writer.kill()
    return told
