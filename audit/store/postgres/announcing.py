"""Telling the world of a checkpoint that is stored: the witness first, then the file ``checkpoint``."""

from __future__ import annotations

import logging
from pathlib import Path

from audit.checkpoint import Checkpoint
from audit.note import VerifierKey
from audit.store.disk import Disk
from audit.witness import FileWitness

_log = logging.getLogger("audit.integrator")


class Announcer:
    """Owned by the integrator. What could not be told is told with the next checkpoint."""

    def __init__(self, path: Path, witness: FileWitness | None, key: VerifierKey, disk: Disk) -> None:
        self._path = path
        self._witness = witness
        self._key = key
        self._disk = disk
        self._unpublished: str | None = None
        self._unwitnessed: str | None = None
        self.failures = 0  # of the witness

    def put(self, checkpoint: Checkpoint, *, is_witnessed: bool = False) -> None:
        """Take the newest checkpoint, which is stored durably."""
        self._unpublished = checkpoint.note(self._key)
        self._unwitnessed = None if is_witnessed or self._witness is None else self._unpublished

    def tell(self) -> None:
        """Raises ``OSError`` if the file cannot be written. A witness that fails is counted and tried again: records
        are as safe as before, only the window of exposure grows."""
        if self._witness is not None and self._unwitnessed is not None:
            try:
                self._witness.append(self._unwitnessed)
                self._unwitnessed = None
            except OSError as error:
                self.failures += 1
                _log.error("audit.witness.failed", extra={"cause": error.strerror})
        if self._unpublished is not None:
            self._disk.write_whole(self._path, self._unpublished.encode(), 0o600)
            self._unpublished = None
