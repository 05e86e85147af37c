"""Where a follower reads: covered records in the order of the sequence, from an open log or beside one.

The order runs over all days: an outcome lies in the day of its intent, so around midnight two days grow at once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

from audit.export.record import SubjectOpener, sealed_subject
from audit.record import Subject
from audit.row import Row
from audit.store.moment import open_moment
from audit.store.port import Store, StoreReader
from audit.tiles import TILE_WIDTH
from audit.tree import HASH_BYTES


@dataclass(frozen=True, slots=True)
class Covered:
    """The newest signed checkpoint, as far as a follower must know it."""

    size: int
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows in a row, and the tree's leaves for them: ``None`` where the tree was pruned."""

    rows: tuple[Row, ...]
    leaves: tuple[bytes | None, ...]


class FollowSource(Protocol):
    """What a follower needs of a log."""

    @property
    def origin(self) -> str: ...

    async def covered(self) -> Covered | None:
        """The newest checkpoint; ``None`` before the first. Raises ``AuditUnavailable``, ``StoreError``."""
        ...

    async def read_after(self, seq: int, limit: int) -> Stretch:
        """At most ``limit`` rows whose sequence number is above ``seq``, in order, purged ones included.

        Raises ``AuditUnavailable``, ``StoreError``.
        """
        ...

    def open_subject(self, row: Row) -> Subject | None:
        """Who a row is about; ``None`` if that is not to be told, or destroyed. May block for a key service."""
        ...


class _Day(Protocol):
    def rows(self, first_seq: int = 0) -> Iterator[Row]: ...

    def newest_seq(self) -> int: ...


def rows_after(days: Iterable[_Day], seq: int, limit: int) -> tuple[Row, ...]:
    """The first ``limit`` rows above ``seq`` of several days, in order; reads no more than it returns and one a day."""
    ahead = [day for day in days if day.newest_seq() > seq]
    return tuple(islice(heapq.merge(*(day.rows(seq + 1) for day in ahead), key=lambda row: row.seq), limit))


class StoreSource:
    """Follows an open store, of whatever kind."""

    def __init__(self, store: Store, opener: SubjectOpener = sealed_subject) -> None:
        self._store = store
        self._opener = opener

    @property
    def origin(self) -> str:
        return self._store.verifier_key.name

    async def covered(self) -> Covered | None:
        latest = self._store.latest
        return None if latest is None else Covered(latest[0].size, latest[1])

    async def read_after(self, seq: int, limit: int) -> Stretch:
        def read(reader: StoreReader) -> tuple[Row, ...]:
            views = (reader.day(day) for day in reader.days())
            return rows_after((view for view in views if view is not None), seq, limit)

        rows = await self._store.read(read)
        return Stretch(rows, await asyncio.to_thread(self._leaves, rows))

    def open_subject(self, row: Row) -> Subject | None:
        return self._opener(row)

    def _leaves(self, rows: tuple[Row, ...]) -> tuple[bytes | None, ...]:
        tiles = _Tiles(self._store)
        return tuple(tiles.leaf(row.seq) for row in rows)


class FolderSource:
    """Follows a store that others may write (a directory, or a database by its URL), or a snapshot; needs no key and
    writes nothing.

    Each read opens the files anew, so that a purge meanwhile is not held up by a file that we keep open.
    """

    def __init__(self, target: Path | str) -> None:
        self._target = target
        with open_moment(target) as moment:
            self._origin = moment.identity.origin

    @property
    def origin(self) -> str:
        return self._origin

    async def covered(self) -> Covered | None:
        return await asyncio.to_thread(self._covered)

    async def read_after(self, seq: int, limit: int) -> Stretch:
        return await asyncio.to_thread(self._read_after, seq, limit)

    def open_subject(self, row: Row) -> Subject | None:
        return sealed_subject(row)

    def _covered(self) -> Covered | None:
        with open_moment(self._target) as moment:
            checkpoints = moment.tree.checkpoints(self._origin)
            return Covered(checkpoints[-1][0].size, checkpoints[-1][1]) if checkpoints else None

    def _read_after(self, seq: int, limit: int) -> Stretch:
        with open_moment(self._target) as moment:
            rows = rows_after(moment.days, seq, limit)
            tiles = _Tiles(moment.tree)
            return Stretch(rows, tuple(tiles.leaf(row.seq) for row in rows))


class _TileReader(Protocol):
    def read_tile(self, level: int, index: int, /) -> bytes: ...


class _Tiles:
    """Leaves of the stored tree; keeps the last tile, since rows come in order."""

    def __init__(self, reader: _TileReader) -> None:
        self._reader = reader
        self._index = -1
        self._tile = b""

    def leaf(self, seq: int) -> bytes | None:
        index, place = divmod(seq, TILE_WIDTH)
        if index != self._index:
            self._index, self._tile = index, self._reader.read_tile(0, index)
        leaf = self._tile[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        return leaf if len(leaf) == HASH_BYTES else None
