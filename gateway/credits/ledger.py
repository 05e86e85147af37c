"""The ledger. Money, so: conditional updates inside transactions, never a counter in memory.

What always holds, and `check` proves from the entries alone:

* an account's `available` and `reserved` are the sums of its entries' deltas, and neither is ever negative;
* a request has one `reserve`, and after it at most one of {`settle` (+ `release` of an unused rest), `release`};
* repeating any call with the same request id changes nothing (idempotent), so a retry or a sweeper can't charge twice.

A `flag` moves nothing: it marks a request whose record and entries differ as told, so that it is told once.

Free credits belong to their month (UTC): the first use in a new month expires what was left and grants the new month's.
What is released after its month has ended expires at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.credits.tables import accounts, entries
from gateway.errors import CreditsEmpty
from gateway.exchange import ActorId, Charge, Reason, RequestId
from gateway.settings import CreditSettings
from gateway.storage.database import Database
from gateway.vocabulary import Code, Severity

T = TypeVar("T")

NOBODY: Final = ActorId("-")
"""Whose a flag is when the ledger has nothing else of its request."""
_IDS_AT_ONCE: Final = 500  # parameters of one statement: SQLite takes 32,766, PostgreSQL's driver 32,767


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What a person has. `renews_at` is the first moment of the next month, UTC."""

    available: int
    reserved: int
    granted: int
    renews_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger holds of one request. `settled` is what was spent for good; None while nothing was."""

    actor: ActorId
    reserved: int
    settled: int | None
    is_released: bool
    is_flagged: bool

    @property
    def is_open(self) -> bool:
        """Credits are set aside and nobody said yet what becomes of them."""
        return self.reserved > 0 and self.settled is None and not self.is_released


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

    async def release(self, request_id: RequestId) -> bool:
        """Give back what was reserved for a request, and say whether anything was. Nothing happens when nothing was
        reserved, or when it is closed already."""
        async with self._database.transaction() as tx:
            reserve = await _entry(tx, request_id, "reserve")
            if reserve is None:
                return False
            account = await self._current(tx, ActorId(reserve.actor))
            if await _is_closed(tx, request_id):
                return False
            await self._give_back(tx, account, request_id, reserve.reserved_delta, month=reserve.month)
            return True

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

    async def settled_between(self, since: datetime, until: datetime) -> list[RequestId]:
        """Requests whose credits were spent in this stretch of time, its end not included; in the order of spending."""
        query = (
            select(entries.c.request_id)
            .where(entries.c.kind == "settle", entries.c.at >= since, entries.c.at < until)
            .order_by(entries.c.seq)
        )
        async with self._database.reading() as tx:
            return [RequestId(row.request_id) for row in await tx.execute(query)]

    async def standings(self, request_ids: Iterable[RequestId]) -> dict[RequestId, Standing]:
        """How these requests stand; one that the ledger never heard of is left out."""
        found: dict[RequestId, list[Row[Any]]] = {}
        async with self._database.reading() as tx:
            for some in batched(dict.fromkeys(request_ids), _IDS_AT_ONCE):
                for row in await tx.execute(select(entries).where(entries.c.request_id.in_(some))):
                    found.setdefault(RequestId(row.request_id), []).append(row)
        return {request_id: _standing(rows) for request_id, rows in found.items()}

    async def flag(self, request_id: RequestId, actor: ActorId = NOBODY) -> None:
        """Mark a request as told about. Durable when it returns; a second flag changes nothing."""
        insert_ = (sqlite if self._database.is_sqlite else postgresql).insert
        marked = insert_(entries).values(
            actor=actor,
            request_id=request_id,
            kind="flag",
            available_delta=0,
            reserved_delta=0,
            month=_month(self._clock()),
            at=self._clock(),
        )
        async with self._database.transaction() as tx:
            await tx.execute(marked.on_conflict_do_nothing(index_elements=["request_id", "kind"]))

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
        )
        sums = sums.where(entries.c.kind != "flag").group_by(entries.c.actor)  # a flag may be of nobody's account
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


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in lists of at most `size` (itertools.batched comes with Python 3.12)."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _standing(rows: Sequence[Row[Any]]) -> Standing:
    by_kind = {row.kind: row for row in rows}
    settle = by_kind.get("settle")
    return Standing(
        actor=ActorId((by_kind.get("reserve") or rows[0]).actor),
        reserved=by_kind["reserve"].reserved_delta if "reserve" in by_kind else 0,
        settled=-settle.reserved_delta if settle is not None else None,
        is_released="release" in by_kind,
        is_flagged="flag" in by_kind,
    )


def _month(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m}"


def _next_month(now: datetime) -> datetime:
    now = now.astimezone(UTC)
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


def _count(credits: int) -> str:
    return "one credit" if credits == 1 else f"{credits} credits"
