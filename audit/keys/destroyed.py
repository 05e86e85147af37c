"""The list of destroyed days: kept beside the keys and outside the databases, so that a restored database, or a
restored key file, cannot bring a purged day back.

One JSON object a line, only ever appended::

    {"day": "2026-10-22", "event": "destroyed", "at": "2026-11-22T00:00:01+00:00", "keys": 2}
    {"day": "2026-10-22", "class": "abuse", "event": "freed", "at": "2027-01-21T00:00:02+00:00", "held": 3}

A line without a class speaks of all classes of its day. Events of a scope come in order: ``destroyed`` (from here on
its keys are refused), ``recorded`` (the log holds its purge record), ``freed`` (the sealed parts are gone from the
database, but for those under a hold). Whatever is missing after a crash is done by the next purge.

Several processes share the list. Each looks at the file before it uses a key and reads it again once it changed. What
a process saw destroyed stays destroyed for it, even if the list is put back to an older one under its feet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import KeyRefused, StoreDamaged
from audit.store.disk import Disk

LIST_NAME = "destroyed-days"

_log = logging.getLogger("audit.keys")


class PurgeStep(StrEnum):
    """How far the purge of a scope has come."""

    DESTROYED = "destroyed"
    RECORDED = "recorded"
    FREED = "freed"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is destroyed together: one class of a day, or (``None``) all classes of it."""

    day: date
    class_: str | None = None

    def __str__(self) -> str:
        """As a purge record's ``about`` names it."""
        return self.day.isoformat() if self.class_ is None else f"{self.day.isoformat()}/{self.class_}"

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Inverse of ``str``. Raises ``ValueError``."""
        day, slash, class_ = text.partition("/")
        return cls(date.fromisoformat(day), class_ if slash else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeState:
    """What the list tells of one scope."""

    steps: frozenset[PurgeStep] = frozenset()
    destroyed_at: datetime | None = None
    freed_at: datetime | None = None
    keys: int = 0  # key files that were there when it was destroyed
    event_id: str = ""  # of the purge record
    seq: int = -1
    held: int = 0  # records whose sealed parts a hold kept back when space was freed last

    @property
    def is_finished(self) -> bool:
        return len(self.steps) == len(PurgeStep)


_NOTHING = ScopeState()


class DestroyedDays:
    """The list, kept in step with the file by ``refresh``. Callers hold the key ring's lock."""

    def __init__(self, path: Path, disk: Disk) -> None:
        """Raises ``KeyRefused`` for a file with a line that is none: it must not turn destroyed into readable."""
        self.path = path
        self._disk = disk
        self._states: dict[Scope, ScopeState] = {}  # as the file says
        self._given_up: set[Scope] = set()  # destroyed for this process, whatever the file says
        self._seen: tuple[int, int, int] | None = None
        self._torn = False
        self.version = 0  # grows whenever what is destroyed may have changed
        self.is_rolled_back = False  # the file was replaced by an older one while this process ran
        self.refresh()

    def is_destroyed(self, day: date, class_: str | None = None) -> bool:
        """Are the keys of a day and class gone for good? Without a class: of all classes at once."""
        return self._is_destroyed(Scope(day)) or (class_ is not None and self._is_destroyed(Scope(day, class_)))

    def __contains__(self, day: date) -> bool:
        return self.is_destroyed(day)

    def state(self, scope: Scope) -> ScopeState:
        """What the file says of exactly this scope."""
        return self._states.get(scope, _NOTHING)

    def steps(self, day: date, class_: str | None = None) -> frozenset[PurgeStep]:
        """What is done, durably, of the purge of exactly this scope."""
        return self.state(Scope(day, class_)).steps

    def scopes(self) -> list[Scope]:
        """All scopes of the list, oldest first."""
        return sorted(self._states.keys() | self._given_up, key=lambda scope: (scope.day, scope.class_ or ""))

    def unfinished(self) -> list[Scope]:
        """Scopes whose purge was cut short, oldest first."""
        return [scope for scope in self.scopes() if not self.state(scope).is_finished]

    def require(self, purged: Iterable[tuple[str, int]]) -> None:
        """Raises ``StoreDamaged`` unless the list knows every purge that the log has a record of (``about``, ``seq``).

        A line is durable before its purge record, so a list that lacks one was put back from a backup, or is gone: it
        would let keys from the same backup open what was destroyed.
        """
        for about, seq in purged:
            try:
                scope = Scope.parse(about)
            except ValueError:
                continue  # verify judges records; here it only matters which keys must not be used
            if not self.is_destroyed(scope.day, scope.class_):
                raise StoreDamaged(
                    f"record {seq} tells of the purge of {about}, but the list of destroyed days {self.path} does not "
                    "know it: the list is older than the log, or missing. Put back the newest copy of that list (every "
                    "line that was ever written must be in it); do not put back older keys"
                )

    def give_up(self, scopes: Iterable[Scope]) -> None:
        """Refuse these in this process from now on, whether or not the list can be written."""
        self._given_up.update(scopes)
        self.version += 1

    def add(self, scopes: Iterable[Scope], step: PurgeStep, at: datetime, **details: int | str) -> None:
        """Append one line a scope, durably, in one write. Raises ``OSError``."""
        lines = ""
        for scope in scopes:
            class_ = {} if scope.class_ is None else {"class": scope.class_}
            entry = {"day": scope.day.isoformat(), **class_, "event": step.value, "at": at.isoformat(), **details}
            lines += json.dumps(entry) + "\n"
        # A line that a crash cut short is closed first, or ours would be taken for its end.
        self._disk.append(self.path, (("\n" if self._torn else "") + lines).encode(), 0o600)
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it changed; tells whether it did. Costs one ``stat`` otherwise."""
        seen = self._signature()
        if seen == self._seen and seen is not None:
            return False
        if seen is None and self._seen is None:
            return False
        states, torn = self._read()
        lost = [scope for scope in self._states if self._is_destroyed(scope) and not _destroyed(states, scope)]
        if lost:
            self.is_rolled_back = True
            self._given_up.update(lost)
            _log.error("audit.keys.list-rolled-back", extra={"path": str(self.path), "scopes": len(lost)})
        self._states, self._torn, self._seen = states, torn, seen
        self.version += 1
        return True

    def _is_destroyed(self, scope: Scope) -> bool:
        return scope in self._given_up or _destroyed(self._states, scope)

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def _read(self) -> tuple[dict[Scope, ScopeState], bool]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return {}, False
        # The tail lacks its newline: a crash in the middle of an append (the purge had not gone on, so it will be
        # redone), or another process that is writing it just now.
        *lines, tail = text.split("\n")
        states: dict[Scope, ScopeState] = {}
        for line in filter(None, lines):
            try:
                scope, state = _parse(json.loads(line), states)
            except (ValueError, KeyError, TypeError, AttributeError):
                if _is_torn_line(line):
                    continue
                # An unreadable list must not turn destroyed days into readable ones.
                raise KeyRefused(f"{self.path} holds a line that is not a destroyed day; restore the file") from None
            states[scope] = state
        return states, bool(tail)


def _destroyed(states: Mapping[Scope, ScopeState], scope: Scope) -> bool:
    state = states.get(scope)
    return state is not None and PurgeStep.DESTROYED in state.steps


def _parse(entry: Any, states: Mapping[Scope, ScopeState]) -> tuple[Scope, ScopeState]:
    class_ = entry.get("class")
    if class_ is not None and not isinstance(class_, str):
        raise ValueError("class is not a name")
    scope = Scope(date.fromisoformat(entry["day"]), class_)
    step, at = PurgeStep(entry["event"]), datetime.fromisoformat(entry["at"])
    before = states.get(scope, _NOTHING)
    state = replace(before, steps=before.steps | {step})
    if step is PurgeStep.DESTROYED:
        first = before.destroyed_at or at  # a key that was restored is destroyed again; the day it went is the first
        return scope, replace(state, destroyed_at=first, keys=max(before.keys, int(entry.get("keys", 0))))
    if step is PurgeStep.RECORDED:
        return scope, replace(state, event_id=str(entry.get("event_id", "")), seq=int(entry.get("seq", -1)))
    return scope, replace(state, freed_at=at, held=int(entry.get("held", 0)))


def _is_torn_line(line: str) -> bool:
    # A torn append that a later append closed with a newline: a strict prefix of an entry, never a whole one.
    return '{"day": "'.startswith(line[:9]) and not line.endswith("}")
