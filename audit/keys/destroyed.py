"""The list of destroyed days: kept beside the keys and outside the databases, so that a restored database, or a
restored key file, cannot bring a purged day back.

One JSON object a line, only ever appended:
``{"day": "2026-10-22", "event": "destroyed", "at": "2026-11-22T00:00:01+00:00"}``. Events of a day come in order:
``destroyed`` (from here on its keys are refused), ``recorded`` (the log holds its purge record), ``freed`` (the sealed
parts are gone from the database). Whatever is missing after a crash is done by the next purge.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from audit.errors import KeyRefused
from audit.store.disk import Disk


class PurgeStep(StrEnum):
    """How far the purge of a day has come."""

    DESTROYED = "destroyed"
    RECORDED = "recorded"
    FREED = "freed"


class DestroyedDays:
    """The list, read once and kept in step with the file. Callers hold the key ring's lock."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._steps: dict[date, set[PurgeStep]] = {}
        self._torn = False
        self._read()

    def __contains__(self, day: date) -> bool:
        return PurgeStep.DESTROYED in self._steps.get(day, ())

    def steps(self, day: date) -> frozenset[PurgeStep]:
        """What is done of the day's purge."""
        return frozenset(self._steps.get(day, ()))

    def unfinished(self) -> list[date]:
        """Days whose purge was cut short, oldest first."""
        return sorted(day for day, steps in self._steps.items() if steps != set(PurgeStep))

    def add(self, day: date, step: PurgeStep, at: datetime) -> None:
        """Append durably. In memory the step counts even if the append fails (the caller sees the ``OSError``): a day
        once given up is never opened again by this process."""
        self._steps.setdefault(day, set()).add(step)
        line = json.dumps({"day": day.isoformat(), "event": step.value, "at": at.isoformat()})
        self._disk.append(self._path, (("\n" if self._torn else "") + line + "\n").encode(), 0o600)
        self._torn = False

    def _read(self) -> None:
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8", errors="replace")
        *lines, tail = text.split("\n")
        self._torn = bool(tail)  # a crash in the middle of an append; the purge had not gone on, so it will be redone
        for line in filter(None, lines):
            try:
                entry = json.loads(line)
                day, step = date.fromisoformat(entry["day"]), PurgeStep(entry["event"])
            except (ValueError, KeyError, TypeError):
                if self._is_torn_line(line):
                    continue
                # An unreadable list must not turn destroyed days into readable ones.
                raise KeyRefused(f"{self._path} holds a line that is not a destroyed day") from None
            self._steps.setdefault(day, set()).add(step)

    @staticmethod
    def _is_torn_line(line: str) -> bool:
        # A torn append that a later append closed with a newline: a strict prefix of an entry, never a whole one.
        return '{"day": "'.startswith(line[:9]) and not line.endswith("}")
