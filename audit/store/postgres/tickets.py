"""Open tickets in the database: those that the tree holds are listed by the integrator, newer ones are looked up."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

from audit.record import Phase, Ticket, from_micros, to_micros
from audit.store.postgres.connection import Connection, execute
from audit.store.postgres.tables import record_table
from audit.store.postgres.tree_table import read_head

_COLUMNS = "seq, event_id, recorded_at, tenant, class_, action"


def ticket_from(seq: int, event_id: bytes, opened_at: int, tenant: str, class_: str, action: str) -> Ticket:
    return Ticket(
        event_id=str(uuid.UUID(bytes=event_id)),
        seq=seq,
        opened_at=from_micros(opened_at),
        tenant=tenant,
        class_=class_,
        action=action,
    )


def open_tickets(connection: Connection) -> list[Ticket]:
    """Intents without an outcome at one moment, in the tree or not, oldest first.

    Rows that the tree does not hold may be anybody's work; what cannot be a ticket is left for the integrator to find.
    """
    with connection.transaction():
        execute(connection, "set transaction isolation level repeatable read, read only")
        size = read_head(connection).size
        opened = {ticket.seq: ticket for ticket in stored_tickets(connection)}
        concluded: set[int] = set()
        for day in days_beyond(connection, size):
            found: list[tuple[Any, ...]] = execute(
                connection,
                f"select phase, head_seq, {_COLUMNS} from {record_table(day)}"  # noqa: S608
                " where seq >= %s and phase in ('intent', 'outcome') and octet_length(event_id) = 16",
                [size],
            ).fetchall()
            for phase, head_seq, *values in found:
                if phase == Phase.INTENT:
                    opened[head_seq] = ticket_from(*values)
                else:
                    concluded.add(head_seq)
    return sorted((ticket for seq, ticket in opened.items() if seq not in concluded), key=lambda ticket: ticket.seq)


def days_beyond(connection: Connection, seq: int) -> list[date]:
    """Days that may have records from a sequence number on."""
    found = execute(connection, "select day from audit.day where end_seq > %s order by day", [seq])
    return [date.fromisoformat(day) for (day,) in found]


def stored_tickets(connection: Connection) -> list[Ticket]:
    """Open tickets that the tree holds, oldest first."""
    found = execute(
        connection, "select seq, event_id, opened_at, tenant, class_, action from audit.open_ticket order by seq"
    )
    return [ticket_from(*values) for values in found]


def add_tickets(connection: Connection, tickets: Iterable[Ticket]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into audit.open_ticket values (%s, %s, %s, %s, %s, %s)",
            [
                (
                    ticket.seq,
                    uuid.UUID(ticket.event_id).bytes,
                    to_micros(ticket.opened_at),
                    ticket.tenant,
                    ticket.class_,
                    ticket.action,
                )
                for ticket in tickets
            ],
        )


def drop_tickets(connection: Connection, seqs: Iterable[int]) -> None:
    execute(connection, "delete from audit.open_ticket where seq = any(%s::bigint[])", [list(seqs)])
