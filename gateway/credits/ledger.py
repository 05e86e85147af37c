"""The ledger. Money, so: conditional updates inside transactions, never a counter in memory.

What always holds, and `check` proves from the entries alone:

* an account's `available` and `reserved` are the sums of its entries' deltas, and neither is ever negative;
* a request has one `reserve`, and after it at most one of {`settle` (+ `release` of an unused rest), `release`};
* repeating any call with the same request id changes nothing (idempotent), so a retry or a sweeper can't charge twice.

Free credits belong to their month (UTC): the first use in a new month expires what was left and grants the new month's.
What is released after its month has ended expires at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.credits.tables import accounts, entries
from gateway.errors import CreditsEmpty
from gateway.exchange import ActorId, Charge, Reason, RequestId
from gateway.settings import CreditSettings
from gateway.storage.database import Database
from gateway.vocabulary import Code, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What a person has. `renews_at` is the first moment of the next month, UTC."""

    available: int
    reserved: int
    granted: int
    renews_at: datetime


class Ledger:
    """Credits of everybody. Every method is one transaction, durable when it returns."""

    def __init__(self, database: Database, settings: CreditSettings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def reserve(self, request_id: RequestId, actor: ActorId, credits: int) -> Charge:
        """Set `credits` aside for a request. Raises CreditsEmpty, leaving everything as it was."""
        if credits < 1:
            raise ValueError(f"expected at least one credit, got {credits}")
        async with self._transaction_for(actor) as (tx, account):
            if await _entry(tx, request_id, "reserve") is None:
                if account.available < credits:
                    raise CreditsEmpty(
                        f"This costs {_count(credits)}; you have {account.available}. "
                        f"Your next credits come on {_next_month(self._clock()):%-d %B}. Nothing was charged.",
                        reasons=[Reason(code=Code.CREDITS_EMPTY, message="Not enough credits.", severity=Severity.LOW)],
                    )
                await self._write(tx, account, "reserve", -credits, credits, request_id)
            return Charge(request_id=request_id, actor=actor, credits=credits, remaining=account.available)

    async def settle(self, charge: Charge, used: int | None = None) -> int:
        """Spend a reservation, or `used` credits of it and release the rest. Returns what the actor has left."""
        used = charge.credits if used is None else used
        if not 0 <= used <= charge.credits:
            raise ValueError(f"can't settle {used} of a reservation of {charge.credits}")
        async with self._transaction_for(charge.actor) as (tx, account):
            if not await _is_closed(tx, charge.request_id):
                if used:
                    await self._write(tx, account, "settle", 0, -used, charge.request_id)
                if used < charge.credits:
                    await self._give_back(tx, account, charge.request_id, charge.credits - used)
            return account.available

    async def release(self, request_id: RequestId) -> None:
        """Give back what was reserved for a request. Nothing happens when nothing was, or when it is closed already."""
        async with self._database.transaction() as tx:
            reserve = await _entry(tx, request_id, "reserve")
            if reserve is None:
                return
            account = await self._current(tx, ActorId(reserve.actor))
            if not await _is_closed(tx, request_id):
                await self._give_back(tx, account, request_id, reserve.reserved_delta, month=reserve.month)

    async def open_reservations(self, older_than: timedelta) -> list[RequestId]:
        """Requests whose credits are still set aside after `older_than`."""
        closing = entries.alias()
        is_closed = select(closing.c.seq).where(
            closing.c.request_id == entries.c.request_id, closing.c.kind.in_(("settle", "release"))
        )
        query = select(entries.c.request_id).where(
            entries.c.kind == "reserve", entries.c.at < self._clock() - older_than, ~is_closed.exists()
        )
        async with self._database.reading() as tx:
            return [RequestId(row.request_id) for row in await tx.execute(query)]

    async def balance(self, actor: ActorId) -> Balance:
        """What `actor` has now; grants the month's credits if this is the first look."""
        async with self._transaction_for(actor) as (tx, account):
            granted = await tx.scalar(
                select(func.coalesce(func.sum(entries.c.available_delta), 0)).where(
                    entries.c.actor == actor, entries.c.kind == "grant", entries.c.month == account.month
                )
            )
            return Balance(
                available=account.available,
                reserved=account.reserved,
                granted=int(granted or 0),
                renews_at=_next_month(self._clock()),
            )

    async def check(self) -> list[str]:
        """Recompute every account from its entries; returns a sentence for each that doesn't balance."""
        sums = select(
            entries.c.actor,
            func.sum(entries.c.available_delta).label("available"),
            func.sum(entries.c.reserved_delta).label("reserved"),
        ).group_by(entries.c.actor)
        async with self._database.reading() as tx:
            expected = {row.actor: (int(row.available), int(row.reserved)) for row in await tx.execute(sums)}
            found = {row.actor: (row.available, row.reserved) for row in await tx.execute(select(accounts))}
        return [
            f"{actor}: entries say {expected.get(actor)} (available, reserved), the account says {found.get(actor)}"
            for actor in sorted(expected.keys() | found.keys())
            if expected.get(actor) != found.get(actor)
        ]

    def _transaction_for(self, actor: ActorId) -> _AccountTransaction:
        return _AccountTransaction(self, actor)

    async def _current(self, tx: AsyncConnection, actor: ActorId) -> _Account:
        """The account, locked, brought into this month."""
        row = (await tx.execute(select(accounts).where(accounts.c.actor == actor).with_for_update())).one_or_none()
        month = _month(self._clock())
        if row is None:
            await tx.execute(insert(accounts).values(actor=actor, month=month, available=0, reserved=0))
            account = _Account(actor, month, 0, 0)
            await self._write(tx, account, "grant", self._settings.first_month, 0)
            return account
        account = _Account(actor, row.month, row.available, row.reserved)
        if account.month < month:
            await self._write(tx, account, "expire", -account.available, 0)
            account.month = month
            await self._write(tx, account, "grant", self._settings.each_month, 0)
        return account

    async def _give_back(
        self, tx: AsyncConnection, account: _Account, request_id: RequestId, credits: int, *, month: str | None = None
    ) -> None:
        if month is None:
            reserve = await _entry(tx, request_id, "reserve")
            month = account.month if reserve is None else reserve.month
        await self._write(tx, account, "release", credits, -credits, request_id)
        if month < account.month:
            await self._write(tx, account, "expire", -credits, 0)

    async def _write(
        self,
        tx: AsyncConnection,
        account: _Account,
        kind: str,
        available_delta: int,
        reserved_delta: int,
        request_id: RequestId | None = None,
    ) -> None:
        account.available += available_delta
        account.reserved += reserved_delta
        await tx.execute(
            insert(entries).values(
                actor=account.actor,
                request_id=request_id,
                kind=kind,
                available_delta=available_delta,
                reserved_delta=reserved_delta,
                month=account.month,
                at=self._clock(),
            )
        )
        await tx.execute(
            update(accounts)
            .where(accounts.c.actor == account.actor)
            .values(month=account.month, available=account.available, reserved=account.reserved)
        )


@dataclass(slots=True)
class _Account:
    """The row as this transaction sees it; nobody else can change it before the commit."""

    actor: ActorId
    month: str
    available: int
    reserved: int


class _AccountTransaction:
    """A transaction that holds one account's row. Retried once when two first uses create the account together."""

    def __init__(self, ledger: Ledger, actor: ActorId) -> None:
        self._ledger = ledger
        self._actor = actor

    async def __aenter__(self) -> tuple[AsyncConnection, _Account]:
        for attempt in (1, 2):
            self._transaction = self._ledger._database.transaction()
            tx = await self._transaction.__aenter__()
            try:
                return tx, await self._ledger._current(tx, self._actor)
            except BaseException as error:
                await self._transaction.__aexit__(type(error), error, error.__traceback__)
                if attempt == 2 or not isinstance(error, IntegrityError):
                    raise
        raise AssertionError("unreachable: the second attempt returns or raises")

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transaction.__aexit__(*exc_info)  # type: ignore[arg-type]  # the three are passed on as they came


async def _entry(tx: AsyncConnection, request_id: RequestId, kind: str):  # type: ignore[no-untyped-def]  # a SQLAlchemy Row or None
    found = await tx.execute(select(entries).where(entries.c.request_id == request_id, entries.c.kind == kind))
    return found.one_or_none()


async def _is_closed(tx: AsyncConnection, request_id: RequestId) -> bool:
    closing = select(entries.c.seq).where(entries.c.request_id == request_id, entries.c.kind.in_(("settle", "release")))
    return (await tx.execute(closing.limit(1))).first() is not None


def _month(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m}"


def _next_month(now: datetime) -> datetime:
    now = now.astimezone(UTC)
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


def _count(credits: int) -> str:
    return "one credit" if credits == 1 else f"{credits} credits"
