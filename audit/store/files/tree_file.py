"""The derived half of a store: tiles, checkpoints and open tickets in one SQLite file.

Everything but the checkpoints can be computed from the day files again; each change is one durable transaction that
also moves ``size``, so that after a crash it is known exactly which records are still to be added.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from audit.checkpoint import Checkpoint
from audit.errors import StoreDamaged
from audit.record import Ticket, from_micros, to_micros
from audit.store.disk import Disk
from audit.store.files.sqlite import connect_reader, connect_writer
from audit.tiles import first_kept_tile

TREE_FORMAT = 1

_SCHEMA_SQL = """
create table meta (key text primary key, value integer not null) without rowid;
create table tile (
    level integer not null, position integer not null, hashes blob not null, primary key (level, position)
) without rowid;
create table checkpoint (
    size integer primary key, root blob not null, signature blob not null, signed_at integer not null
);
create table open_ticket (
    seq integer primary key, event_id blob not null, opened_at integer not null,
    tenant text not null, class_ text not null, action text not null
);
"""


class TreeFile:
    """``tree.sqlite``. Safe to call from several threads."""

    def __init__(self, path: Path, disk: Disk, *, create: bool) -> None:
        self._disk = disk
        self._lock = threading.RLock()
        if create:
            for stale in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
                stale.unlink(missing_ok=True)  # left by a crash before log.json was written: holds nothing yet
        elif not path.exists():
            # Building it anew would sign whatever the day files hold now, and forget what was signed before.
            raise StoreDamaged(f"{path.name} is missing from the store")
        self._connection = connect_writer(path)
        if create:
            self._connection.executescript(f"begin;{_SCHEMA_SQL}")
            self._connection.execute("insert into meta values ('format', ?), ('size', 0)", (TREE_FORMAT,))
            disk.commit(self._connection)
            disk.sync_folder(path.parent)
        check_tree_meta(self._connection)

    def size(self) -> int:
        """Number of records that the tiles hold."""
        with self._lock:
            return read_size(self._connection)

    def read_tile(self, level: int, position: int) -> bytes:
        with self._lock:
            return read_tile(self._connection, level, position)

    def store(
        self, tiles: Mapping[tuple[int, int], bytes], size: int, opened: Iterable[Ticket], concluded: Iterable[int]
    ) -> None:
        """Add to the tree, durably and at once. Raises ``sqlite3.Error`` or ``OSError``; whether anything changed is
        then unknown."""
        with self._lock, self._transaction() as connection:
            connection.executemany(
                "insert or replace into tile values (?, ?, ?)",
                [(level, position, hashes) for (level, position), hashes in tiles.items()],
            )
            connection.executemany(
                "insert into open_ticket values (?, ?, ?, ?, ?, ?)", [_ticket_values(ticket) for ticket in opened]
            )
            connection.executemany("delete from open_ticket where seq = ?", [(seq,) for seq in concluded])
            connection.execute("update meta set value = ? where key = 'size'", (size,))

    def add_checkpoint(self, checkpoint: Checkpoint, signed_at: datetime) -> None:
        """Store a checkpoint durably, before anybody sees it. Safe to repeat, after a failure that left it there.

        Raises ``StoreDamaged`` if another root was signed for its size."""
        with self._lock, self._transaction() as connection:
            connection.execute(
                "insert or ignore into checkpoint values (?, ?, ?, ?)",
                (checkpoint.size, checkpoint.root, checkpoint.signature, to_micros(signed_at)),
            )
            stored = connection.execute("select root from checkpoint where size = ?", (checkpoint.size,)).fetchone()
            if stored is None or stored[0] != checkpoint.root:
                raise StoreDamaged(f"the tree has another root than the one signed for size {checkpoint.size}")

    def newest_checkpoint(self, origin: str) -> tuple[Checkpoint, datetime] | None:
        with self._lock:
            found = self._connection.execute(
                "select size, root, signature, signed_at from checkpoint order by size desc limit 1"
            ).fetchone()
        return (Checkpoint(origin, *found[:3]), from_micros(found[3])) if found else None

    def thin_checkpoints(self, first_seq: int, end_seq: int) -> None:
        """Of the checkpoints within a purged range, keep the newest (one a second would add up over the years)."""
        with self._lock, self._transaction() as connection:
            connection.execute(
                "delete from checkpoint where size > ? and size < "
                "(select max(size) from checkpoint where size > ? and size <= ?)",
                (first_seq, first_seq, end_seq),
            )

    def prune(self, minimum_index: int) -> int:
        """Forget the level-0 tiles of records below ``minimum_index``, durably; returns how many went.

        The log must hold a record of it before (``LogEvent.PRUNE``, about the index): without one, ``verify`` calls
        it an attack. Safe to repeat; never goes back. Raises ``ValueError`` beyond the tree.
        """
        with self._lock, self._transaction() as connection:
            if not 0 <= minimum_index <= read_size(connection):
                raise ValueError(f"minimum index out of range: expected at most {read_size(connection)}")
            if minimum_index <= read_minimum_index(connection):
                return 0
            connection.execute("insert or replace into meta values ('minimum_index', ?)", (minimum_index,))
            gone = connection.execute(
                "delete from tile where level = 0 and position < ?", (first_kept_tile(minimum_index),)
            )
            return gone.rowcount

    def minimum_index(self) -> int:
        """Where the log begins since it was pruned; 0 if it was not."""
        with self._lock:
            return read_minimum_index(self._connection)

    def open_tickets(self) -> list[Ticket]:
        with self._lock:
            found = self._connection.execute(
                "select seq, event_id, opened_at, tenant, class_, action from open_ticket order by seq"
            ).fetchall()
        return [
            Ticket(
                event_id=str(uuid.UUID(bytes=event_id)),
                seq=seq,
                opened_at=from_micros(opened_at),
                tenant=tenant,
                class_=class_,
                action=action,
            )
            for seq, event_id, opened_at, tenant, class_, action in found
        ]

    def drop_tickets(self, seqs: Iterable[int]) -> None:
        """Forget tickets that can no longer be concluded (their day is purged)."""
        with self._lock, self._transaction() as connection:
            connection.executemany("delete from open_ticket where seq = ?", [(seq,) for seq in seqs])

    def close(self) -> None:
        with self._lock:
            with suppress(sqlite3.Error):
                self._connection.execute("pragma wal_checkpoint(truncate)")
            self._connection.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection, self._disk)


class _Transaction:
    """Begin, then commit through the ``Disk``, or roll back."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("begin immediate")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._disk.commit(self._connection)
        finally:
            if self._connection.in_transaction:
                self._connection.execute("rollback")


