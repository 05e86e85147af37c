"""Holds: what retention and erasure must leave alone, for a court or because of abuse.

A hold goes ``requested`` -> ``active`` -> ``release-requested`` -> ``released``, or ``requested`` -> ``rejected``.
Placing takes two people, releasing takes two people; an abuse hold may be placed at once by a part of the product.
Only a placed hold keeps anything: until the second person agrees, retention goes on. What that means is in ``held``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import NoReturn

from audit.canonical import JSON
from audit.errors import EntryInvalid, HoldNotFound, HoldRefused, Refused
from audit.governance.acts import Acts, check_second
from audit.governance.erased import ErasedEvents
from audit.governance.held import HeldRecords
from audit.governance.hold import KEEPING, Hold, HoldKind, HoldState, read_hold
from audit.governance.hold_keys import HoldKeys
from audit.governance.ledger import Ledger, RowChanged, StoredRow
from audit.governance.officer import SYSTEM_PREFIX, Officer, Signature
from audit.governance.scope import HoldScope, check_text
from audit.governance.settling import Settling
from audit.governance.tables import HOLD
from audit.ids import new_event_id
from audit.record import Phase, Subject, to_micros
from audit.vocabulary import LogEvent, LogReason

__all__ = ["Hold", "HoldKind", "HoldState", "Holds"]


class Holds(HeldRecords):
    """Holds of one log. Methods that change something record it first and raise ``AuditUnavailable`` if they can't."""

    def __init__(self, ledger: Ledger, acts: Acts, keys: HoldKeys, erased: ErasedEvents, settling: Settling) -> None:
        super().__init__(ledger, keys, erased, acts.now)
        self._acts = acts
        self._settling = settling

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
        """Agree to a hold: from now on it keeps. Never by who asked; needs a fresh second factor.

        A purge or an erasure that is destroying in this moment goes first, and the hold keeps what is left.
        """
        row, hold = await self._find(hold_id, tenant)
        await self._check(
            LogEvent.HOLD_PLACE, by, hold, (HoldState.REQUESTED,), others=(hold.requested.actor,), is_fresh_needed=True
        )
        await self._record(LogEvent.HOLD_PLACE, by, hold)
        await asyncio.to_thread(self._keys.create, hold_id)
        return await self._change(row, is_settled=True, state=HoldState.ACTIVE.value, decided=self._signature(by))

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
        return [read_hold(row) for row in reversed(rows) if row["tenant"] == tenant]

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
        if state in KEEPING:
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
        return read_hold(await asyncio.to_thread(self._insert, values, is_settled=state in KEEPING))

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
        return row, read_hold(row)

    def _insert(self, values: Mapping[str, object], *, is_settled: bool) -> StoredRow:
        with self._settling.alone() if is_settled else nullcontext():
            return self._ledger.insert(HOLD, values)

    async def _change(self, row: StoredRow, *, is_settled: bool = False, **changes: object) -> Hold:
        changes["changed_at"] = to_micros(self._acts.now())

        def change() -> StoredRow:
            with self._settling.alone() if is_settled else nullcontext():
                return self._ledger.change(HOLD, row, changes)

        try:
            return read_hold(await asyncio.to_thread(change))
        except RowChanged:
            raise HoldRefused(
                f"hold {row.id} was changed by somebody else meanwhile: look again", LogReason.HOLD_REFUSED
            ) from None
