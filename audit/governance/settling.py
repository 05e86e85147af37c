"""What holds keep is settled by one at a time: placing a hold, or destroying what no hold keeps.

Retention and erasure ask the holds and then destroy. A hold that was placed between the two would be told to keep what
goes in the next moment. So whoever destroys asks and destroys under this lock, and a hold begins to keep under it: it
is placed before, and then it keeps, or after, and then what is gone was gone already.

The lock is ``flock`` on a file in the key folder, which every process of a log shares in either store.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import AuditUnavailable
from audit.keys.files import OWNER_ONLY

LOCK_NAME = "holds.lock"
# Keeping and destroying a day takes seconds; a key service that does not answer makes it longer.
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.05


class Settling:
    """The lock of one log. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._path = folder / LOCK_NAME
        self._patience_seconds = patience_seconds

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else settles inside the block. Blocks. Raises ``AuditUnavailable`` if it does not get its turn."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        except OSError as error:
            raise AuditUnavailable(f"the key folder cannot be used: {error.strerror}") from error
        try:
            self._wait(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int) -> None:
        end = time.monotonic() + self._patience_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise AuditUnavailable("a purge or an erasure is under way: try again in a minute") from None
                time.sleep(_LOOK_SECONDS)
