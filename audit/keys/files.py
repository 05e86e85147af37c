"""Reading and creating key files that only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from audit.errors import KeyRefused
from audit.store.disk import Disk

OWNER_ONLY = 0o600
_MAX_KEY_FILE_BYTES = 16 * 1024


def read_private(path: Path, what: str) -> bytes:
    """Contents of a private file. Raises ``KeyRefused`` if it is missing, not a file, too big or open to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyRefused(f"{what} {path} does not exist") from None
    except OSError as error:
        raise KeyRefused(f"{what} {path} cannot be read: {error.strerror}") from None
    try:
        # Ask the open descriptor, not the path: the file cannot be swapped between the check and the read.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyRefused(f"{what} {path} is not a regular file")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(status.st_mode)
            raise KeyRefused(f"{what} {path} is open to group or others: expected mode 0600, got {mode:04o}")
        if status.st_uid not in (os.geteuid(), 0):
            raise KeyRefused(f"{what} {path} belongs to another user")
        data = os.read(descriptor, _MAX_KEY_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MAX_KEY_FILE_BYTES:
        raise KeyRefused(f"{what} {path} is too long for a key file")
    return data


def create_private(path: Path, data: bytes, disk: Disk) -> None:
    """Create a private file durably. Raises ``FileExistsError``: an existing key is never replaced."""
    if path.exists():
        raise FileExistsError(f"{path} exists; keys are never overwritten")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk.write_whole(path, data, OWNER_ONLY)
