"""The memorisation watch: nearly the same picture, for different people who asked for different things.

A model that has remembered a picture (a face above all) gives it to whoever comes near, whatever the rest of the prompt
says. That is seen from here, and only from here: the same output within `days`, for another person, for a prompt that
is about something else, and not because both worked on the same picture. (Carlini and others, *Extracting Training Data
from Diffusion Models*, 2023, look for near-duplicates in the same way.)

Kept of each finished picture for so many days: fingerprint, a pseudonym of the person, the prompt's sketch (see
`sketch`), the fingerprint of what was uploaded with it, the record's id, the time. No prompt, no picture, no name.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Row, String, Table, delete, insert, select

from gateway.exchange import ActorId, CleanUpload, Finding, ImageRequest
from gateway.prints.fingerprint import ALIKE, BITS, LEAST_QUALITY, Fingerprint
from gateway.screening.image.nearness import ACTOR_BYTES, Nearness, Seen
from gateway.screening.image.seen import Look
from gateway.screening.image.sketch import MOST_WORDS, are_related, packed, sketch, unpacked
from gateway.storage.database import Database
from gateway.storage.schema import UtcDateTime, metadata
from gateway.vocabulary import Code, Effect, Severity

MESSAGE: Final = (
    "This picture came out nearly the same for somebody who asked for something else: the model may be repeating a "
    "picture that it was taught with. A person has to look at it first. Ask for it in other words if you can't wait."
)
OF_ITS_SOURCE: Final = 2 * ALIKE
"""An edit within so many bits of what was uploaded shows what the person brought, not what the model remembers."""
MIRRORED: Final = 2
"""Place of the picture mirrored left to right in what `turned` answers: models are taught with both."""
MOST_SOURCES: Final = 1_024
"""Uploads whose fingerprints wait for the pictures that are made of them."""
OVERLAP: Final = timedelta(minutes=2)
"""A row may become visible behind one with a higher number; so far back they are read again."""
_log = logging.getLogger(__name__)

watched = Table(
    "watched_pictures",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a finished picture was made for."""

    record_id: str
    actor: str
    texts: tuple[str, ...] = field(repr=False)
    """The person's own words: prompt and labels, as they sent them."""
    sources: tuple[str, ...] = ()
    """SHA-256 of the pictures that went to the model with them."""

    @classmethod
    def of(cls, record_id: str, actor: ActorId, request: ImageRequest, uploads: Sequence[CleanUpload]) -> Self:
        """A request's. What it says must not be drawn says nothing of the picture."""
        labels = (region.label for region in request.sketch)
        texts = (request.prompt, *labels)
        return cls(record_id=record_id, actor=actor, texts=texts, sources=tuple(u.forwarded.sha256 for u in uploads))


