"""How far each named consumer has taken the log, on disk: a small file a consumer, replaced as a whole.

Stored after a receiver accepted a batch, so a crash between the two sends the batch again: at least once, never not at
all. One process serves a consumer at a time (``flock``); two would each move the position past what the other lost.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from audit.errors import ConsumerBusy, StoreDamaged
from audit.export.cursor import Cursor
from audit.record import NAME_PATTERN
from audit.store.disk import Disk

_FORMAT: Final = 1
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is kept of one consumer."""

    cursor: Cursor
    last_leaf: bytes | None = None  # of the record before the cursor
    stored_at: datetime | None = None
    parked_reason: str = ""  # why sending stopped until a person looks; no content, no secret


class ConsumerPosition:
    """One consumer's file, held by this process until ``close``. Raises ``ConsumerBusy`` if another one has it.

    ``folder`` is shared by all processes that may serve the consumer; it holds no secret.
    """

    def __init__(self, folder: Path, consumer: str, origin: str, disk: Disk) -> None:
        if not re.fullmatch(NAME_PATTERN, consumer):
            raise ValueError("a consumer's name has 1 to 63 lower-case letters, digits and inner hyphens")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.consumer = consumer
        self._origin = origin
        self._path = folder / f"{consumer}.json"
        self._disk = disk
        self._lock = os.open(folder / f"{consumer}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConsumerBusy(
                f"consumer {consumer} is served by another process; stop it, or use another name"
            ) from None

    def load(self) -> Position:
        """What was stored; the beginning of the log for a new consumer.

        Raises ``StoreDamaged`` for a malformed file, ``QueryInvalid`` for a position in another log.
        """
        if not self._path.exists():
            return Position(cursor=Cursor(self._origin, 0))
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            if stored["format"] != _FORMAT:
                raise ValueError
            text, leaf = str(stored["cursor"]), stored["last_leaf"]
            last_leaf = None if leaf is None else bytes.fromhex(leaf)
            stored_at, reason = datetime.fromisoformat(stored["stored_at"]), str(stored["parked_reason"])
        except (ValueError, KeyError, TypeError):
            raise StoreDamaged(
                f"{self._path} is malformed; remove it to send everything again, or give the consumer a new name"
            ) from None
        cursor = Cursor.parse(text, self._origin)
        return Position(cursor=cursor, last_leaf=last_leaf, stored_at=stored_at, parked_reason=reason)

    def store(self, position: Position, at: datetime) -> None:
        """Keep a position; durable when this returns. Raises ``OSError``."""
        leaf = position.last_leaf
        stored = {
            "format": _FORMAT,
            "consumer": self.consumer,
            "cursor": str(position.cursor),
            "last_leaf": leaf.hex() if leaf is not None else None,
            "stored_at": at.isoformat(),
            "parked_reason": position.parked_reason,
        }
        self._disk.write_whole(self._path, json.dumps(stored, indent=2).encode(), _OWNER_ONLY)

    def close(self) -> None:
        """Let another process serve the consumer. Safe to repeat."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> ConsumerPosition:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