class TreeReader:
    """``tree.sqlite`` for an offline reader; sees one moment of it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise StoreDamaged(f"{path.name} is missing from the store")
        self._connection = connect_reader(path)
        self._connection.execute("begin")
        check_tree_meta(self._connection)
        self.size = read_size(self._connection)
        self.minimum_index = read_minimum_index(self._connection)

    def read_tile(self, level: int, position: int) -> bytes:
        return read_tile(self._connection, level, position)

    def checkpoints(self, origin: str) -> list[tuple[Checkpoint, datetime]]:
        """All checkpoints, smallest first."""
        found = self._connection.execute("select size, root, signature, signed_at from checkpoint order by size")
        return [(Checkpoint(origin, *values[:3]), from_micros(values[3])) for values in found]

    def backup(self, target: Path) -> None:
        """Copy this moment to another file."""
        backup_database(self._connection, target)

    def close(self) -> None:
        self._connection.close()


def backup_database(connection: sqlite3.Connection, target: Path) -> None:
    """Copy one database consistently, beside a live writer."""
    target.touch(mode=0o600)
    copy = sqlite3.connect(target)
    try:
        connection.backup(copy)
        copy.execute("pragma journal_mode=delete")  # a single file, without a WAL
    finally:
        copy.close()


def read_size(connection: sqlite3.Connection) -> int:
    return int(connection.execute("select value from meta where key = 'size'").fetchone()[0])


def read_minimum_index(connection: sqlite3.Connection) -> int:
    found = connection.execute("select value from meta where key = 'minimum_index'").fetchone()
    return int(found[0]) if found else 0


def read_tile(connection: sqlite3.Connection, level: int, position: int) -> bytes:
    found = connection.execute("select hashes from tile where level = ? and position = ?", (level, position)).fetchone()
    if found is None:
        raise StoreDamaged(f"tile {level}/{position} is missing from the tree")
    if type(found[0]) is not bytes:  # a number here would ask ``bytes`` for that much memory
        raise StoreDamaged(f"tile {level}/{position} holds something else than hashes")
    return found[0]


def check_tree_meta(connection: sqlite3.Connection) -> None:
    """Raises ``StoreDamaged`` for an unknown format."""
    found = connection.execute("select value from meta where key = 'format'").fetchone()
    if found is None or found[0] != TREE_FORMAT:
        raise StoreDamaged(f"tree.sqlite: expected format {TREE_FORMAT}, got another")


def _ticket_values(ticket: Ticket) -> tuple[int, bytes, int, str, str, str]:
    return (
        ticket.seq,
        uuid.UUID(ticket.event_id).bytes,
        to_micros(ticket.opened_at),
        ticket.tenant,
        ticket.class_,
        ticket.action,
    )
