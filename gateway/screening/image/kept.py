"""What the memorisation watch keeps: rows of a table, some days long, and their prints in memory.

Several gateways may share the table: each reads what the others added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Row, String, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.prints.fingerprint import BITS
from gateway.screening.image.nearness import ACTOR_BYTES, Nearness, Seen
from gateway.screening.image.sketch import MOST_WORDS
from gateway.storage.database import Database
from gateway.storage.schema import UtcDateTime, metadata

OVERLAP: Final = timedelta(minutes=2)
"""A row may become visible behind one with a higher number; so far back they are read again."""


def _table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("record_id", String(36), nullable=False),
        Column("place", Integer, nullable=False),
        Column("actor", LargeBinary(ACTOR_BYTES), nullable=False),
        Column("sketch", LargeBinary(2 * MOST_WORDS), nullable=False),
        Column("fingerprint", LargeBinary(BITS // 8), nullable=False),
        Column("source", LargeBinary(BITS // 8), nullable=True),
        Column("seen_at", UtcDateTime, nullable=False, index=True),
        sqlite_autoincrement=True,
    )


watched = _table("watched_pictures")
watched_faces = _table("watched_faces")
"""A row for each of the largest faces of a picture; `fingerprint` is the face's own print."""


class Kept:
    """The rows of one table that are younger than `window`. One for the process."""

    def __init__(self, database: Database, table: Table, window: timedelta) -> None:
        self._database, self._table, self._window = database, table, window
        self._near = Nearness()
        self._read: dict[int, datetime] = {}  # rows of the last OVERLAP, by number
        self._settled = 0  # everything up to here is in memory, and nothing can appear before it any more
        self._turn = asyncio.Lock()

    async def add(self, tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember them, when `tx` is committed."""
        if rows:
            await tx.execute(insert(self._table), [dict(row) for row in rows])

    async def near(
        self, prints: Sequence[bytes], *, most: int, actor: bytes, now: datetime
    ) -> list[tuple[Row[Any], int]]:
        """Rows of others within `most` bits of any of `prints`, and how many bits; the nearest first."""
        if not prints:
            return []
        since = int((now - self._window).timestamp())
        async with self._turn:
            await self._refresh(now)
            found = await asyncio.to_thread(self._near.near, prints, most=most, actor=actor, since=since)
        if not found:
            return []
        chosen = select(self._table).where(self._table.c.seq.in_([seq for seq, _ in found]))
        async with self._database.reading() as tx:
            rows = {row.seq: row for row in await tx.execute(chosen)}
        return [(rows[seq], distance) for seq, distance in found if seq in rows]

    async def refresh(self, now: datetime) -> None:
        """Read what there is."""
        async with self._turn:
            await self._refresh(now)

    async def forget_before(self, before: datetime) -> int:
        """Forget what is older. Returns how many rows."""
        async with self._database.transaction() as tx:
            gone = (await tx.execute(delete(self._table).where(self._table.c.seen_at < before))).rowcount
        async with self._turn:
            self._near.drop_before(int(before.timestamp()))
        return gone

    async def _refresh(self, now: datetime) -> None:
        kept = self._table.c
        fresh = select(kept.seq, kept.fingerprint, kept.actor, kept.seen_at).where(
            kept.seq > self._settled, kept.seen_at >= now - self._window
        )
        async with self._database.reading() as tx:
            rows = [row for row in await tx.execute(fresh.order_by(kept.seq)) if row.seq not in self._read]
        self._near.add(Seen(r.seq, r.fingerprint, r.actor, int(r.seen_at.timestamp())) for r in rows)
        self._read.update({row.seq: row.seen_at for row in rows})
        # Up to the first row that is young: behind it another may still appear.
        for seq in sorted(self._read):
            if self._read[seq] > now - OVERLAP:
                break
            self._settled = seq
            del self._read[seq]
