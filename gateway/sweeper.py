"""Concludes what a crash left open: tickets without an outcome become `unknown`, and their credits go back.

Then the `Reconciler` looks whether ledger and log tell the same of every request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from audit import AuditLog, Entry, Subject, SubjectRequestState, TicketError
from audit import AuditUnavailable as LogUnavailable
from gateway.credits.ledger import Ledger
from gateway.exchange import RequestId
from gateway.observe.metrics import Metrics
from gateway.reconciler import Reconciler
from gateway.settings import AuditSection
from gateway.storage.shelf import Shelf
from gateway.vocabulary import Code, Conclusion

log = logging.getLogger(__name__)

ERASER: Final = Subject(actor="system:erasure", display="erasure")
_ERASURE_LEASE_SECONDS: Final = 120.0


class Sweeper:
    """One a process. `run` loops until cancelled; `sweep` is one round."""

    def __init__(
        self,
        audit: AuditLog,
        ledger: Ledger,
        shelf: Shelf,
        metrics: Metrics,
        settings: AuditSection,
        also: Mapping[str, Callable[[], Awaitable[Any]]] | None = None,
    ) -> None:
        """`also`: what else is to be done each round, by name."""
        self._also = dict(also or {})
        self._audit = audit
        self._ledger = ledger
        self._shelf = shelf
        self._metrics = metrics
        self._settings = settings
        self._reconciler = Reconciler(audit, ledger, metrics)
        self._erased_restored = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            older_than = timedelta(seconds=self._settings.orphan_seconds)
            # Each by itself, so that one that can't does not keep the others from it.
            parts: tuple[tuple[str, Callable[[], Awaitable[Any]]], ...] = (
                ("tickets", partial(self.sweep, older_than)),
                ("ledger", partial(self._reconciler.compare, older_than)),
                ("shelf", self._shelf.sweep),
                ("erasures", self.erase),
                *self._also.items(),
            )
            for name, work in parts:
                try:
                    await work()
                except Exception:
                    # Fails open: the next round tries again, and `/metrics` shows what is overdue.
                    log.exception("sweep.failed", extra={"fields": {"part": name}})

    async def erase(self) -> int:
        """Carry out erasures that two people agreed on, and once after a start those that a restored database undid.
        What a hold kept back waits for whoever releases it. Returns how many requests were carried out."""
        if not await asyncio.to_thread(self._audit.store.lease, "erasures", _ERASURE_LEASE_SECONDS):
            return 0
        erasures = self._audit.governance.erasures
        if not self._erased_restored:
            await erasures.erase_restored()
            self._erased_restored = True
        due = [one for one in await erasures.pending() if one.state is SubjectRequestState.APPROVED]
        for request in due:
            await erasures.execute(request.id, ERASER)
        return len(due)

    async def sweep(self, older_than: timedelta) -> int:
        """How many tickets were concluded. Also gives back credits that a crash between outcome and settling left
        aside: in doubt, a person is not charged."""
        swept = 0
        for opened in await self._audit.open_tickets(older_than):
            entry = Entry(
                action=opened.ticket.action,
                subject=opened.subject,
                class_=opened.ticket.class_,
                effect=Conclusion.UNKNOWN.value,
                reasons=(Code.CRASHED.value,),
                content={"error": "the gateway stopped before the request ended"},
            )
            try:
                await self._audit.conclude(opened.ticket, entry)
            except TicketError:
                continue  # it ended by itself in this very moment, or its day is past retention
            except LogUnavailable:
                log.warning("sweep.log-unavailable")
                return swept
            await self._ledger.release(RequestId(opened.ticket.event_id))
            self._metrics.swept.inc()
            swept += 1
        try:
            await self._reconciler.mend(older_than)
        except LogUnavailable:
            log.warning("sweep.log-unavailable")  # the credits wait: giving them back is recorded first
        if swept:
            log.info("sweep.concluded", extra={"fields": {"tickets": swept}})
        return swept
