"""Receipts of destruction: one JSON object a line in ``receipts.jsonl``, beside the list of destroyed days.

They repeat, for people and for an auditor's script, what the list and the log's purge records say together. Nothing is
decided by them. A purge that a crash cut short may write its receipt twice, with the same facts; one that still has
something to do says so (``space_freed``), and the last line of a scope counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from audit.record import RecordRef
from audit.store.disk import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeReceipt:
    """What was done about one day, or one class of it, in one call."""

    day: date
    class_: str | None = None  # None: all classes of the day
    keys_destroyed: int  # files of this call; 0 if an earlier one had destroyed them
    records: int  # in the day and class
    held: int = 0  # of these, records that a hold keeps readable
    bytes_freed: int = 0  # of ciphertext
    space_freed: bool  # False if something still reads the old file, or the disk refused: the next purge tries again
    record: RecordRef | None  # the purge record of this call; None if there is one already, or the log could not write
    at: datetime | None = None

    @property
    def did_something(self) -> bool:
        return bool(self.keys_destroyed or self.bytes_freed or self.record is not None)


class Receipts:
    """The file."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def add(self, receipt: PurgeReceipt, *, keys: int, event_id: str, seq: int) -> None:
        """Append durably. ``keys``, ``event_id`` and ``seq`` are those of the whole purge, whatever call they come
        from. Raises ``OSError``."""
        line: dict[str, Any] = {
            "day": receipt.day.isoformat(),
            "class": receipt.class_,
            "at": receipt.at.isoformat() if receipt.at else None,
            "keys_destroyed": keys,
            "records": receipt.records,
            "held": receipt.held,
            "bytes_freed": receipt.bytes_freed,
            "space_freed": receipt.space_freed,
            "event_id": event_id or None,
            "seq": seq if seq >= 0 else None,
        }
        self._disk.append(self._path, (json.dumps(line) + "\n").encode(), 0o600)


def read_receipts(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines of the file, oldest first; a line that a crash cut short is passed over."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
