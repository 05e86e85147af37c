"""One step of the tree: read on from its size, check every record, store leaves, root and signed checkpoint at once."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from psycopg import errors

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import StoreDamaged
from audit.note import NoteSigner
from audit.record import Phase
from audit.row import Row
from audit.store.postgres.connection import Connection, execute, roll_back
from audit.store.postgres.rows import read_rows
from audit.store.postgres.tables import classes_of
from audit.store.postgres.tickets import add_tickets, days_beyond, drop_tickets
from audit.store.postgres.tree_table import Fenced, TreeHead, move_tree
from audit.store.queue import ticket_of
from audit.tiles import TileTree

STEP_RECORDS = 2_000

# Checking is all Python. A thread that computes is asked to let go after 5 ms only, and a writer that waits for the
# interpreter keeps a person waiting, several times a batch.
_ROWS_AT_A_TIME = 16
_LET_OTHERS_SECONDS = 2e-4


def next_number(connection: Connection) -> int:
    """The sequence number that the next record will get."""
    found = execute(connection, "select next from audit.seqcoord").fetchone()
    if found is None:
        raise StoreDamaged("the audit database has lost its sequence: run `python -m audit verify`")
    return int(found[0])


def integrate_step(
    connection: Connection,
    tree: TileTree,
    known: TreeHead,
    epoch: int,
    signer: NoteSigner,
    authenticate: Callable[[Row], None],
    now: Callable[[], datetime],
    *,
    is_first: bool,
) -> tuple[Checkpoint, datetime] | None:
    """Take in at most ``STEP_RECORDS``; returns the checkpoint that covers them, ``None`` if there was nothing to do.

    ``is_first``: sign an empty tree too. Raises ``StoreDamaged`` for a record that is missing or that this log did not
    write as it is: then nothing was stored or signed. Raises ``Fenced`` or ``psycopg.Error``: then ``tree`` may be
    ahead of what is stored and must be read again.
    """
    try:
        connection.execute("begin isolation level repeatable read")
        rows = _read_new(connection, known.size)
        if not rows and not is_first:
            connection.execute("rollback")
            return None
        for place, row in enumerate(rows):
            authenticate(row)
            if place % _ROWS_AT_A_TIME == _ROWS_AT_A_TIME - 1:
                time.sleep(_LET_OTHERS_SECONDS)
        tree.append(row.leaf for row in rows)
        checkpoint, signed_at = sign_checkpoint(signer, tree.size, tree.root()), now()
        move_tree(connection, known, epoch, tree.take_dirty(), checkpoint, signed_at)
        _note_tickets(connection, rows)
        connection.execute("commit")
    except errors.SerializationFailure as error:
        roll_back(connection)
        raise Fenced("another process moved the tree") from error
    except BaseException:
        roll_back(connection)
        raise
    return checkpoint, signed_at


def _read_new(connection: Connection, size: int) -> list[Row]:
    """The records after the tree's, at one moment.

    Batches commit in the order of their numbers, so at no moment is a number visible while a lower one is not: a gap,
    or an end before the sequence's, was made by somebody.
    """
    next_seq = next_number(connection)
    if next_seq < size:
        raise StoreDamaged(f"the sequence was set back to {next_seq}, but the tree holds {size} records")
    end = min(next_seq, size + STEP_RECORDS)
    if end == size:
        return []
    days = [
        read_rows(connection, day, classes_of(connection, day), "r.seq >= %s and r.seq < %s", [size, end])
        for day in days_beyond(connection, size)
    ]
    rows = list(heapq.merge(*days, key=lambda row: row.seq))
    for expected, row in enumerate(rows, start=size):
        if row.seq != expected:
            what = "is there twice" if row.seq < expected else "is missing"
            raise StoreDamaged(f"record {min(expected, row.seq)} {what}")
    if len(rows) != end - size:
        raise StoreDamaged(f"record {size + len(rows)} is missing")
    return rows


def _note_tickets(connection: Connection, rows: Sequence[Row]) -> None:
    concluded = {row.head_seq for row in rows if row.phase == Phase.OUTCOME}
    opened = {row.seq: ticket_of(row) for row in rows if row.phase == Phase.INTENT}
    still_open = [ticket for seq, ticket in opened.items() if seq not in concluded]
    if still_open:
        add_tickets(connection, still_open)
    if concluded - opened.keys():
        drop_tickets(connection, concluded - opened.keys())
