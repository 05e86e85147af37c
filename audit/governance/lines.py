"""Append-only lists outside the database: one JSON object a line, shared by all processes of a log.

What stands on such a list no restored database takes back. Appending is serialised by a lock on the file; a line that
a crash cut short is closed by the next append and skipped by readers. Anything else that is no JSON object is refused:
an unreadable list must not turn into a shorter one.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit.canonical import JSON
from audit.errors import StoreDamaged
from audit.store.disk import Disk

_MODE = 0o600


class LineFile:
    """One list. ``news`` gives what was appended since the last call, by whichever process."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._lock = threading.Lock()
        self._read_bytes = 0

    def news(self) -> list[dict[str, Any]]:
        """Lines that are new to this object, in order. Raises ``StoreDamaged`` for a list that shrank or is no list."""
        with self._lock:
            try:
                size = self._path.stat().st_size
            except FileNotFoundError:
                size = 0
            if size < self._read_bytes:
                raise StoreDamaged(
                    f"{self._path} is shorter than it was: lines were taken out; restore the newest copy"
                )
            if size == self._read_bytes:
                return []
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read(size - self._read_bytes)
            whole = data[: data.rfind(b"\n") + 1]  # the rest is being written, or was cut short by a crash
            lines = [line for line in map(self._parse, whole.split(b"\n")) if line is not None]
            self._read_bytes += len(whole)  # last: a list that was refused is refused the next time too
        return lines

    def append(self, lines: Iterable[Mapping[str, JSON]]) -> None:
        """Append durably, all lines in one write."""
        text = "".join(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n" for line in lines)
        if text:
            with self._exclusively():
                torn = self._ends_torn()
                self._disk.append(self._path, (("\n" if torn else "") + text).encode(), _MODE)

    def _ends_torn(self) -> bool:
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) == 0:
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except FileNotFoundError:
            return False

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        # A file of its own: the list itself must not come into being before its first line does.
        path = self._path.with_name(self._path.name + ".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if not line:
            return None
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError
        except ValueError:
            if line.startswith(b"{") and not line.endswith(b"}"):
                return None  # cut short by a crash; whoever wrote it did not go on
            raise StoreDamaged(f"{self._path} holds a line that is no entry: restore the newest copy") from None
        return value
