"""Holds: what retention and erasure must leave alone, for a court or because of abuse.

A hold goes ``requested`` -> ``active`` -> ``release-requested`` -> ``released``, or ``requested`` -> ``rejected``.
Placing takes two people, releasing takes two people; an abuse hold may be placed at once by a part of the product.
Only a placed hold keeps anything: until the second person agrees, retention goes on.

The ciphertext of a held record stays where it is, so that digests and proofs do not change. What is kept besides is
its key; see ``escrow``. Records of the class ``zero`` cannot be held: nobody ever had their keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import NoReturn

from audit.canonical import JSON
from audit.errors import ContentDestroyed, EntryInvalid, HoldNotFound, HoldRefused, Refused
from audit.governance.acts import Acts, check_second
from audit.governance.erased import ErasedEvents
from audit.governance.escrow import Escrow
from audit.governance.hold_keys import HoldKeys
from audit.governance.ledger import Ledger, RowChanged, StoredRow
from audit.governance.officer import SYSTEM_PREFIX, Officer, Signature
from audit.governance.scope import HoldScope, check_text
from audit.governance.tables import HOLD
from audit.ids import new_event_id, parse_event_id
from audit.keys.ring import DayKeys
from audit.record import ACTOR_TERM, ZERO_CLASS, Phase, Subject, from_micros, to_micros
from audit.row import Row
from audit.seal import blind_token
from audit.vocabulary import LogEvent, LogReason


class HoldKind(StrEnum):
    """Why something is held."""

    LEGAL = "legal"
    ABUSE = "abuse"


class HoldState(StrEnum):
    """Where a hold stands."""

    REQUESTED = "requested"
    ACTIVE = "active"
    RELEASE_REQUESTED = "release-requested"
    RELEASED = "released"
    REJECTED = "rejected"


_KEEPING = (HoldState.ACTIVE, HoldState.RELEASE_REQUESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold as it is now. ``reason`` and the names are sealed at rest."""

    id: str
    tenant: str
    kind: HoldKind
    state: HoldState
    scope: HoldScope = field(repr=False)
    reason: str = field(repr=False)
    created_at: datetime
    requested: Signature = field(repr=False)
    decided: Signature | None = field(repr=False)
    release_requested: Signature | None = field(repr=False)
    released: Signature | None = field(repr=False)

    @property
    def is_keeping(self) -> bool:
        """Does it keep records now?"""
        return self.state in _KEEPING


