"""The key of each hold: opens the escrowed record keys, and nothing else does. Destroying it ends the hold in every
backup too."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from audit.governance.names import HOLDS_FOLDER
from audit.governance.wrapped import KeyWrapper, create_secret, load_secret, rewrap_secret
from audit.store.disk import Disk

KEY_BYTES = 32  # AES-256


class HoldKeys:
    """One key for each hold, in the key folder. Unwrapped when first needed, forgotten when destroyed."""

    def __init__(self, folder: Path, wrapper: KeyWrapper, disk: Disk) -> None:
        self._folder = folder / HOLDS_FOLDER
        self._wrapper = wrapper
        self._disk = disk
        self._lock = threading.Lock()
        self._known: dict[str, bytearray] = {}

    def create(self, hold_id: str) -> None:
        """Durable when it returns. A key that is there already (a crash came between) stays."""
        path = self._path(hold_id)
        if not path.exists():
            create_secret(path, _purpose(hold_id), KEY_BYTES, self._wrapper, self._disk)

    def get(self, hold_id: str) -> bytes:
        """Raises ``KeyRefused`` if the key is missing or does not open."""
        with self._lock:
            if hold_id not in self._known:
                _, secret = load_secret(self._path(hold_id), _purpose(hold_id), self._wrapper)
                self._known[hold_id] = bytearray(secret)
            return bytes(self._known[hold_id])

    def destroy(self, hold_id: str) -> bool:
        """Overwrite and remove a hold's key; ``False`` if there was none."""
        self._forget(hold_id)
        path = self._path(hold_id)
        if not path.exists():
            return False
        self._disk.erase(path)
        return True

    def rewrap(self, *, everything: bool = False) -> int:
        """Wrap every key anew after the key service was rotated or changed; returns how many."""
        done = 0
        for path in sorted(self._folder.glob("*.json")):
            purpose = _purpose(path.stem)
            done += rewrap_secret(path, purpose, self._wrapper, self._disk, everything=everything)
        return done

    def wipe(self) -> None:
        for hold_id in list(self._known):
            self._forget(hold_id)

    def _forget(self, hold_id: str) -> None:
        with self._lock:
            key = self._known.pop(hold_id, None)
            if key is not None:
                key[:] = bytes(len(key))

    def _path(self, hold_id: str) -> Path:
        return self._folder / f"{uuid.UUID(hold_id)}.json"  # nothing but an id becomes a file name


def _purpose(hold_id: str) -> str:
    return f"hold/{hold_id}"
