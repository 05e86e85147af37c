"""Rows that grant something: authenticated, versioned, and counted outside the database.

Three things stop whoever may write to the database, and each is checked whenever a row is used:

- ``mac`` covers every other column: a row that was edited or made up is refused;
- text and names are sealed, bound to table, row and column: they cannot be read, or moved to another row;
- the newest version of each row stands on a list in the key folder (``keys/governance-rows``): an old row put back
  (a case from before it was closed), or one that was deleted (a hold), is refused.

A change is: the row, then the list. A crash between leaves a row that is newer than the list says; nobody could have
made that one up either, so the list catches up.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from audit.canonical import Field, dump_json, load_json_object
from audit.errors import AuditUnavailable, StoreDamaged
from audit.governance.database import GovernanceDatabase
from audit.governance.keys import GovernanceKeys
from audit.governance.lines import LineFile
from audit.governance.tables import is_sealed
from audit.store.disk import Disk


class RowChanged(Exception):
    """Somebody else changed the row meanwhile. Read it again."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One authenticated row. Sealed columns hold JSON objects; absent ones ``None``."""

    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    @property
    def id(self) -> str:
        return str(self.values["id"])

    @property
    def version(self) -> int:
        return int(self.values["version"])


class Register:
    """The newest version of each row, on an append-only list outside the database."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._file = LineFile(path, disk)
        self._path = path
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], int] = {}

    def version(self, table: str, row_id: str) -> int:
        """0 if the row was never written."""
        self._catch_up()
        return self._versions.get((table, row_id), 0)

    def versions(self, table: str) -> dict[str, int]:
        """The newest version of each row of a table."""
        self._catch_up()
        with self._lock:
            return {row_id: version for (name, row_id), version in self._versions.items() if name == table}

    def note(self, table: str, row_id: str, version: int) -> None:
        """Durable when it returns."""
        self._file.append([{"table": table, "row": row_id, "version": version}])
        self._catch_up()

    def is_empty(self) -> bool:
        self._catch_up()
        return not self._versions

    def _catch_up(self) -> None:
        with self._lock:
            for line in self._file.news():
                try:
                    key, version = (str(line["table"]), str(line["row"])), int(line["version"])
                except (KeyError, ValueError, TypeError):
                    raise StoreDamaged(f"{self._path} holds a line that is no version of a row") from None
                self._versions[key] = max(version, self._versions.get(key, 0))


class Ledger:
    """Reads and writes rows of the governance tables. Blocks; safe to call from several threads."""

    def __init__(self, database: GovernanceDatabase, keys: GovernanceKeys, register: Register) -> None:
        self.database = database
        self._keys = keys
        self._register = register

    def insert(self, table: Table, values: Mapping[str, Any]) -> StoredRow:
        """A new row, version 1. Durable when it returns."""
        self._keys.ensure(may_create=self._register.is_empty())
        with self.database.transaction() as connection:
            row = self.insert_in(connection, table, values)
        self._register.note(table.name, row.id, row.version)
        return row

    def change(self, table: Table, row: StoredRow, changes: Mapping[str, Any]) -> StoredRow:
        """The next version of a row. Durable when it returns. Raises ``RowChanged`` if ``row`` is not the newest."""
        self._keys.ensure(may_create=False)
        with self.database.transaction() as connection:
            changed = self.change_in(connection, table, row, changes)
        self._register.note(table.name, row.id, changed.version)
        return changed

    def insert_in(self, connection: Connection, table: Table, values: Mapping[str, Any]) -> StoredRow:
        """The same inside a transaction; the caller calls ``note`` after its commit."""
        whole = {column.name: values.get(column.name) for column in table.c if column.name != "mac"} | {"version": 1}
        connection.execute(insert(table).values(**self._stored(table, whole, {})))
        return StoredRow(whole)

    def change_in(self, connection: Connection, table: Table, row: StoredRow, changes: Mapping[str, Any]) -> StoredRow:
        """The same inside a transaction; the caller calls ``note`` after its commit."""
        found = connection.execute(select(table).where(table.c.id == row.id).with_for_update()).mappings().first()
        if found is None or found["version"] != row.version:
            raise RowChanged
        self._authenticate(table, dict(found))
        whole = {**row.values, **changes, "version": row.version + 1}
        # Cells that do not change keep their ciphertext.
        kept = {name: found[name] for name in whole if is_sealed(table, name) and name not in changes}
        done = connection.execute(
            update(table)
            .where(table.c.id == row.id, table.c.version == row.version)
            .values(**self._stored(table, whole, kept))
        )
        if done.rowcount != 1:
            raise RowChanged
        return StoredRow(whole)

    def note(self, table: Table, row: StoredRow) -> None:
        """Put a row's version on the list."""
        self._register.note(table.name, row.id, row.version)

    def get(self, table: Table, row_id: str) -> StoredRow | None:
        """One row, checked. Raises ``StoreDamaged`` naming it if it is not what was written last."""
        registered = self._register.version(table.name, row_id)
        if not self.database.exists():
            if registered:
                raise self._missing(table, row_id)
            return None
        with self.database.transaction() as connection:
            found = connection.execute(select(table).where(table.c.id == row_id)).mappings().first()
        if found is None:
            if registered:
                raise self._missing(table, row_id)
            return None
        return self._checked(table, dict(found), registered)

    def all(self, table: Table) -> list[StoredRow]:
        """All rows, checked, oldest first. Raises ``StoreDamaged`` if any was changed, put back or taken out."""
        registered = self._register.versions(table.name)
        found = []
        if self.database.exists():
            with self.database.transaction() as connection:
                found = list(connection.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings())
        missing = registered.keys() - {row["id"] for row in found}
        if missing:
            raise self._missing(table, min(missing))
        return [self._checked(table, dict(row), registered.get(row["id"], 0)) for row in found]

    def close(self) -> None:
        self.database.close()
        self._keys.wipe()

    def _checked(self, table: Table, found: Mapping[str, Any], registered: int) -> StoredRow:
        """``registered`` was looked up before the row was read: a change in between only makes the row newer."""
        self._authenticate(table, found)
        row_id, version = found["id"], found["version"]
        if version < registered:
            raise StoreDamaged(
                f"{table.name} {row_id} is version {version}, but version {registered} was written: it was put back"
            )
        if version > registered and version > self._register.version(table.name, row_id):
            try:
                self._register.note(table.name, row_id, version)  # a crash came between row and list
            except OSError as error:
                raise AuditUnavailable("the key folder cannot be written") from error
        values = {
            name: self._unsealed(table, row_id, name, value) if is_sealed(table, name) else _plain(value)
            for name, value in found.items()
            if name != "mac"
        }
        return StoredRow(values)

    def _authenticate(self, table: Table, found: Mapping[str, Any]) -> None:
        self._keys.ensure(may_create=False)
        stored = {name: _plain(value) for name, value in found.items()}
        mac = stored.pop("mac")
        if not isinstance(mac, bytes) or not hmac.compare_digest(mac, self._keys.mac(table.name, _fields(stored))):
            raise StoreDamaged(f"{table.name} {found['id']} is not as it was written: somebody else changed or made it")

    def _stored(self, table: Table, whole: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
        row_id = str(whole["id"])
        stored = {}
        for name, value in whole.items():
            if name in kept:
                stored[name] = _plain(kept[name])
            elif value is not None and is_sealed(table, name):
                stored[name] = self._keys.seal(table.name, row_id, name, dump_json(value))
            else:
                stored[name] = value
        return stored | {"mac": self._keys.mac(table.name, _fields(stored))}

    def _unsealed(self, table: Table, row_id: str, name: str, value: Any) -> dict[str, Any] | None:
        if value is None:
            return None
        return load_json_object(self._keys.unseal(table.name, row_id, name, bytes(value)))

    @staticmethod
    def _missing(table: Table, row_id: str) -> StoreDamaged:
        return StoreDamaged(f"{table.name} {row_id} was written, but is gone: somebody took it out")


def _fields(stored: Mapping[str, Any]) -> tuple[Field, ...]:
    """What a MAC covers. Empty columns are left out, so that a later version may add one; names keep it injective."""
    return tuple((name, value) for name, value in sorted(stored.items()) if value is not None)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value