class Holds:
    """Holds of one log. Methods that change something record it first and raise ``AuditUnavailable`` if they can't."""

    def __init__(self, ledger: Ledger, acts: Acts, keys: HoldKeys, erased: ErasedEvents) -> None:
        self._ledger = ledger
        self._acts = acts
        self._keys = keys
        self._erased = erased
        self._escrow = Escrow(ledger, keys)

    # -- what officers do

    async def request(
        self, kind: HoldKind, scope: HoldScope, reason: str, requested_by: Officer, *, tenant: str = "default"
    ) -> Hold:
        """Ask for a hold. It keeps nothing until a second person places it."""
        return await self._open(LogEvent.HOLD_REQUEST, HoldState.REQUESTED, kind, scope, reason, requested_by, tenant)

    async def place_abuse_hold(
        self, scope: HoldScope, reason: str, system: Subject, *, tenant: str = "default"
    ) -> Hold:
        """Place an abuse hold at once, by a part of the product that found the abuse. People release it, two of them.

        Raises ``EntryInvalid`` unless the actor begins with ``system:``.
        """
        if not system.actor.startswith(SYSTEM_PREFIX):
            raise EntryInvalid("only a part of the product (system:...) places a hold alone")
        return await self._open(LogEvent.HOLD_PLACE, HoldState.ACTIVE, HoldKind.ABUSE, scope, reason, system, tenant)

    async def place(self, hold_id: str, by: Officer, *, tenant: str = "default") -> Hold:
        """Agree to a hold: from now on it keeps. Never by who asked; needs a fresh second factor."""
        row, hold = await self._find(hold_id, tenant)
        await self._check(
            LogEvent.HOLD_PLACE, by, hold, (HoldState.REQUESTED,), others=(hold.requested.actor,), is_fresh_needed=True
        )
        await self._record(LogEvent.HOLD_PLACE, by, hold)
        await asyncio.to_thread(self._keys.create, hold_id)
        return await self._change(row, state=HoldState.ACTIVE.value, decided=self._signature(by))

    async def reject(self, hold_id: str, by: Officer, *, tenant: str = "default") -> Hold:
        """Turn a requested hold down; whoever asked may take it back this way."""
        row, hold = await self._find(hold_id, tenant)
        await self._check(LogEvent.HOLD_REJECT, by, hold, (HoldState.REQUESTED,))
        await self._record(LogEvent.HOLD_REJECT, by, hold)
        return await self._change(row, state=HoldState.REJECTED.value, decided=self._signature(by))

    async def ask_release(self, hold_id: str, by: Officer, *, tenant: str = "default") -> Hold:
        """Ask for a hold's end. It keeps on keeping until a second person agrees."""
        row, hold = await self._find(hold_id, tenant)
        await self._check(LogEvent.HOLD_RELEASE_REQUEST, by, hold, (HoldState.ACTIVE,))
        await self._record(LogEvent.HOLD_RELEASE_REQUEST, by, hold)
        return await self._change(row, state=HoldState.RELEASE_REQUESTED.value, release_requested=self._signature(by))

    async def keep(self, hold_id: str, by: Officer, *, tenant: str = "default") -> Hold:
        """Do not release: the hold is active again."""
        row, hold = await self._find(hold_id, tenant)
        await self._check(LogEvent.HOLD_KEEP, by, hold, (HoldState.RELEASE_REQUESTED,))
        await self._record(LogEvent.HOLD_KEEP, by, hold)
        return await self._change(row, state=HoldState.ACTIVE.value, release_requested=None)

    async def release(self, hold_id: str, by: Officer, *, tenant: str = "default") -> Hold:
        """Agree to a hold's end. Never by who asked for the end; needs a fresh second factor.

        The hold's key and escrow are destroyed: records past retention that no other hold keeps can't be read any
        more when this returns, and the next purge removes them.
        """
        row, hold = await self._find(hold_id, tenant)
        others = (hold.release_requested.actor,) if hold.release_requested else ()
        await self._check(
            LogEvent.HOLD_RELEASE, by, hold, (HoldState.RELEASE_REQUESTED,), others=others, is_fresh_needed=True
        )
        await self._record(LogEvent.HOLD_RELEASE, by, hold)
        released = await self._change(row, state=HoldState.RELEASED.value, released=self._signature(by))
        await asyncio.to_thread(self._escrow.destroy, hold_id, self._acts.now())
        return released

    async def get(self, hold_id: str, *, tenant: str = "default") -> Hold:
        """Raises ``HoldNotFound``; ``StoreDamaged`` if the row is not as it was written."""
        return (await self._find(hold_id, tenant))[1]

    async def list(self, *, tenant: str = "default") -> Sequence[Hold]:
        """All holds, newest first. Raises ``StoreDamaged`` if one was changed, put back or taken out."""
        rows = await asyncio.to_thread(self._ledger.all, HOLD)
        return [_hold(row) for row in reversed(rows) if row["tenant"] == tenant]

    # -- what retention and erasure ask; all of these block

    def keeping(self) -> Sequence[Hold]:
        """Holds of all tenants that keep records now. Raises ``StoreDamaged`` if one was tampered with: then nobody
        may go on destroying anything."""
        return [hold for hold in map(_hold, self._ledger.all(HOLD)) if hold.is_keeping]

    def escrow_day(
        self, day: date, class_: str, rows: Iterable[Row], keys_of: Callable[[str], DayKeys]
    ) -> frozenset[int]:
        """Keep the keys of the held records among ``rows``, before the day's are destroyed; returns what is held.

        ``rows`` are all records of the day and class, or at least all that could be held; ``keys_of`` gives the day's
        keys of a tenant. Durable when it returns; whatever it raises must stop the purge. Safe to repeat.
        """
        self.finish_releases()
        holds = [hold for hold in self.keeping() if hold.scope.includes_day(day)]
        if holds and class_ != ZERO_CLASS:
            matches: dict[str, list[Row]] = {}
            matcher = Matcher(holds, keys_of)
            for row in rows:
                if row.class_ == class_ and row.day == day.isoformat() and row.subject is not None:
                    for hold in matcher.holds_of(row):
                        matches.setdefault(hold.id, []).append(row)
            for hold in holds:
                held = matches.get(hold.id)
                if held:
                    keys = keys_of(hold.tenant)
                    self._escrow.keep(hold.id, hold.tenant, day, class_, held, keys, self._acts.now())
        return self.held_seqs(day, class_)

    def held_seqs(self, day: date, class_: str | None = None) -> frozenset[int]:
        """Records of a day whose keys are in escrow of a hold that keeps: their ciphertexts must stay."""
        keeping = {hold.id for hold in self.keeping()}
        found = [
            kept.seqs
            for kept in self._escrow.days()
            if kept.hold_id in keeping and kept.day == day and class_ in (None, kept.class_)
        ]
        return frozenset().union(*found)

    def held_days(self) -> dict[date, frozenset[int]]:
        """All days with records in escrow."""
        keeping = {hold.id for hold in self.keeping()}
        found: dict[date, frozenset[int]] = {}
        for kept in self._escrow.days():
            if kept.hold_id in keeping and kept.seqs:
                found[kept.day] = found.get(kept.day, frozenset()) | kept.seqs
        return found

    def holding(self, rows: Iterable[Row], keys_of: Callable[[date, str, str], DayKeys]) -> dict[int, tuple[str, ...]]:
        """Which holds keep which of these records (``seq`` -> hold ids); ``keys_of`` takes day, tenant and class.

        A record of a destroyed day is held if its key is in escrow; a younger one if a scope covers it.
        """
        keeping = self.keeping()
        escrowed = [kept for kept in self._escrow.days() if kept.hold_id in {hold.id for hold in keeping}]
        matchers: dict[tuple[date, str], Matcher] = {}
        found: dict[int, tuple[str, ...]] = {}
        for row in rows:
            day = date.fromisoformat(row.day)
            ids = {kept.hold_id for kept in escrowed if kept.day == day and row.seq in kept.seqs}
            try:
                scope = (day, row.class_)
                if scope not in matchers:
                    matchers[scope] = Matcher(keeping, partial(_keys_of_scope, keys_of, *scope))
                ids |= {hold.id for hold in matchers[scope].holds_of(row)}
            except ContentDestroyed:
                pass  # the day's keys are gone: the escrow alone tells
            if ids:
                found[row.seq] = tuple(sorted(ids))
        return found

    def open_held(self, row: Row) -> tuple[bytes, bytes] | None:
        """Subject and content of a record past retention, through a hold that keeps it; ``None`` if none does.

        Raises ``ContentDestroyed`` for an erased event, ``StoreDamaged`` if escrow or ciphertext were taken out.
        """
        if row.event_id in self._erased:
            raise ContentDestroyed("the record was erased on request")
        day = date.fromisoformat(row.day)
        candidates = [kept.hold_id for kept in self._escrow.days() if kept.day == day and row.seq in kept.seqs]
        keeping = {hold.id for hold in self.keeping()} if candidates else set()
        for hold_id in candidates:
            if hold_id in keeping:
                return self._escrow.open(hold_id, row)
        return None

    def finish_releases(self) -> None:
        """Destroy what released holds still have: a crash came between, or a key file was restored. Safe to repeat."""
        escrowed = {kept.hold_id for kept in self._escrow.days()}
        for hold in map(_hold, self._ledger.all(HOLD)):
            if hold.state is HoldState.RELEASED and (self._keys.destroy(hold.id) or hold.id in escrowed):
                self._escrow.destroy(hold.id, self._acts.now())

    # -- inside

    async def _open(
        self,
        event: LogEvent,
        state: HoldState,
        kind: HoldKind,
        scope: HoldScope,
        reason: str,
        by: Officer | Subject,
        tenant: str,
    ) -> Hold:
        check_text("reason", reason)
        now = self._acts.now()
        hold_id = new_event_id(now)
        content: dict[str, JSON] = {"hold": hold_id, "kind": kind.value, "reason": reason, "scope": scope.as_json()}
        await self._acts.record(event, by, content, about=hold_id, tenant=tenant, phase=Phase.HOLD)
        if state in _KEEPING:
            await asyncio.to_thread(self._keys.create, hold_id)
        values = {
            "id": hold_id,
            "tenant": tenant,
            "state": state.value,
            "created_at": to_micros(now),
            "changed_at": to_micros(now),
            "kind": kind.value,
            "reason": {"text": reason},
            "scope": scope.as_json(),
            "requested": Signature.of(by, now).as_json(),
        }
        return _hold(await asyncio.to_thread(self._ledger.insert, HOLD, values))

    async def _check(
        self,
        event: LogEvent,
        by: Officer,
        hold: Hold,
        states: tuple[HoldState, ...],
        *,
        others: tuple[str, ...] = (),
        is_fresh_needed: bool = False,
    ) -> None:
        try:
            if hold.state not in states:
                wanted = " or ".join(states)
                raise HoldRefused(
                    f"hold {hold.id} is {hold.state}, this needs one that is {wanted}", LogReason.HOLD_REFUSED
                )
            check_second(by, others, HoldRefused, f"the same person asked this of hold {hold.id}")
            if is_fresh_needed:
                self._acts.check_fresh(by)
        except Refused as error:
            await self._refuse(event, by, error, hold)

    async def _refuse(self, event: LogEvent, by: Officer, error: Refused, hold: Hold) -> NoReturn:
        await self._acts.refuse(event, by, error, about=hold.id, tenant=hold.tenant, phase=Phase.HOLD)

    async def _record(self, event: LogEvent, by: Officer, hold: Hold) -> None:
        await self._acts.record(event, by, {"hold": hold.id}, about=hold.id, tenant=hold.tenant, phase=Phase.HOLD)

    def _signature(self, by: Officer) -> dict[str, JSON]:
        return Signature.of(by, self._acts.now()).as_json()

    async def _find(self, hold_id: str, tenant: str) -> tuple[StoredRow, Hold]:
        row = await asyncio.to_thread(self._ledger.get, HOLD, hold_id)
        if row is None or row["tenant"] != tenant:
            raise HoldNotFound(f"no hold {hold_id}")
        return row, _hold(row)

    async def _change(self, row: StoredRow, **changes: object) -> Hold:
        changes["changed_at"] = to_micros(self._acts.now())
        try:
            return _hold(await asyncio.to_thread(self._ledger.change, HOLD, row, changes))
        except RowChanged:
            raise HoldRefused(
                f"hold {row.id} was changed by somebody else meanwhile: look again", LogReason.HOLD_REFUSED
            ) from None


