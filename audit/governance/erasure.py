"""Erasure on request (GDPR Art. 17): content and names go, every proof still verifies.

A turn of an approved erasure, in this order:

1. find what the log holds of the person, and set apart what must stay: what holds keep, requests that are still
   running, and records of the log's own work (who looked, who decided: Art. 17(3)(b) and (e); they go on day 30);
2. the record of the erasure is durable in the log; its ``about`` is the digest of the list of what goes (``coverage``);
3. the list is durable, then the events stand on the list of erased events (``erased``): nobody opens them any more,
   whatever is restored;
4. ciphertexts, blind tokens and salts are removed from the store.

A crash in between leaves an announced list; doing it again finds what is left. What a hold kept is erased by another
turn after the hold is released: the request stays ``partly-done`` until then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from audit.errors import ErasureRefused
from audit.governance.acts import Acts
from audit.governance.coverage import ErasureLists, canonical_list, digest_of
from audit.governance.erased import ErasedEvents
from audit.governance.holds import Holds
from audit.governance.ledger import StoredRow
from audit.governance.officer import Officer
from audit.governance.records import StoreRecords
from audit.governance.settling import Settling
from audit.governance.subject_requests import SubjectRequest, SubjectRequests, SubjectRequestState
from audit.keys.ring import DayKeys, KeyRing
from audit.record import Phase, RecordRef, Subject
from audit.row import Row
from audit.vocabulary import LogEvent, LogReason

ERASABLE = (Phase.INTENT, Phase.OUTCOME)
_MAX_KEPT_NAMED = 1000  # in the stored receipt; the counts are exact


class KeptReason(StrEnum):
    """Why a record stays although its person asked for erasure."""

    HOLD = "hold"
    OPEN = "open"  # the request is still running: the next turn takes it
    ACCOUNTABILITY = "accountability"  # what the person did to the log or to others' data


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One event that stays for now."""

    event_id: str
    reason: KeptReason
    hold_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """What one turn of an erasure did."""

    request_id: str
    record: RecordRef  # of the erasure, in the log
    at: datetime
    erased: int  # records
    days: tuple[date, ...]  # they were on
    kept: tuple[Kept, ...] = field(repr=False)
    destroyed_days: int  # days whose keys are gone: nothing there can be read or found by anybody

    @property
    def is_complete(self) -> bool:
        """Is nothing left that another turn could erase?"""
        return all(kept.reason is KeptReason.ACCOUNTABILITY for kept in self.kept)


@dataclass(slots=True)
class _Plan:
    seqs: dict[date, list[int]] = field(default_factory=dict)
    event_ids: list[bytes] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def all_seqs(self) -> list[int]:
        return [seq for seqs in self.seqs.values() for seq in seqs]


