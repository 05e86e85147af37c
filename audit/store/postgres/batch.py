"""One batch of records becomes durable in one transaction, under numbers that are dense over all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import psycopg
from psycopg import errors

from audit.errors import StoreRolledBack
from audit.record import Phase
from audit.row import Row
from audit.store.compose import Composer, Prepared
from audit.store.postgres.connection import Connection, execute, roll_back, script
from audit.store.postgres.rows import insert_rows
from audit.store.postgres.tables import record_table


class DaysMoved(Exception):
    """Some days are closed, or were closed and opened again since the batch was prepared. Nothing was written."""


class AlreadyThere(Exception):
    """Some event ids or outcomes of the batch are in the database already. Nothing was written."""


class CannotFinish(Exception):
    """A record could not be finished (its keys were destroyed meanwhile). Nothing was written."""

    def __init__(self, prepared: Prepared, cause: Exception) -> None:
        super().__init__(str(cause))
        self.prepared = prepared
        self.cause = cause


def commit_batch(
    connection: Connection,
    composer: Composer,
    batch: Sequence[Prepared],
    generations: Mapping[date, int],
    lowest_next: int,
) -> list[Row]:
    """Write a batch; when it returns, the rows are durable.

    ``lowest_next``: what this process knows the next number to be at least. Raises ``DaysMoved``, ``AlreadyThere``,
    ``CannotFinish``, ``StoreRolledBack``, or ``psycopg.Error``; whether the rows are there is unknown only after the
    last. The transaction is over in any case.
    """
    days = sorted({prepared.job.day for prepared in batch})
    try:
        next_seq, open_days = _take_numbers(connection, len(batch), {day: generations[day] for day in days})
        if next_seq - len(batch) < lowest_next:
            raise StoreRolledBack(
                f"the audit database would number a record {next_seq - len(batch)}, but {lowest_next} are known: "
                "it was restored or failed over to an older state; run `python -m audit verify` before going on"
            )
        if open_days != {day.isoformat() for day in days}:
            raise DaysMoved
        rows: list[Row] = []
        for seq, prepared in enumerate(batch, start=next_seq - len(batch)):
            try:
                rows.append(composer.finish(prepared, seq))
            except Exception as error:
                raise CannotFinish(prepared, error) from error
        insert_rows(connection, rows)
        connection.execute("commit")
    except errors.UniqueViolation as error:
        roll_back(connection)
        raise AlreadyThere from error
    except BaseException:
        roll_back(connection)
        raise
    return rows


def _take_numbers(connection: Connection, count: int, generations: Mapping[date, int]) -> tuple[int, set[str]]:
    """Begin, and hold the sequence until the end of the transaction; returns the number after the batch's last, and
    which of its days take records.

    The row lock is what makes the numbers dense and their order that of the commits. After waiting for it, both
    updates see what the transaction before it left (READ COMMITTED re-evaluates the rows that it changed).
    """
    days = ", ".join(f"('{day.isoformat()}', {generation})" for day, generation in generations.items())
    found = script(
        connection,
        "begin isolation level read committed;"  # noqa: S608  # numbers and dates
        f" with taken as (update audit.seqcoord set next = next + {count} returning next),"
        " reached as (update audit.day d set end_seq = taken.next"
        f" from taken, (values {days}) as wanted (day, generation)"
        " where d.day = wanted.day and d.generation = wanted.generation and not d.is_closed returning d.day)"
        " select taken.next, array(select day from reached) from taken",
    ).fetchone()
    if found is None:
        raise psycopg.DataError("seqcoord is empty")
    return int(found[0]), set(found[1])


def find_used(connection: Connection, batch: Sequence[Prepared]) -> list[Prepared]:
    """Which records of a batch cannot be written: their event id, or their intent's outcome, is there already."""
    by_day: dict[date, list[Prepared]] = {}
    for prepared in batch:
        by_day.setdefault(prepared.job.day, []).append(prepared)
    found: list[Prepared] = []
    for day, of_day in by_day.items():
        heads = [one.job.event_id.bytes for one in of_day if one.job.phase is not Phase.OUTCOME]
        concluded = [one.job.ticket.seq for one in of_day if one.job.ticket is not None]
        rows = execute(
            connection,
            f"select event_id, head_seq, phase = 'outcome' from {record_table(day)}"  # noqa: S608
            " where (phase <> 'outcome' and event_id = any(%s)) or (phase = 'outcome' and head_seq = any(%s))",
            [heads, concluded],
        ).fetchall()
        used_ids = {event_id for event_id, _, is_outcome in rows if not is_outcome}
        used_heads = {head_seq for _, head_seq, is_outcome in rows if is_outcome}
        found += [
            one
            for one in of_day
            if (one.job.ticket is None and one.job.event_id.bytes in used_ids)
            or (one.job.ticket is not None and one.job.ticket.seq in used_heads)
        ]
    return found