class Matcher:
    """Compares records with holds: event ids as they are, actors by the blind token of the record's own day."""

    def __init__(self, holds: Sequence[Hold], keys_of: Callable[[str], DayKeys]) -> None:
        self._holds = holds
        self._keys_of = keys_of
        self._events = {hold.id: {parse_event_id(text).bytes for text in hold.scope.event_ids} for hold in holds}
        self._tokens: dict[str, bytes] = {}

    def holds_of(self, row: Row) -> list[Hold]:
        """Raises what ``keys_of`` raises, if a hold names an actor."""
        day = date.fromisoformat(row.day)
        return [hold for hold in self._holds if hold.tenant == row.tenant and self._matches(hold, row, day)]

    def _matches(self, hold: Hold, row: Row, day: date) -> bool:
        if hold.scope.event_ids:
            return row.event_id in self._events[hold.id]
        return hold.scope.includes_day(day) and self._token(hold) in row.tokens()

    def _token(self, hold: Hold) -> bytes:
        if hold.id not in self._tokens:
            self._tokens[hold.id] = blind_token(self._keys_of(hold.tenant), ACTOR_TERM, hold.scope.actor)
        return self._tokens[hold.id]


def _keys_of_scope(keys_of: Callable[[date, str, str], DayKeys], day: date, class_: str, tenant: str) -> DayKeys:
    return keys_of(day, tenant, class_)


def _hold(row: StoredRow) -> Hold:
    def signature(name: str) -> Signature | None:
        return Signature.from_json(row[name]) if row[name] else None

    return Hold(
        id=row.id,
        tenant=row["tenant"],
        kind=HoldKind(row["kind"]),
        state=HoldState(row["state"]),
        scope=HoldScope.from_json(row["scope"]),
        reason=row["reason"]["text"],
        created_at=from_micros(row["created_at"]),
        requested=Signature.from_json(row["requested"]),
        decided=signature("decided"),
        release_requested=signature("release_requested"),
        released=signature("released"),
    )
