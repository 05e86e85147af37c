"""Copying a store consistently, beside a live writer: for offline work and for backups.

The copy says in its ``log.json`` that it is one. It can be verified, exported and read (with the key-encryption key,
each access recorded in the copy), but never written on as the log: that would fork it.

A backup leaves the wrapped keys out: whoever has old keys and the key that wraps them reads what was destroyed since.

A log in a database is copied by the database's own tools; see ``docs/how-to/restore-drill.md``.
"""

from __future__ import annotations

import dataclasses
import shutil
from datetime import datetime
from pathlib import Path

from audit.errors import StoreError
from audit.governance.copying import copy_governance
from audit.store.disk import Disk
from audit.store.files.layout import Layout
from audit.store.files.moment import Moment
from audit.store.files.tree_file import backup_database
from audit.store.moment import database_url_of

_DESTROYED_LIST = "destroyed-days"


def take_snapshot(
    directory: Path, target: Path, at: datetime, disk: Disk | None = None, *, with_keys: bool = True
) -> int:
    """Copy a store to ``target`` (absent or empty); returns the number of records. Raises ``StoreError``, also for a
    log in a database."""
    disk = disk or Disk()
    source = Layout(directory)
    if database_url_of(directory) or (source.keys_folder.is_dir() and not source.identity.exists()):
        raise StoreError(
            "the records of this log are in a database, which is copied by its own tools: take a pg_dump, and leave "
            'the folder of keys out of it (docs/how-to/restore-drill.md, "A log in PostgreSQL")'
        )
    if target.exists() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty")
    copy = Layout(target)
    with Moment(source) as moment:
        if moment.unreadable:
            raise StoreError(f"{', '.join(moment.unreadable)} cannot be read; run verify")
        copy.make_folders()
        moment.tree.backup(copy.tree)
        for reader in moment.days:
            backup_database(reader.connection, copy.day_path(reader.day))
        if with_keys:
            _copy_keys(moment.layout.keys_folder, copy.keys_folder)
        copy_governance(directory, target, with_keys=with_keys)
        if moment.layout.checkpoint.exists():
            shutil.copyfile(moment.layout.checkpoint, copy.checkpoint)
        count = moment.count()
        dataclasses.replace(moment.identity, snapshot_taken_at=at).write(copy.identity, disk)
    return count


def _copy_keys(source: Path, target: Path) -> None:
    for path in sorted(source.glob("*.json")):
        try:
            _copy_private(path, target / path.name)
        except FileNotFoundError:
            continue  # destroyed while we copied: that is what should happen to it
    # The list goes last: a day that was destroyed meanwhile is refused in the copy, even if its key got there.
    if (source / _DESTROYED_LIST).exists():
        _copy_private(source / _DESTROYED_LIST, target / _DESTROYED_LIST)


def _copy_private(source: Path, target: Path) -> None:
    data = source.read_bytes()
    target.touch(mode=0o600)
    target.write_bytes(data)
