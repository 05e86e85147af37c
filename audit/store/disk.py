"""The few touches of the disk that durability hangs on, in one place, so that tests can make each of them fail.

The product has one ``Disk``. Tests pass a double that raises before or after the real work: "did not happen" and
"happened but we were not told".
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


class Disk:
    """Real disk operations. Each returns only when its effect survives a power cut."""

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit the open transaction; with ``synchronous=FULL`` the WAL is fsynced before this returns."""
        connection.execute("commit")

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        """Create or replace a file, whole or not at all: temporary name, fsync, rename, fsync folder."""
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)  # left by a crash
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(path)
        self.sync_folder(path.parent)

    def create(self, path: Path, data: bytes, mode: int) -> None:
        """Create a file, whole or not at all. Raises ``FileExistsError`` if there is one: of several processes that
        try at the same time, one wins, and the others find its file."""
        fresh = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.link(fresh, path)  # unlike a rename, this replaces nothing
        finally:
            fresh.unlink()
        self.sync_folder(path.parent)

    def append(self, path: Path, data: bytes, mode: int) -> None:
        """Append to a file, creating it if need be. A crash may leave a part of ``data`` at the end."""
        existed = path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not existed:
            self.sync_folder(path.parent)

    def erase(self, path: Path) -> None:
        """Overwrite a small file with random bytes, then unlink it.

        Overwriting is a courtesy: journals, snapshots and flash translation may keep old blocks. What makes the data
        unreadable is that a key file is useless without the key that wraps it, and that both are kept out of backups.
        """
        size = path.stat().st_size
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _write_all(descriptor, os.urandom(size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        self.sync_folder(path.parent)

    def replace(self, fresh: Path, path: Path) -> None:
        """Put a finished file in another's place, atomically."""
        descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(path)
        self.sync_folder(path.parent)

    def sync_folder(self, folder: Path) -> None:
        """Make creations, renames and unlinks in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_fraction(self, folder: Path) -> float:
        """Share of the file system that is free to this process, between 0 and 1."""
        figures = os.statvfs(folder)
        return figures.f_bavail / figures.f_blocks if figures.f_blocks else 0.0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
