"""Where things are in a store directory, and what the directory says it is."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from audit.errors import StoreDamaged, StoreInUse
from audit.note import NoteRefused, VerifierKey
from audit.store.disk import Disk

STORE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one store."""

    directory: Path

    @property
    def lock(self) -> Path:
        return self.directory / "LOCK"

    @property
    def identity(self) -> Path:
        return self.directory / "log.json"

    @property
    def checkpoint(self) -> Path:
        return self.directory / "checkpoint"

    @property
    def tree(self) -> Path:
        return self.directory / "tree.sqlite"

    @property
    def days_folder(self) -> Path:
        return self.directory / "days"

    @property
    def keys_folder(self) -> Path:
        return self.directory / "keys"

    def day_path(self, day: date) -> Path:
        return self.days_folder / f"{day.isoformat()}.sqlite"

    def days(self) -> list[date]:
        """Days that have a file, oldest first."""
        return sorted(date.fromisoformat(path.stem) for path in self.days_folder.glob("????-??-??.sqlite"))

    def make_folders(self) -> None:
        for folder in (self.directory, self.days_folder, self.keys_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What ``log.json`` says."""

    origin: str
    verifier_key: VerifierKey
    created_at: datetime
    snapshot_taken_at: datetime | None = None

    def to_json(self) -> str:
        taken = self.snapshot_taken_at
        return json.dumps(
            {
                "format": STORE_FORMAT,
                "origin": self.origin,
                "vkey": str(self.verifier_key),
                "created_at": self.created_at.isoformat(),
                "snapshot_taken_at": taken.isoformat() if taken else None,
            },
            indent=2,
        )

    @classmethod
    def read(cls, path: Path) -> Identity:
        """Raises ``StoreDamaged`` if the file is missing or malformed."""
        try:
            stored = json.loads(path.read_text())
            if stored["format"] != STORE_FORMAT:
                raise StoreDamaged(f"{path}: expected store format {STORE_FORMAT}, got another")
            taken = stored["snapshot_taken_at"]
            return cls(
                origin=str(stored["origin"]),
                verifier_key=VerifierKey.parse(stored["vkey"]),
                created_at=datetime.fromisoformat(stored["created_at"]),
                snapshot_taken_at=datetime.fromisoformat(taken) if taken else None,
            )
        except FileNotFoundError:
            raise StoreDamaged(f"{path.parent} is not an audit store: it has no {path.name}") from None
        except (ValueError, KeyError, TypeError, NoteRefused):
            raise StoreDamaged(f"{path} is malformed") from None

    def write(self, path: Path, disk: Disk) -> None:
        disk.write_whole(path, self.to_json().encode(), 0o600)


class StoreLock:
    """Exclusive use of a directory, until ``release`` or the end of the process (``flock``)."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StoreInUse(
                f"{path.parent} is open in another process: one process writes a store; "
                "stop it, or work on a copy made by `python -m audit snapshot`"
            ) from None

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_in_use(layout: Layout) -> bool:
    """Does some process write this store right now?"""
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
