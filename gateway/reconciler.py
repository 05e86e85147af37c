"""Compares the ledger with the log after crashes, mends what it can, and tells about each difference, once.

A request touches two books that no transaction joins (docs/decisions/0003): its outcome is durable in the log first,
then its credits are spent or given back. Whoever dies between the two leaves them apart. In doubt a person is not
charged, so credits left aside go back; what can't be mended is reported, for a person to look at.

| log | ledger | so |
|---|---|---|
| allow or mask, with a cost | set aside | given back: `credits.unsettled` |
| any other outcome | set aside | given back: `credits.unreleased` |
| no outcome | set aside | given back: `credits.without-outcome` |
| no outcome, or one that delivered nothing | spent | reported: `credits.spent-for-nothing` |
| allow or mask, with a cost | nothing, or given back by nobody we know of | reported: `credits.never-charged` |
| allow or mask, with a cost | another amount spent | reported: `credits.amount-differs` |

The event is durable before the credits move. Whoever dies between the two leaves an event whose act the next round
does, under an event of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from audit import AuditLog, Ending, Entry, Subject, endings_after, endings_of, seq_before
from gateway.credits.ledger import NOBODY, Ledger, Standing, batched
from gateway.exchange import RequestId
from gateway.observe.metrics import Metrics
from gateway.vocabulary import Code, Effect, Event

log = logging.getLogger(__name__)

SYSTEM: Final = Subject(actor="system:reconciler", display="reconciler")
DELIVERED: Final = frozenset({Effect.ALLOW.value, Effect.MASK.value})
LOOKED_BACK_DAYS: Final = 1
"""A start looks at everything since the day before: whoever died has been replaced by then, or somebody was called."""
AT_ONCE: Final = 1_000
"""Requests in one question to the log: some tens of milliseconds of a reader."""
SLICE: Final = timedelta(minutes=5)
"""Spendings in one question to the ledger: what a busy gateway does in this time fits into memory easily."""


class Reconciler:
    """One a process; several at once do no harm: the ledger's own rules let credits go back once. Used by one task.

    `older_than` must be more than a request can take. Every method raises what the log or the database raises; then
    the next round does what is left.
    """

    def __init__(self, audit: AuditLog, ledger: Ledger, metrics: Metrics) -> None:
        self._audit = audit
        self._ledger = ledger
        self._metrics = metrics
        self._seq: int | None = None
        """Outcomes up to here have been compared."""
        self._spent_until: datetime | None = None
        """Spendings up to here have been compared."""

    async def mend(self, older_than: timedelta) -> int:
        """Give back credits that are set aside for requests that are over. Returns of how many requests. Quick: there
        are as many as were in work when somebody died."""
        waiting = await self._ledger.open_reservations(older_than)
        endings = await endings_of(self._audit.store, waiting)
        standings = await self._ledger.standings(waiting)
        mended = 0
        for request_id in waiting:
            standing, ending = standings.get(request_id), endings.get(request_id)
            if standing is None or not standing.is_open:
                continue  # it ended in this very moment
            if ending is None:
                code = Code.CREDITS_WITHOUT_OUTCOME
            else:
                code = Code.CREDITS_UNSETTLED if ending.effect in DELIVERED else Code.CREDITS_UNRELEASED
            await self._tell(Event.LEDGER_MEND, code, request_id, standing, ending)
            await self._ledger.release(request_id)
            await self._ledger.flag(request_id, standing.actor)
            self._metrics.reconciled.labels(done="mended", reason=code.value).inc()
            mended += 1
        if mended:
            log.warning("ledger.mended", extra={"fields": {"requests": mended}})
        return mended

    async def compare(self, older_than: timedelta) -> int:
        """Hold every delivery against the ledger and every spending against the log, from where the last round ended.
        Returns how many differences were reported. The first round looks at a day and more: not while a start waits."""
        until = self._audit.now() - older_than
        reported = await self._compare_deliveries(until) + await self._compare_spendings(until)
        if reported:
            log.warning("ledger.differs", extra={"fields": {"requests": reported}})
        return reported

    async def _compare_deliveries(self, until: datetime) -> int:
        if self._seq is None:
            self._seq = await seq_before(self._audit.store, _first_day(until))
        reported = 0
        while True:
            over = _before(await endings_after(self._audit.store, self._seq, AT_ONCE), until)
            for ending, standing in await self._undercharged(over):
                settled = None if standing is None else standing.settled
                code = Code.CREDITS_NEVER_CHARGED if settled is None else Code.CREDITS_AMOUNT_DIFFERS
                await self._report(code, RequestId(ending.event_id), standing, ending)
                reported += 1
            if over:
                self._seq = over[-1].seq
            if len(over) < AT_ONCE:
                return reported

    async def _undercharged(self, endings: Sequence[Ending]) -> list[tuple[Ending, Standing | None]]:
        """Deliveries with a cost that the ledger did not take, and nobody was told of yet."""
        delivered = [ending for ending in endings if ending.credits and _delivers(ending)]
        standings = await self._ledger.standings(RequestId(ending.event_id) for ending in delivered)
        found = [(ending, standings.get(RequestId(ending.event_id))) for ending in delivered]
        return [(e, s) for e, s in found if s is None or not (s.is_flagged or s.settled == e.credits)]

    async def _compare_spendings(self, until: datetime) -> int:
        since = self._spent_until or datetime.combine(_first_day(until), time(), UTC)
        reported = 0
        while since < until:
            end = min(since + SLICE, until)
            for some in batched(await self._ledger.settled_between(since, end), AT_ONCE):
                endings = await endings_of(self._audit.store, some)
                odd = [request_id for request_id in some if not _delivers(endings.get(request_id))]
                standings = await self._ledger.standings(odd)
                for request_id in odd:
                    if not standings[request_id].is_flagged:
                        standing, ending = standings[request_id], endings.get(request_id)
                        await self._report(Code.CREDITS_SPENT_FOR_NOTHING, request_id, standing, ending)
                        reported += 1
            self._spent_until = since = end
        return reported

    async def _report(
        self, code: Code, request_id: RequestId, standing: Standing | None, ending: Ending | None
    ) -> None:
        await self._tell(Event.LEDGER_REPORT, code, request_id, standing, ending)
        await self._ledger.flag(request_id, NOBODY if standing is None else standing.actor)
        self._metrics.reconciled.labels(done="reported", reason=code.value).inc()

    async def _tell(
        self, event: Event, code: Code, request_id: RequestId, standing: Standing | None, ending: Ending | None
    ) -> None:
        entry = Entry(
            action=event.value,
            subject=SYSTEM,
            effect=Effect.ALLOW.value,
            reasons=(code.value,),
            content={
                "request_id": request_id,
                "reserved": 0 if standing is None else standing.reserved,
                "settled": None if standing is None else standing.settled,
                "recorded_effect": "" if ending is None else ending.effect,
                "recorded_credits": 0 if ending is None else ending.credits,
            },
            index={"target": (request_id,)},
        )
        await self._audit.note(entry, about=request_id)


def _first_day(until: datetime) -> date:
    return (until - timedelta(days=LOOKED_BACK_DAYS)).astimezone(UTC).date()


def _before(endings: Sequence[Ending], until: datetime) -> list[Ending]:
    """The first of them that are over for long enough, in their order: the position must not pass a younger one."""
    over: list[Ending] = []
    for ending in endings:
        if ending.at >= until:
            break
        over.append(ending)
    return over


def _delivers(ending: Ending | None) -> bool:
    return ending is not None and ending.effect in DELIVERED
