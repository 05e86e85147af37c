"""Concludes what a crash left open: tickets without an outcome become `unknown`, and their credits go back."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from audit import AuditLog, Entry, TicketError
from audit import AuditUnavailable as LogUnavailable
from gateway.credits.ledger import Ledger
from gateway.exchange import RequestId
from gateway.observe.metrics import Metrics
from gateway.settings import AuditSection
from gateway.storage.shelf import Shelf
from gateway.vocabulary import Code, Conclusion

log = logging.getLogger(__name__)


class Sweeper:
    """One a process. `run` loops until cancelled; `sweep` is one round."""

    def __init__(self, audit: AuditLog, ledger: Ledger, shelf: Shelf, metrics: Metrics, settings: AuditSection) -> None:
        self._audit = audit
        self._ledger = ledger
        self._shelf = shelf
        self._metrics = metrics
        self._settings = settings

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            try:
                await self.sweep(timedelta(seconds=self._settings.orphan_seconds))
                await self._shelf.sweep()
            except Exception:
                # Fails open: the next round tries again, and `/metrics` shows what is overdue.
                log.exception("sweep.failed")

    async def sweep(self, older_than: timedelta) -> int:
        """How many tickets were concluded. Also releases reservations that outlived their record by a crash between
        the outcome and the settling: in doubt, a person is not charged."""
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
        for request_id in await self._ledger.open_reservations(older_than):
            await self._ledger.release(request_id)
        if swept:
            log.info("sweep.concluded", extra={"fields": {"tickets": swept}})
        return swept
