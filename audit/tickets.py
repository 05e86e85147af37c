"""The open tickets of a running log: which intents still wait for their outcome."""

from __future__ import annotations

import threading
from datetime import date, datetime

from audit.errors import TicketConcluded
from audit.record import Ticket


class OpenTickets:
    """Registry of tickets, shared by the callers' threads and the writer thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Ticket] = {}
        self._concluding: set[str] = set()

    def __contains__(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._open

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)

    def opened(self, ticket: Ticket) -> None:
        """Called by the writer once the intent is durable."""
        with self._lock:
            self._open[ticket.event_id] = ticket

    def begin(self, ticket: Ticket) -> None:
        """Claim a ticket for concluding. Raises ``TicketConcluded`` if it is not open or claimed already."""
        with self._lock:
            if self._open.get(ticket.event_id) != ticket or ticket.event_id in self._concluding:
                raise TicketConcluded(f"ticket {ticket.event_id} is not open")
            self._concluding.add(ticket.event_id)

    def release(self, event_id: str) -> None:
        """The outcome was not written: the ticket may be concluded again."""
        with self._lock:
            self._concluding.discard(event_id)

    def concluded(self, event_id: str) -> None:
        """Called by the writer once the outcome is durable."""
        with self._lock:
            self._open.pop(event_id, None)
            self._concluding.discard(event_id)

    def drop_day(self, day: date, classes: frozenset[str] | None = None) -> list[Ticket]:
        """Forget the tickets of a purged day, of all classes or of some; returns them."""
        with self._lock:
            gone = [
                ticket
                for ticket in self._open.values()
                if ticket.day == day and (classes is None or ticket.class_ in classes)
            ]
            for ticket in gone:
                del self._open[ticket.event_id]
            return gone

    def opened_before(self, at: datetime) -> list[Ticket]:
        """Tickets opened before a moment that nobody is concluding now, oldest first."""
        with self._lock:
            found = [
                ticket
                for ticket in self._open.values()
                if ticket.opened_at < at and ticket.event_id not in self._concluding
            ]
        return sorted(found, key=lambda ticket: ticket.seq)
