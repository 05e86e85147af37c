"""The list of erased events, kept beside the keys and outside the databases.

It is asked before anything is unsealed: a database restored from before an erasure holds the ciphertexts again, and
the day's keys may still be there, but nobody opens them. The list holds event ids and nothing else.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from audit.errors import StoreDamaged
from audit.governance.lines import LineFile
from audit.store.disk import Disk


class ErasedEvents:
    """Membership of the list, kept in step with the file: an erasure by another process counts at once."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._file = LineFile(path, disk)
        self._lock = threading.Lock()
        self._events: set[bytes] = set()

    def __contains__(self, event_id: object) -> bool:
        """Was the event (16 raw bytes) erased? Raises ``StoreDamaged`` if the list cannot be trusted."""
        self._catch_up()
        return event_id in self._events

    def __len__(self) -> int:
        self._catch_up()
        return len(self._events)

    def all(self) -> list[bytes]:
        """Every erased event."""
        self._catch_up()
        with self._lock:
            return sorted(self._events)

    def add(self, event_ids: Iterable[bytes], at: datetime) -> None:
        """Append durably what is not on the list yet."""
        self._catch_up()
        # In memory even if the append fails (the caller sees the OSError): once given up, never opened again here.
        with self._lock:
            fresh = [event_id for event_id in dict.fromkeys(event_ids) if event_id not in self._events]
            self._events.update(fresh)
        self._file.append({"event": str(uuid.UUID(bytes=event_id)), "at": at.isoformat()} for event_id in fresh)

    def _catch_up(self) -> None:
        with self._lock:
            for line in self._file.news():
                try:
                    self._events.add(uuid.UUID(line["event"]).bytes)
                except (KeyError, ValueError, TypeError, AttributeError):
                    raise StoreDamaged(f"{self._path} holds a line that is no erased event") from None
