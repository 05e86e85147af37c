"""What a copy of a store takes along of its governance: tables and lists, and with the keys what guards them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from audit.governance.names import (
    DATABASE_NAME,
    ERASED_NAME,
    HOLDS_FOLDER,
    LISTS_FOLDER,
    REGISTER_NAME,
)
from audit.store.files.sqlite import connect_reader
from audit.store.files.tree_file import backup_database


def copy_governance(directory: Path, target: Path, *, with_keys: bool) -> None:
    """Copy beside a live writer. ``directory`` and ``target`` are logs; the day files are copied already.

    Lists of erasures come after the day files: whatever is missing there was on a list before. The list of versions
    comes before the tables: rows may be newer than it says, never older. The list of erased events goes last: what was
    erased meanwhile is refused in the copy too.
    """
    keys, copied_keys = directory / "keys", target / "keys"
    if with_keys:
        _copy(keys / REGISTER_NAME, copied_keys / REGISTER_NAME)
    if (directory / DATABASE_NAME).exists():
        with closing(connect_reader(directory / DATABASE_NAME)) as connection:
            backup_database(connection, target / DATABASE_NAME)
    for path in sorted((directory / LISTS_FOLDER).glob("*.json")):
        _copy(path, target / LISTS_FOLDER / path.name)
    if with_keys:
        for path in sorted((keys / HOLDS_FOLDER).glob("*.json")):
            _copy(path, copied_keys / HOLDS_FOLDER / path.name)
        _copy(keys / ERASED_NAME, copied_keys / ERASED_NAME)


def _copy(source: Path, target: Path) -> None:
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        return  # never made; or a hold's key that was destroyed while we copied
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_bytes(data)
