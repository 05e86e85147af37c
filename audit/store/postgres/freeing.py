"""Taking sealed parts away for good: whole classes of a day, or single records.

The keys go first (``audit/retention``); this frees the space and takes what is left out of the searched tables. Old
versions of rows live on in dead tuples until VACUUM, in the write-ahead log until it is recycled, and in backups: what
makes them unreadable is that their day's keys are destroyed. See ``docs/how-to/run-on-postgresql.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime

import psycopg
from psycopg import errors

from audit.record import Ticket
from audit.store.postgres.connection import Connection, execute
from audit.store.postgres.tables import classes_of, reason_table, record_table, sealed_table
from audit.store.postgres.tickets import drop_tickets, stored_tickets


def close_day(connection: Connection, day: date) -> int:
    """No more records for this day; returns the largest sequence number it has, -1 for none.

    Waits for the batch that is being written. Batches that were prepared before are refused even if the day is opened
    again meanwhile (its generation moved): they may be sealed under keys that are gone by then.
    """
    with connection.transaction():
        execute(connection, "select next from audit.seqcoord for update")
        execute(
            connection,
            "insert into audit.day as known (day, is_closed, generation) values (%s, true, 1)"
            " on conflict (day) do update set is_closed = true, generation = known.generation + 1",
            [day.isoformat()],
        )
        if not _has_table(connection, record_table(day)):
            return -1
        found = execute(connection, f"select coalesce(max(seq), -1) from {record_table(day)}").fetchone()  # noqa: S608
    return int(found[0]) if found is not None else -1


def open_day(connection: Connection, day: date) -> None:
    """Take records of this day again: only some of its classes are purged."""
    execute(connection, "update audit.day set is_closed = false where day = %s", [day.isoformat()])


def forget_tickets(connection: Connection, day: date, classes: frozenset[str] | None) -> list[Ticket]:
    """Drop the stored open tickets of a day and these classes; returns them."""
    with connection.transaction():
        gone = [
            ticket
            for ticket in stored_tickets(connection)
            if ticket.day == day and (classes is None or ticket.class_ in classes)
        ]
        drop_tickets(connection, [ticket.seq for ticket in gone])
    return gone


def is_freed(connection: Connection, day: date, classes: frozenset[str] | None) -> bool:
    """Were the sealed parts of these classes (``None``: all of them) taken away?"""
    left = execute(
        connection,
        "select 1 from audit.scope where day = %s and purged_at is null and (%s or class_ = any(%s)) limit 1",
        [day.isoformat(), classes is None, sorted(classes or ())],
    ).fetchone()
    return left is None


def free(connection: Connection, day: date, classes: frozenset[str] | None, keep: frozenset[int], at: datetime) -> bool:
    """Replace the sealed tables of these classes by what is kept of them, all in one transaction.

    Somebody who reads one of them, even in a transaction that only sits there, keeps it locked: then nothing happens,
    and the answer is ``False``. ``lock_timeout`` of the connection bounds the wait, in which readers queue behind us.
    """
    try:
        with connection.transaction():
            for number, class_ in enumerate(classes_of(connection, day)):
                if classes is None or class_ in classes:
                    _free_class(connection, day, class_, sorted(keep), f"kept_{number}")
            connection.execute(
                "update audit.scope set purged_at = %s where day = %s and purged_at is null"
                " and (%s or class_ = any(%s))",
                [at, day.isoformat(), classes is None, sorted(classes or ())],
            )
    except (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected, errors.InsufficientResources):
        return False
    return True


def _free_class(connection: Connection, day: date, class_: str, keep: Sequence[int], kept: str) -> None:
    """``kept``: name for a table that lives to the end of the transaction."""
    table = sealed_table(day, class_)
    execute(connection, f"lock table {table} in access exclusive mode")
    execute(
        connection,
        f"create temporary table {kept} on commit drop as select * from {table} where seq = any(%s::bigint[])",  # noqa: S608
        [keep],
    )
    found = execute(connection, f"select count(*) from {kept}").fetchone()  # noqa: S608
    if found is not None and found[0]:
        # Truncating gives the table new, empty files; the old ones are unlinked at the commit.
        execute(connection, f"truncate {table}")
        execute(connection, f"insert into {table} select * from {kept}")  # noqa: S608
    else:
        execute(connection, f"drop table {table}")
        connection.execute(
            "update audit.scope set is_dropped = true where day = %s and class_ = %s", [day.isoformat(), class_]
        )


def erase(connection: Connection, seqs: Iterable[int]) -> None:
    """Delete the sealed parts of single records, in one transaction, then let VACUUM clear their pages."""
    wanted = sorted(set(seqs))
    touched: list[str] = []
    with connection.transaction():
        for day in [date.fromisoformat(day) for (day,) in execute(connection, "select day from audit.day").fetchall()]:
            for class_ in classes_of(connection, day):
                table = sealed_table(day, class_)
                gone = execute(connection, f"delete from {table} where seq = any(%s::bigint[])", [wanted])  # noqa: S608
                if gone.rowcount:
                    touched.append(table)
    for table in touched:
        with suppress(psycopg.Error):  # autovacuum comes by later anyway
            execute(connection, f"vacuum (analyze, truncate false) {table}")


def _has_table(connection: Connection, table: str) -> bool:
    found = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return found is not None and bool(found[0])


def forget_below(connection: Connection, day: date, minimum_index: int) -> None:
    """Remove the envelopes of a purged day below a number; late outcomes above it stay."""
    with connection.transaction():
        execute(connection, f"delete from {record_table(day)} where seq < %s", [minimum_index])  # noqa: S608
        execute(connection, f"delete from {reason_table(day)} where head_seq < %s", [minimum_index])  # noqa: S608
