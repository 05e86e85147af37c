"""What the rules saw and said on pictures, for a few days: what a replay replays.

Why not from the audit log: what is recorded there opens inside a case, for two people, and a replay is neither. So the
inputs are kept here as well, under these promises:

* no prompt, no picture, no user agent: exactly what `gateway.policy.input` builds;
* sealed by day; a day's key goes when the day is past `keep_days`, and with it all that can be read;
* no input outlives its record: people whose records are kept shorter than that, or not at all, are left out, and what
  was erased from the log on a person's request is erased here before anything is read again;
* it fails open: it never delays or refuses a decision. What it could not keep is counted.

Written in pages, some seconds of decisions each; a crash loses the newest page.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, func, insert, select, update

from gateway.policy.engine import UNDEFINED, EntryPoint, Evaluation
from gateway.replay.sealing import Sealer
from gateway.replay.tables import replay_pages
from gateway.storage.database import Database

_log = logging.getLogger(__name__)

PAGE_DECISIONS: Final = 512
FLUSH_SECONDS: Final = 5.0
MAX_WAITING: Final = 20_000
"""Decisions not yet written; about 40 MiB. When the database is away for longer, the newest are not kept."""

KeepsFor = Callable[[tuple[str, ...]], int]
"""For how many whole days the records of somebody in these groups are kept; 0 = their content is not."""


_Seen = tuple[datetime, Mapping[str, Any], Evaluation]


class Journal:
    """Keeps and gives back inputs. `saw` is a `tap.Watcher`."""

    def __init__(
        self, database: Database, sealer: Sealer, clock: Callable[[], datetime], *, keep_days: int, keeps_for: KeepsFor
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._keep_days = keep_days
        self._keeps_for = keeps_for
        self._waiting: deque[_Seen] = deque()
        self._writing = asyncio.Lock()
        self.erased_seen = -1
        """How many events had been erased from the log when `forget_erased` last looked."""
        self.left_out = 0
        """Decisions that were not to be kept: the records of their people are kept shorter, or not at all."""
        self.lost = 0
        """Decisions that should have been kept and could not."""

    def saw(self, entry: EntryPoint, document: Mapping[str, Any], evaluation: Evaluation) -> None:
        """Remember one decision; returns at once."""
        if entry is not EntryPoint.IMAGE:
            return
        if self._keeps_for(tuple(document["subject"]["groups"])) < self._keep_days:
            self.left_out += 1
        elif len(self._waiting) >= MAX_WAITING:
            self.lost += 1
        else:
            self._waiting.append((self._clock(), document, evaluation))

    async def run(self) -> None:
        """Write what waits, again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. Never raises: what can't be written stays until there is no more room."""
        async with self._writing:
            while self._waiting:
                first = _day_of(self._waiting[0][0])
                batch: list[_Seen] = []
                while self._waiting and len(batch) < PAGE_DECISIONS and _day_of(self._waiting[0][0]) == first:
                    batch.append(self._waiting.popleft())
                try:
                    await self._write(first, batch)
                except Exception as error:
                    # Whatever it is (drivers have errors of their own while a database starts): it must not end `run`.
                    self._waiting.extendleft(reversed(batch))
                    _log.error("replay.unwritten", extra={"fields": {"cause": type(error).__name__}})
                    return

    async def count(self, days: int) -> int:
        """How many decisions of the last `days` there are."""
        asked = select(func.coalesce(func.sum(replay_pages.c.decisions), 0)).where(self._within(days))
        async with self._database.reading() as tx:
            return int((await tx.execute(asked)).scalar_one())

    async def oldest_day(self, days: int) -> date | None:
        """The oldest of the last `days` of which something is kept and can be read, or None."""
        asked = select(replay_pages.c.day).where(self._within(days)).distinct().order_by(replay_pages.c.day)
        async with self._database.reading() as tx:
            found: list[date] = list((await tx.execute(asked)).scalars())
        for day in found:
            if await asyncio.to_thread(self._sealer.key, day) is not None:
                return day
        return None

    async def pages(self, days: int) -> AsyncIterator[bytes]:
        """The decisions of the last `days`, oldest first, a page at a time: lines of JSON objects with `document`,
        `result` and `revision`. Raises PageUnreadable. Call `forget_erased` before."""
        last, keys = 0, dict[date, AESGCM | None]()
        while True:
            # One page a transaction: whoever reads slowly must not keep the database from tidying up.
            asked = (
                select(replay_pages.c.seq, replay_pages.c.day, replay_pages.c.sealed)
                .where(replay_pages.c.seq > last, self._within(days))
                .order_by(replay_pages.c.seq)
                .limit(1)
            )
            async with self._database.reading() as tx:
                row = (await tx.execute(asked)).one_or_none()
            if row is None:
                return
            last = row.seq
            if row.day not in keys:
                keys[row.day] = await asyncio.to_thread(self._sealer.key, row.day)
            if (key := keys[row.day]) is not None:
                yield await asyncio.to_thread(_unpacked, key, row.day, row.sealed)

    async def find(self, request_id: str, stage: str = "") -> Mapping[str, Any] | None:
        """The newest input of one request (at one stage), or None."""
        found: Mapping[str, Any] | None = None
        needle = request_id.encode()
        async for page in self.pages(self._keep_days + 1):
            if needle not in page:
                continue
            for line in page.splitlines():
                kept = json.loads(line)
                document = kept["document"]
                if document["request_id"] == request_id and stage in ("", document["stage"]):
                    found = kept
        return found

    async def sweep(self) -> int:
        """Destroy what is past its days: first the keys, then the pages. Returns how many days went."""
        oldest = self._clock().astimezone(UTC).date() - timedelta(days=self._keep_days)
        gone = await asyncio.to_thread(self._sealer.destroy_before, oldest)
        async with self._database.transaction() as tx:
            await tx.execute(delete(replay_pages).where(replay_pages.c.day < oldest))
        return gone

    async def forget_erased(self, erased: Callable[[], list[bytes]]) -> int:
        """Take out what was erased from the log, by event ids as raw bytes. Returns how many decisions went. Costs
        nothing while no erasure is new."""
        events = await asyncio.to_thread(erased)
        if len(events) == self.erased_seen:
            return 0
        await self.flush()
        ids = {str(uuid.UUID(bytes=event)) for event in events}
        gone = await self._forget(lambda document: document["request_id"] in ids) if ids else 0
        self.erased_seen = len(events)
        return gone

    async def forget(self, actor: str) -> int:
        """Take out everything of one person. Returns how many decisions went."""
        await self.flush()
        return await self._forget(lambda document: document["subject"]["id"] == actor)

    async def _forget(self, is_meant: Callable[[Mapping[str, Any]], bool]) -> int:
        gone = 0
        async with self._database.reading() as tx:
            seqs = list((await tx.execute(select(replay_pages.c.seq).order_by(replay_pages.c.seq))).scalars())
        for seq in seqs:
            asked = select(replay_pages.c.day, replay_pages.c.sealed).where(replay_pages.c.seq == seq)
            async with self._database.reading() as tx:
                row = (await tx.execute(asked)).one_or_none()
            key = None if row is None else await asyncio.to_thread(self._sealer.key, row.day)
            if row is None or key is None:
                continue
            lines = (await asyncio.to_thread(_unpacked, key, row.day, row.sealed)).splitlines()
            kept = [line for line in lines if not is_meant(json.loads(line)["document"])]
            if len(kept) == len(lines):
                continue
            gone += len(lines) - len(kept)
            page = await asyncio.to_thread(_packed, key, row.day, kept)
            this = replay_pages.c.seq == seq
            async with self._database.transaction() as tx:
                if kept:
                    await tx.execute(update(replay_pages).where(this).values(sealed=page, decisions=len(kept)))
                else:
                    await tx.execute(delete(replay_pages).where(this))
        return gone

    async def _write(self, day: date, batch: list[_Seen]) -> None:
        lines = [_line(document, evaluation) for _, document, evaluation in batch]
        key = await asyncio.to_thread(self._sealer.make_key, day)
        page = await asyncio.to_thread(_packed, key, day, lines)
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(replay_pages).values(day=day, first_at=batch[0][0], decisions=len(batch), sealed=page)
            )

    def _within(self, days: int) -> Any:
        since = self._clock().astimezone(UTC) - timedelta(days=days)
        # Whole pages: `first_at` is that of its first decision. Never days that are to be destroyed.
        oldest = datetime.combine(self._clock().astimezone(UTC).date() - timedelta(days=self._keep_days), time(), UTC)
        return replay_pages.c.first_at >= max(since, oldest)


def _day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _line(document: Mapping[str, Any], evaluation: Evaluation) -> bytes:
    result = None if evaluation.result is UNDEFINED else evaluation.result
    kept = {"document": document, "result": result, "revision": evaluation.revision}
    return json.dumps(kept, separators=(",", ":")).encode()


def _packed(key: AESGCM, day: date, lines: list[bytes]) -> bytes:
    return Sealer.seal(key, day, zlib.compress(b"\n".join(lines), 6))


def _unpacked(key: AESGCM, day: date, sealed: bytes) -> bytes:
    return zlib.decompress(Sealer.open(key, day, sealed))
