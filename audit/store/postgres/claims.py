"""What this process knows of tickets without asking: those it opened, is concluding, or saw concluded.

The database decides (one outcome for a head, by a unique index); this saves the question for the usual case, a ticket
that is concluded where it was opened, and tells two callers of one process apart at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import date

from audit.errors import TicketConcluded
from audit.record import Ticket

_REMEMBERED = 100_000  # of each kind; what is forgotten is asked again


class Claims:
    """Shared by the callers' threads and the writer threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, Ticket] = OrderedDict()
        self._concluded: OrderedDict[str, None] = OrderedDict()
        self._concluding: set[str] = set()

    def begin(self, ticket: Ticket) -> None:
        """Claim a ticket for concluding. Raises ``TicketConcluded`` if it is known not to be open, or is claimed."""
        event_id = ticket.event_id
        with self._lock:
            known = self._opened.get(event_id, ticket)
            if known != ticket or event_id in self._concluded or event_id in self._concluding:
                raise TicketConcluded(f"ticket {event_id} is not open")
            self._concluding.add(event_id)

    def release(self, event_id: str) -> None:
        """The outcome was not written: the ticket may be concluded again."""
        with self._lock:
            self._concluding.discard(event_id)

    def is_own(self, ticket: Ticket) -> bool:
        """Was it opened by this process, and not concluded as far as it knows?"""
        with self._lock:
            return self._opened.get(ticket.event_id) == ticket

    def is_concluding(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._concluding

    def opened(self, ticket: Ticket) -> None:
        """The intent is durable."""
        with self._lock:
            self._opened[ticket.event_id] = ticket
            if len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)

    def concluded(self, event_id: str) -> None:
        """The outcome is durable, whoever wrote it."""
        with self._lock:
            self._opened.pop(event_id, None)
            self._concluding.discard(event_id)
            self._concluded[event_id] = None
            if len(self._concluded) > _REMEMBERED:
                self._concluded.popitem(last=False)

    def drop_day(self, day: date, classes: frozenset[str] | None) -> None:
        """Forget the tickets of a purged day and these classes (``None``: all)."""
        with self._lock:
            for ticket in list(self._opened.values()):
                if ticket.day == day and (classes is None or ticket.class_ in classes):
                    del self._opened[ticket.event_id]
