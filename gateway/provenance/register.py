"""Which pictures left, by what can be read from them later: the record's id, the watermark's handle, the fingerprint.

No person, no prompt, nothing of the picture but its fingerprint. A row outlives the record it names, so that a picture
found in a year is still known as ours (`provenance.remember_days`); who asked for it is in the record alone, and gone
with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)

from gateway.prints.fingerprint import ALIKE, BITS, LEAST_QUALITY, Fingerprint
from gateway.provenance.check import Known, Lookups
from gateway.provenance.release import Released
from gateway.storage.database import Database
from gateway.storage.schema import UtcDateTime, metadata

MOST_TOLD: Final = 20
"""Pictures told of one check: more say nothing more."""
MOST_NEAR: Final = 200
"""Rows looked at for those, nearest first."""

released = Table(
    "released_pictures",
    metadata,
    # Grows with every row and is never given twice: what was read up to here need not be read again.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("record_id", String(36), nullable=False, index=True),
    Column("place", Integer, nullable=False),
    Column("handle", BigInteger, nullable=True, index=True),
    Column("fingerprint", LargeBinary(BITS // 8), nullable=False),
    Column("quality", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("released_at", UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)


class Register:
    """Remembers pictures that leave and finds them again."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._seen = _Seen()
        self._reading = asyncio.Lock()

    @property
    def lookups(self) -> Lookups:
        """How a check asks."""
        return Lookups(by_record=self.by_record, by_handle=self.by_handle, near=self.near)

    async def remember(self, record_id: str, place: int, model: str, picture: Released) -> None:
        """Durable when it returns. `place` is the picture's number in its request; what is said of it last counts."""
        async with self._database.transaction() as tx:
            await tx.execute(delete(released).where(released.c.record_id == record_id, released.c.place == place))
            await tx.execute(
                insert(released).values(
                    record_id=record_id,
                    place=place,
                    handle=picture.handle,
                    fingerprint=picture.fingerprint.bits.to_bytes(BITS // 8, "big"),
                    quality=picture.fingerprint.quality,
                    model=model,
                    released_at=self._clock(),
                )
            )

    async def by_record(self, record_id: str) -> Sequence[Known]:
        """Of a record that a trusted manifest names."""
        return await self._newest(released.c.record_id == record_id)

    async def by_handle(self, handle: int) -> Sequence[Known]:
        """Of a handle that a watermark carries."""
        return await self._newest(released.c.handle == handle)

    async def near(self, fingerprints: Sequence[Fingerprint]) -> Sequence[Known]:
        """Pictures within `ALIKE` bits of any of `fingerprints`, nearest first.

        All fingerprints are compared, in memory: 32 bytes a picture, read once and then only what came since.
        """
        telling = [one for one in fingerprints if one.quality >= LEAST_QUALITY]
        if not telling:
            return []
        async with self._reading:
            async with self._database.reading() as tx:
                new = select(released.c.seq, released.c.fingerprint).where(
                    released.c.seq > self._seen.last, released.c.quality >= LEAST_QUALITY
                )
                rows = (await tx.execute(new.order_by(released.c.seq))).all()
            found = await asyncio.to_thread(self._seen.nearest, rows, telling)
        if not found:
            return []
        async with self._database.reading() as tx:
            still = {row.seq: row for row in await tx.execute(select(released).where(released.c.seq.in_(found)))}
        near = [_known(still[seq], distance) for seq, distance in found.items() if seq in still]
        return near[:MOST_TOLD]

    async def forget_before(self, days: int) -> int:
        """Forget what left more than `days` days ago. Returns how many."""
        past = released.c.released_at < self._clock() - timedelta(days=days)
        async with self._database.transaction() as tx:
            gone = (await tx.execute(delete(released).where(past))).rowcount
        async with self._reading, self._database.reading() as tx:
            first = (await tx.execute(select(func.min(released.c.seq)))).scalar()
            self._seen.drop_before(first)
        return gone

    async def _newest(self, condition: ColumnElement[bool]) -> Sequence[Known]:
        newest = select(released).where(condition).order_by(released.c.seq.desc()).limit(MOST_TOLD)
        async with self._database.reading() as tx:
            return [_known(row) for row in await tx.execute(newest)]


class _Seen:
    """The fingerprints read so far, as rows of four words."""

    def __init__(self) -> None:
        self.last = 0
        self._seqs: NDArray[np.int64] = np.empty(0, np.int64)
        self._words: NDArray[np.uint64] = np.empty((0, BITS // 64), np.uint64)

    def nearest(self, rows: Sequence[Row[Any, Any]], fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
        """{seq: distance} of those within `ALIKE` of any of `fingerprints`, nearest first, after taking in `rows`."""
        if rows:
            seqs, prints = zip(*rows, strict=True)
            self._seqs = np.concatenate([self._seqs, np.array(seqs, np.int64)])
            words = np.frombuffer(b"".join(prints), np.uint64).reshape(-1, BITS // 64)
            self._words = np.concatenate([self._words, words])
            self.last = int(self._seqs[-1])
        if not len(self._seqs):
            return {}
        best = np.full(len(self._seqs), BITS, np.uint16)
        for one in fingerprints:
            asked = np.frombuffer(one.bits.to_bytes(BITS // 8, "big"), np.uint64)
            np.minimum(best, np.bitwise_count(self._words ^ asked).sum(1, dtype=np.uint16), out=best)
        places = np.flatnonzero(best <= ALIKE)
        places = places[np.argsort(best[places], kind="stable")][:MOST_NEAR]
        return {int(self._seqs[place]): int(best[place]) for place in places}

    def drop_before(self, first: int | None) -> None:
        """Let go of rows that are no more; None = of all."""
        keep = slice(len(self._seqs) if first is None else int(np.searchsorted(self._seqs, first)), None)
        self._seqs, self._words = self._seqs[keep].copy(), self._words[keep].copy()


def _known(row: Row[Any], distance: int = 0) -> Known:
    return Known(record_id=row.record_id, created=row.released_at, model=row.model, distance=distance)
