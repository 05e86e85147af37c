"""Which missing content was erased on request: what ``verify`` asks, with files and a public key only.

An erasure is announced by a record of phase ``erasure`` before anything goes. Its ``about``, bound into the tree, is
the SHA-256 of the list of erased sequence numbers. The list itself is not in the log: it lies beside it, as
``erasures/<event id>.json`` of a directory or in the table ``audit.governance_erasure_list`` of a database, and is
worth exactly what its digest says.

The canonical list is JSON: ``[3,17,18]``, strictly ascending, no spaces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from audit.errors import StoreDamaged
from audit.store.disk import Disk

MAX_LIST_BYTES = 64 << 20  # four million sequence numbers


class ErasureLists(Protocol):
    """Where the lists are kept."""

    def get(self, event_id: str) -> bytes | None:
        """The canonical list of an erasure, or ``None`` if there is none."""
        ...

    def put(self, event_id: str, canonical: bytes) -> None:
        """Keep a list durably. Safe to repeat."""
        ...

    def event_ids(self) -> list[str]:
        """Erasures that have a list, oldest first."""
        ...


class FileErasureLists:
    """Lists as files of one folder. Reading needs no lock and creates nothing."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()

    def get(self, event_id: str) -> bytes | None:
        path = self._folder / f"{event_id}.json"
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                raise StoreDamaged(f"{path} is larger than {MAX_LIST_BYTES} bytes: it is no list of an erasure")
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def put(self, event_id: str, canonical: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._disk.write_whole(self._folder / f"{event_id}.json", canonical, 0o600)

    def event_ids(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json"))  # version 7 ids sort by time


def canonical_list(seqs: Collection[int]) -> bytes:
    """The one spelling of a set of sequence numbers."""
    return json.dumps(sorted(set(seqs)), separators=(",", ":")).encode()


def digest_of(canonical: bytes) -> str:
    """What the erasure's record says in ``about``."""
    return hashlib.sha256(canonical).hexdigest()


def covered_seqs(event_id: str, about: str, lists: ErasureLists) -> frozenset[int]:
    """Sequence numbers that an erasure record covers.

    ``event_id`` and ``about`` are those of a record of phase ``erasure`` whose leaf was checked. Raises
    ``StoreDamaged`` if its list is missing (whatever it would excuse is not excused), malformed, or another than the
    one that was announced.
    """
    canonical = lists.get(event_id)
    if canonical is None:
        raise StoreDamaged(f"the list of erasure {event_id} is missing: restore it")
    if digest_of(canonical) != about:
        raise StoreDamaged(f"the list of erasure {event_id} is not the one its record announced")
    try:
        seqs = json.loads(canonical)
        if not isinstance(seqs, list) or any(type(seq) is not int or seq < 0 for seq in seqs):
            raise ValueError
    except ValueError:
        raise StoreDamaged(f"the list of erasure {event_id} is malformed") from None
    return frozenset(seqs)