class MemoryWatch:
    """One for the process. `secret`: 32 random bytes or more, the same in all gateways over one database. For 0 days
    nothing is kept and nothing found."""

    def __init__(self, database: Database, secret: bytes, clock: Callable[[], datetime], days: int) -> None:
        self._database, self._clock = database, clock
        self._secret = hmac.digest(secret, b"memorisation watch 1", hashlib.sha256)
        self._window = timedelta(days=days)
        self._sources: OrderedDict[str, Fingerprint] = OrderedDict()
        self._near = Nearness()
        self._read: dict[int, datetime] = {}  # rows of the last OVERLAP, by number
        self._settled = 0  # everything up to here is in memory, and nothing can appear before it any more
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return "MemoryWatch()"

    def saw_upload(self, sha256: str, seen: Look) -> None:
        """An upload that may be worked on soon."""
        mark = _upright(seen)
        if mark is not None:
            self._sources[sha256] = mark
            self._sources.move_to_end(sha256)
            while len(self._sources) > MOST_SOURCES:
                self._sources.popitem(last=False)

    async def see(self, seen: Look, place: int, asked: Asked, field: str) -> list[Finding]:
        """At most one finding about a finished picture, which is remembered from then on. Raises what the database
        raises: the caller must take that for no answer."""
        mark = _upright(seen)
        if mark is None or not self._window:
            return []  # flat, or nearly: it would be near to all that are
        sources = [self._sources[name] for name in asked.sources if name in self._sources]
        if any(mark.distance(source) <= OF_ITS_SOURCE for source in sources):
            return []
        words = sketch(" ".join(asked.texts), self._secret)
        mine = _bytes(sources[0]) if sources else None
        actor = self._actor(asked.actor)
        now = self._clock()
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(watched).values(
                    record_id=asked.record_id,
                    place=place,
                    actor=actor,
                    sketch=packed(words),
                    fingerprint=_bytes(mark),
                    source=mine,
                    seen_at=now,
                )
            )
        # Remembered first, looked up then: of two at once, the later one sees the other.
        since = int((now - self._window).timestamp())
        laid = [_bytes(mark), Fingerprint.parse(seen.fingerprints[MIRRORED]).bits.to_bytes(BITS // 8, "big")]
        async with self._turn:
            await self._refresh(now)
            found = await asyncio.to_thread(self._near.near, laid, most=ALIKE, actor=actor, since=since)
        if not found:
            return []
        async with self._database.reading() as tx:
            rows = {
                row.seq: row
                for row in await tx.execute(select(watched).where(watched.c.seq.in_([seq for seq, _ in found])))
            }
        for seq, distance in found:
            if seq in rows and not _explained(rows[seq], words, sources):
                return [self._finding(asked, rows[seq], distance, field)]
        return []

    async def refresh(self) -> None:
        """Read what there is: the first picture need not wait for it."""
        async with self._turn:
            await self._refresh(self._clock())

    async def forget_old(self) -> int:
        """Forget what is older than the window. Returns how many."""
        before = self._clock() - self._window
        async with self._database.transaction() as tx:
            gone = (await tx.execute(delete(watched).where(watched.c.seen_at < before))).rowcount
        async with self._turn:
            self._near.drop_before(int(before.timestamp()))
        return gone

    async def _refresh(self, now: datetime) -> None:
        chosen = select(watched.c.seq, watched.c.fingerprint, watched.c.actor, watched.c.seen_at)
        fresh = chosen.where(watched.c.seq > self._settled, watched.c.seen_at >= now - self._window)
        async with self._database.reading() as tx:
            rows = [row for row in await tx.execute(fresh.order_by(watched.c.seq)) if row.seq not in self._read]
        self._near.add(Seen(r.seq, r.fingerprint, r.actor, int(r.seen_at.timestamp())) for r in rows)
        self._read.update({row.seq: row.seen_at for row in rows})
        # Up to the first row that is young: behind it another may still appear.
        for seq in sorted(self._read):
            if self._read[seq] > now - OVERLAP:
                break
            self._settled = seq
            del self._read[seq]

    def _actor(self, actor: str) -> bytes:
        return hmac.digest(self._secret, b"actor\0" + actor.encode(), hashlib.sha256)[:ACTOR_BYTES]

    def _finding(self, asked: Asked, other: Row[Any], distance: int, field: str) -> Finding:
        # Ids only: who may open both records, by a case, sees what they have in common.
        _log.warning(
            "screening.near-duplicate",
            extra={"fields": {"record": asked.record_id, "like": other.record_id, "bits": distance}},
        )
        return Finding(
            id="",
            stage="output",
            detector="pdq-watch@1",
            type=Code.MEMORISATION_NEAR_DUPLICATE,
            severity=Severity.MEDIUM,
            score=round(1 - distance / (2 * ALIKE), 3),
            field=field,
            value_hmac=hmac.digest(self._secret, b"like\0" + other.record_id.encode(), hashlib.sha256)[:16].hex(),
            maskable=False,
            message=MESSAGE,
            proposed=Effect.REVIEW,
        )


def _explained(other: Row[Any], words: tuple[int, ...], sources: Sequence[Fingerprint]) -> bool:
    """Whether two pictures may well be alike: asked for with like words, or made of the same picture."""
    if are_related(words, unpacked(other.sketch)):
        return True
    if other.source is None:
        return False
    theirs = Fingerprint(int.from_bytes(other.source, "big"), 100)
    return any(theirs.distance(source) <= ALIKE for source in sources)


def _upright(seen: Look) -> Fingerprint | None:
    if not seen.fingerprints or seen.quality < LEAST_QUALITY:
        return None
    return Fingerprint.parse(seen.fingerprints[0], seen.quality)


def _bytes(mark: Fingerprint) -> bytes:
    return mark.bits.to_bytes(BITS // 8, "big")
