"""Failures of what a log stands on, one at a time and chosen: ``point:form:number``, also as ``AUDIT_FAULT``.

- ``point``: what is touched. Of files, a method of ``Disk`` (``commit``, ``write_whole``, ``create``, ``append``,
  ``erase``, ``replace``, ``sync_folder``); of a database, ``commit`` or ``flight`` (anything that is sent to it);
  ``any`` of either.
- ``form``: ``before``, failed and not persisted; ``after``, persisted but reported failed.
- ``number``: the how-manieth touch of that point, from 1.

``AUDIT_FAULT=every`` asks for all of them, where the suite takes a sample.

The product has none of this: files fail in a double of its ``Disk``, a database behind a real proxy that cuts the line.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.store.disk import Disk
from tests.support.cutting_proxy import CuttingProxy

VARIABLE = "AUDIT_FAULT"
FORMS = ("before", "after")
ANY, EVERY = "any", "every"
_SHAPE = re.compile(r"([a-z_]+):(before|after):([1-9][0-9]*)")
_COMMIT = b"commit\x00"


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure."""

    point: str
    form: str
    number: int

    def __str__(self) -> str:
        return f"{self.point}:{self.form}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Raises ``ValueError``."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            raise ValueError(f"expected point:form:number as in commit:after:3, got {text}")
        return cls(found[1], found[2], int(found[3]))

    @classmethod
    def from_environment(cls) -> Fault | None:
        """The one that somebody asked for."""
        text = os.environ.get(VARIABLE, "")
        return cls.parse(text) if text and not is_thorough() else None


def is_thorough() -> bool:
    """Does somebody want every fault there is?"""
    return os.environ.get(VARIABLE) == EVERY


class Countdown:
    """Counts touches until one fails. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.fault: Fault | None = None
        self.touches: Counter[str] = Counter()
        self.failed = ""  # what the failing touch was

    def arm(self, fault: Fault | None) -> None:
        """Count from here."""
        with self._lock:
            self.fault, self.failed = fault, ""
            self.touches.clear()

    def touch(self, point: str) -> str:
        """Is this one to fail, and how? ``""``: no."""
        with self._lock:
            self.touches[point] += 1
            self.touches[ANY] += 1
            fault = self.fault
            if fault is None or fault.point not in (point, ANY) or self.touches[fault.point] != fault.number:
                return ""
            self.failed = point
            return fault.form


class FaultyDisk(Disk):
    """A real disk with one failure."""

    def __init__(self) -> None:
        self.countdown = Countdown()

    def commit(self, connection: sqlite3.Connection) -> None:
        self._do("commit", lambda: super(FaultyDisk, self).commit(connection))

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        self._do("write_whole", lambda: super(FaultyDisk, self).write_whole(path, data, mode))

    def create(self, path: Path, data: bytes, mode: int) -> None:
        self._do("create", lambda: super(FaultyDisk, self).create(path, data, mode))

    def append(self, path: Path, data: bytes, mode: int) -> None:
        self._do("append", lambda: super(FaultyDisk, self).append(path, data, mode))

    def erase(self, path: Path) -> None:
        self._do("erase", lambda: super(FaultyDisk, self).erase(path))

    def replace(self, fresh: Path, path: Path) -> None:
        self._do("replace", lambda: super(FaultyDisk, self).replace(fresh, path))

    def sync_folder(self, folder: Path) -> None:
        self._do("sync_folder", lambda: super(FaultyDisk, self).sync_folder(folder))

    def free_fraction(self, folder: Path) -> float:
        return 0.5

    def _do(self, point: str, work: Callable[[], None]) -> None:
        form = self.countdown.touch(point)
        if form != "before":
            work()
        if form:
            # SQLite answers with an error of its own, the file system with another.
            raise sqlite3.OperationalError("disk I/O error") if point == "commit" else OSError(5, "Input/output error")


class FaultyLine(CuttingProxy):
    """A real line to a database server that breaks once: before what is sent arrives, or before the answer does."""

    def __init__(self, port: int) -> None:
        self.countdown = Countdown()
        super().__init__(port)

    def _how_to_cut(self, data: bytes) -> str:
        is_commit = data[-len(_COMMIT) :].lower() == _COMMIT
        return self.countdown.touch("commit" if is_commit else "flight")

    @staticmethod
    def url(url: str, port: int) -> str:
        """The same database through this line."""
        return re.sub(r"@127\.0\.0\.1:\d+/", f"@127.0.0.1:{port}/", url)