class Erasures:
    """Erasures of one log. Requesting, approving and rejecting: see ``requests``."""

    def __init__(
        self,
        requests: SubjectRequests,
        acts: Acts,
        *,
        records: StoreRecords,
        holds: Holds,
        ring: KeyRing,
        erased: ErasedEvents,
        lists: ErasureLists,
        settling: Settling,
    ) -> None:
        self.requests = requests
        self._acts = acts
        self._records = records
        self._holds = holds
        self._ring = ring
        self._erased = erased
        self._lists = lists
        self._settling = settling

    async def execute(self, request_id: str, by: Officer | Subject, *, tenant: str = "default") -> ErasureReceipt:
        """Erase what may be erased now. Two people have agreed already, so anybody, also a part of the product, may
        carry it out, and again while holds keep something.

        Raises ``ErasureRefused`` unless the request is approved or partly done; whatever else it raises, the request
        stays and the next turn finishes.
        """
        row = await self.requests.row(request_id, tenant)
        request = await self._check(row.id, by, tenant)
        holds_before = await asyncio.to_thread(self._keeping)
        plan = await self._plan(tenant, request.actor)
        destroyed_days = sum(self._records.is_destroyed(day, tenant) for day in await self._records.days())
        seqs = plan.all_seqs()
        canonical = canonical_list(seqs)
        reasons = Counter(kept.reason.value for kept in plan.kept)
        record = await self._acts.record(
            LogEvent.ERASURE_DONE,
            by,
            {"request": request_id, "erased": len(seqs), "kept": dict(reasons), "destroyed_days": destroyed_days},
            about=digest_of(canonical),
            tenant=tenant,
            phase=Phase.ERASURE,
            reasons=(LogReason.ERASED_ON_REQUEST,),
        )
        await asyncio.to_thread(self._lists.put, record.event_id, canonical)
        await asyncio.to_thread(self._give_up, plan, holds_before)
        await self._records.sign(record.seq)  # what is gone is explained by what is signed, or by nothing
        await self._records.erase(plan.seqs)
        receipt = ErasureReceipt(
            request_id=request_id,
            record=record,
            at=self._acts.now(),
            erased=len(seqs),
            days=tuple(sorted(plan.seqs)),
            kept=tuple(plan.kept),
            destroyed_days=destroyed_days,
        )
        await self._note(row, request, receipt)
        return receipt

    async def pending(self, *, tenant: str = "default") -> Sequence[SubjectRequest]:
        """Approved erasures with something left to do: not begun, cut short, or kept back by holds."""
        states = (SubjectRequestState.APPROVED, SubjectRequestState.PARTLY_DONE)
        return [request for request in await self.requests.list(tenant=tenant) if request.state in states]

    async def erase_restored(self) -> int:
        """Erase again what a restored database brought back; returns how many records. Nobody could open them
        meanwhile: the list of erased events is asked first. Safe to repeat."""
        event_ids = await asyncio.to_thread(self._erased.all)
        by_day: dict[date, list[int]] = {}
        for row in await self._records.events(event_ids):
            if row.subject is not None or row.content is not None:
                by_day.setdefault(date.fromisoformat(row.day), []).append(row.seq)
        await self._records.erase(by_day)
        return sum(map(len, by_day.values()))

    async def _check(self, request_id: str, by: Officer | Subject, tenant: str) -> SubjectRequest:
        request = await self.requests.get(request_id, tenant=tenant)
        if request.state not in (SubjectRequestState.APPROVED, SubjectRequestState.PARTLY_DONE):
            error = ErasureRefused(
                f"erasure {request_id} is {request.state}: a second person approves it first", LogReason.SUBJECT_REFUSED
            )
            await self._acts.refuse(
                LogEvent.ERASURE_DONE, by, error, about=request_id, tenant=tenant, phase=Phase.ADMIN
            )
        return request

    async def _plan(self, tenant: str, actor: str) -> _Plan:
        plan = _Plan()
        async for day, rows in self._records.of_actor(tenant, actor):
            held = await asyncio.to_thread(self._holds.holding, rows, self._keys_of)
            for event in _by_event(rows):
                kept = _kept(event, held)
                if kept is not None:
                    plan.kept.append(kept)
                    continue
                gone = [row.seq for row in event if row.subject is not None or row.content is not None]
                if gone:
                    plan.seqs.setdefault(day, []).extend(gone)
                    plan.event_ids.append(event[0].event_id)
        rows = await self._records.held_of_actor(tenant, actor)
        held = await asyncio.to_thread(self._holds.holding, rows, self._keys_of)
        plan.kept += [kept for event in _by_event(rows) if (kept := _kept(event, held)) is not None]
        return plan

    def _keys_of(self, day: date, tenant: str, class_: str) -> DayKeys:
        return self._ring.get(day, tenant, class_)

    def _give_up(self, plan: _Plan, holds_before: set[str]) -> None:
        """Put what goes on the list, unless a hold may have begun to keep some of it. Nobody opens it from here on."""
        with self._settling.alone():
            if self._keeping() != holds_before:
                raise ErasureRefused("a hold was placed or released meanwhile: erase again", LogReason.SUBJECT_REFUSED)
            self._erased.add(plan.event_ids, self._acts.now())

    def _keeping(self) -> set[str]:
        return {hold.id for hold in self._holds.keeping()}

    async def _note(self, row: StoredRow, request: SubjectRequest, receipt: ErasureReceipt) -> None:
        state = SubjectRequestState.DONE if receipt.is_complete else SubjectRequestState.PARTLY_DONE
        items = [*request.receipts, _as_json(receipt)]
        await self.requests.change(row, state=state.value, receipts={"items": items})


def _by_event(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for _, event in groupby(rows, key=lambda row: row.event_id):
        yield list(event)


def _kept(event: list[Row], held: dict[int, tuple[str, ...]]) -> Kept | None:
    """Why an event stays; ``None`` if it may go. Its halves share their fate: one alone would tell of the other."""
    event_id = str(UUID(bytes=event[0].event_id))
    if any(row.phase not in ERASABLE for row in event):
        return Kept(event_id=event_id, reason=KeptReason.ACCOUNTABILITY)
    hold_ids = {hold_id for row in event for hold_id in held.get(row.seq, ())}
    if hold_ids:
        return Kept(event_id=event_id, reason=KeptReason.HOLD, hold_ids=tuple(sorted(hold_ids)))
    if event[0].phase == Phase.INTENT and not any(row.phase == Phase.OUTCOME for row in event):
        return Kept(event_id=event_id, reason=KeptReason.OPEN)
    return None


def _as_json(receipt: ErasureReceipt) -> dict[str, Any]:
    reasons = Counter(kept.reason.value for kept in receipt.kept)
    named = [kept for kept in receipt.kept if kept.reason is not KeptReason.ACCOUNTABILITY][:_MAX_KEPT_NAMED]
    return {
        "event_id": receipt.record.event_id,
        "at": receipt.at.isoformat(),
        "erased": receipt.erased,
        "days": [day.isoformat() for day in receipt.days],
        "kept": dict(reasons),
        "kept_events": [
            {"event_id": kept.event_id, "reason": kept.reason.value, "holds": list(kept.hold_ids)} for kept in named
        ],
        "destroyed_days": receipt.destroyed_days,
    }
