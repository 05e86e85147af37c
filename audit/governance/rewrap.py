"""After a rotation of the key service: the day keys, the governance key and the holds' keys are wrapped anew.

Whoever does it goes on record, before and after. Where the log is open in the process that rewraps (``AuditLog.
rewrap_keys``), the records are written then. A command that runs beside a gateway which has the log's files to itself
cannot write there: it puts both on a list in the key folder first, ``keys/rewraps``, durably, and whoever has the log
open, or opens it next, puts on record what stands there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from audit.canonical import JSON
from audit.errors import AuditError, StoreDamaged
from audit.governance.hold_keys import HoldKeys
from audit.governance.keys import GovernanceKeys
from audit.governance.lines import LineFile
from audit.governance.names import REWRAPS_NAME
from audit.governance.wrapped import KeyWrapper
from audit.ids import new_event_id
from audit.keys.files import OWNER_ONLY
from audit.keys.rewrap import RewrapReport, rewrap
from audit.keys.services.port import KeyService
from audit.record import Effect, Entry, RecordRef, Subject
from audit.store.disk import Disk
from audit.vocabulary import LogEvent

Write = Callable[[Entry], Awaitable[RecordRef]]
Note = Callable[[dict[str, JSON]], Awaitable[object]]
"""Puts one step of a rewrap on record, or on the list; durable when it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """What one rewrap did."""

    days: RewrapReport
    governed: int  # keys of cases and holds that were wrapped anew


def rewrap_governance(folder: Path, wrapper: KeyWrapper, disk: Disk, *, everything: bool = False) -> int:
    """Wrap what is not under the service's present key yet; returns how many files. ``folder`` is the key folder.

    ``everything`` as in ``audit.keys.rewrap``. File by file, each whole or not at all: safe to repeat,
    and to kill in the middle. The keys themselves stay. Must be done before an old key of the service is taken away:
    approvals and held records hang on these. Raises ``KeyRefused`` naming the first file that does not open.
    """
    governance = GovernanceKeys(folder, wrapper, disk).rewrap(everything=everything)
    return int(governance) + HoldKeys(folder, wrapper, disk).rewrap(everything=everything)


async def rewrap_on_record(
    folder: Path, service: KeyService, disk: Disk, note: Note, *, everything: bool = False
) -> Rewrapped:
    """Rewrap all keys of a folder. Nothing is touched before ``note`` has put it down; how it ended is put down too,
    also when it failed. Raises what ``audit.keys.rewrap`` and ``rewrap_governance`` raise."""
    act = new_event_id(datetime.now().astimezone())  # joins the two; it is no record's id
    key = await asyncio.to_thread(lambda: service.key_id)  # it may ask the service
    await note({"rewrap": act, "step": "begun", "key": key, "everything": everything})
    try:
        days = await asyncio.to_thread(rewrap, folder, service, disk, everything=everything)
        governed = await asyncio.to_thread(rewrap_governance, folder, service, disk, everything=everything)
    except (AuditError, OSError) as error:
        await note({"rewrap": act, "step": "failed", "cause": type(error).__name__})
        raise
    ended: dict[str, JSON] = {
        "rewrapped": len(days.rewrapped) + governed,
        "already_current": days.already_current,
        "problems": len(days.problems),
    }
    await note({"rewrap": act, "step": "done", "key": days.key_id, **ended})
    return Rewrapped(days=days, governed=governed)


def rewrap_entry(by: str, content: dict[str, Any], tenant: str) -> Entry:
    """What the log says about one step."""
    effect = Effect.FAILED if content.get("step") == "failed" else Effect.ALLOW
    return Entry(action=LogEvent.KEYS_REWRAP, subject=Subject(actor=by), tenant=tenant, effect=effect, content=content)


class NotedRewraps:
    """The list of rewraps that were done beside the log. Append-only: what was put on record is marked so."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / REWRAPS_NAME
        self._disk = disk

    def note(self, by: str, at: datetime, content: dict[str, JSON]) -> None:
        """Durable when it returns."""
        self._lines().append([{"note": new_event_id(at), "by": by, "at": at.isoformat(), "content": content}])

    def open(self) -> list[dict[str, Any]]:
        """Steps that are not on record yet, oldest first. Raises ``StoreDamaged`` for a list that is none."""
        if not self._path.exists():
            return []
        lines = self._lines().news()
        recorded = {line.get("recorded") for line in lines}
        found = [line for line in lines if "note" in line and line["note"] not in recorded]
        if any(not isinstance(line.get("by"), str) or not isinstance(line.get("content"), dict) for line in found):
            raise StoreDamaged(f"{self._path} holds a line that is no rewrap")
        return found

    async def put_on_record(self, write: Write, tenant: str) -> int:
        """Record what is not recorded yet; returns how many. One process does it, the others pass by. A crash between
        record and mark records a step twice, under the same note. Raises ``AuditUnavailable``, ``StoreDamaged``."""
        if not await asyncio.to_thread(self.open):
            return 0
        count = 0
        with self._alone() as is_mine:
            for line in await asyncio.to_thread(self.open) if is_mine else ():
                noted = {"note": line["note"], "noted_at": str(line.get("at"))}
                reference = await write(rewrap_entry(line["by"], {**line["content"], **noted}, tenant))
                mark = {"recorded": line["note"], "event_id": reference.event_id}
                await asyncio.to_thread(self._lines().append, [mark])
                count += 1
        return count

    def _lines(self) -> LineFile:
        return LineFile(self._path, self._disk)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        path = self._path.with_name(f"{REWRAPS_NAME}.recording")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)
