"""The signed tree in the database: tiles, newest size and root, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from audit.checkpoint import Checkpoint
from audit.errors import AuditError, StoreDamaged
from audit.record import from_micros, to_micros
from audit.store.postgres.connection import Connection, execute, scalar
from audit.store.postgres.lease import INTEGRATOR
from audit.tiles import first_kept_tile


class Fenced(AuditError):
    """Another process has taken the lease, or moved the tree, since this one looked. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The row ``tree``."""

    size: int
    root: bytes
    epoch: int  # of whoever moved it last
    stopped: str | None  # what the integrator found that it will not sign; everybody stops writing


def read_head(connection: Connection) -> TreeHead:
    found = execute(connection, "select size, root, epoch, stopped from audit.tree").fetchone()
    if found is None:
        raise StoreDamaged("the audit database has lost its tree: run `python -m audit verify`")
    return TreeHead(*found)


def read_tile(connection: Connection, level: int, position: int) -> bytes:
    """Hashes of a tile. Raises ``StoreDamaged`` if it is missing."""
    found = execute(
        connection, "select hashes from audit.tile where level = %s and position = %s", [level, position]
    ).fetchone()
    if found is None:
        raise StoreDamaged(f"tile {level}/{position} is missing from the tree")
    return bytes(found[0])


def move_tree(
    connection: Connection,
    known: TreeHead,
    epoch: int,
    tiles: Mapping[tuple[int, int], bytes],
    checkpoint: Checkpoint,
    signed_at: datetime,
) -> None:
    """Compare and swap, with the checkpoint that says so, inside the caller's transaction.

    Raises ``Fenced`` unless the tree is still ``known``, was moved by no later epoch, and the lease is still of this
    one: a process that slept through the end of its lease changes nothing, whether its successor wrote already or not.
    """
    # Locked, not just read: a transaction that began before the lease changed hands still sees the old epoch, but is
    # refused the lock (SQLSTATE 40001); and nobody takes the lease between here and the commit.
    ours = execute(
        connection, "select 1 from audit.lease where name = %s and epoch = %s for share", [INTEGRATOR, epoch]
    ).fetchone()
    moved = execute(
        connection,
        "update audit.tree set size = %s, root = %s, epoch = %s, stopped = null"
        " where size = %s and root = %s and epoch <= %s",
        [checkpoint.size, checkpoint.root, epoch, known.size, known.root, epoch],
    )
    if ours is None or moved.rowcount != 1:
        raise Fenced("another process integrates now")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into audit.tile (level, position, hashes) values (%s, %s, %s)"
            " on conflict (level, position) do update set hashes = excluded.hashes",
            [(level, position, hashes) for (level, position), hashes in tiles.items()],
        )
    execute(
        connection,
        "insert into audit.checkpoint (size, root, signature, signed_at) values (%s, %s, %s, %s)",
        [checkpoint.size, checkpoint.root, checkpoint.signature, to_micros(signed_at)],
    )


def wish_for(connection: Connection, size: int) -> None:
    """Ask whoever leads not to wait for its next turn. Not in ``tree``: that would be taken for a second leader."""
    execute(connection, "update audit.wish set size = %s where size < %s", [size, size])


def wished_size(connection: Connection) -> int:
    return int(scalar(connection, "select size from audit.wish"))


def stop_all(connection: Connection, epoch: int, why: str | None) -> None:
    """Tell every process that nothing more will be signed, and why; ``None``: it is over."""
    execute(
        connection,
        "update audit.tree set stopped = %s where epoch <= %s and stopped is distinct from %s",
        [why, epoch, why],
    )


def minimum_index(connection: Connection) -> int:
    """Where the log begins since it was pruned; 0 if it was not."""
    return int(scalar(connection, "select minimum_index from audit.tree"))


def prune(connection: Connection, index: int) -> int:
    """Forget the level-0 tiles of records below ``index``, durably; returns how many went. The record that says so must
    be in the log before. Raises ``ValueError`` beyond the tree's end; safe to repeat."""
    with connection.transaction():
        size, known = execute(connection, "select size, minimum_index from audit.tree for update").fetchall()[0]
        if not 0 <= index <= size:
            raise ValueError(f"minimum index out of range: expected at most {size}, got {index}")
        execute(connection, "update audit.tree set minimum_index = %s", [max(known, index)])
        gone = execute(
            connection,
            "delete from audit.tile where level = 0 and position < %s",
            [first_kept_tile(max(known, index))],
        )
    return gone.rowcount


def newest_checkpoint(connection: Connection, origin: str) -> tuple[Checkpoint, datetime] | None:
    found = execute(
        connection,
        "select size, root, signature, signed_at from audit.checkpoint order by size desc limit 1",
    ).fetchone()
    return (Checkpoint(origin, *found[:3]), from_micros(found[3])) if found else None


def checkpoints(connection: Connection, origin: str) -> list[tuple[Checkpoint, datetime]]:
    """All of them, smallest first."""
    found = execute(connection, "select size, root, signature, signed_at from audit.checkpoint order by size")
    return [(Checkpoint(origin, *values[:3]), from_micros(values[3])) for values in found]


def thin_checkpoints(connection: Connection, first_seq: int, end_seq: int) -> None:
    """Of the checkpoints within a purged range, keep the newest (one a second would add up over the years)."""
    execute(
        connection,
        "delete from audit.checkpoint where size > %s and size <"
        " (select max(size) from audit.checkpoint where size > %s and size <= %s)",
        [first_seq, first_seq, end_seq],
    )
