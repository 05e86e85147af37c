"""The memorisation watch: nearly the same picture, or face, for different people who asked for different things.

A model that has remembered a picture (a face above all) gives it to whoever comes near, whatever the rest of the prompt
says. That is seen from here, and only from here: the same output within `days`, for another person, for a prompt that
is about something else, and not because both worked on the same picture. (Carlini and others, *Extracting Training Data
from Diffusion Models*, 2023, look for near-duplicates in the same way.) A face may come back on another ground, so the
largest realistic ones are watched by prints of their own.

Kept of each finished picture for so many days: fingerprint, a pseudonym of the person, the prompt's sketch (see
`sketch`), the fingerprint of what was uploaded with it, the record's id, the time; and the same with the print of each
of those faces (`face_prints`). No prompt, no picture, no name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

import numpy as np
from sqlalchemy import Row

from gateway.exchange import ActorId, CleanUpload, Finding, ImageRequest
from gateway.prints.fingerprint import ALIKE, BITS, LEAST_QUALITY, Fingerprint
from gateway.prints.windows import WORDS, Prints, mirrored
from gateway.screening.image.kept import Kept, watched, watched_faces
from gateway.screening.image.nearness import ACTOR_BYTES
from gateway.screening.image.seen import Look
from gateway.screening.image.sketch import are_related, packed, sketch, unpacked
from gateway.storage.database import Database
from gateway.vocabulary import Code, Effect, Severity

MESSAGE: Final = (
    "This picture came out nearly the same for somebody who asked for something else: the model may be repeating a "
    "picture that it was taught with. A person has to look at it first. Ask for it in other words if you can't wait."
)
MESSAGE_OF_A_FACE: Final = (
    "A face in this picture came out nearly the same for somebody who asked for something else: the model may be "
    "repeating a face that it was taught with. A person has to look at it first. Ask for it in other words if you "
    "can't wait."
)
OF_ITS_SOURCE: Final = 2 * ALIKE
"""An edit within so many bits of what was uploaded shows what the person brought, not what the model remembers."""
FACES_ALIKE: Final = 48
"""At most so many of 256 bits: the same face, photographed once. Of pairs of the same one before two grounds, three of
four are within; of 144,000 pairs of different ones none, and the nearest is 65 apart. Drawn faces that have a template
in common are nearer to each other, 38 at the least (`bench.pictures`)."""
FACE_OF_ITS_SOURCE: Final = 70
"""As OF_ITS_SOURCE: to take one for another here costs no one anything but a look that is not taken."""
MIRRORED: Final = 2
"""Place of the picture mirrored left to right in what `turned` answers: models are taught with both."""
MOST_SOURCES: Final = 1_024
"""Uploads whose fingerprints wait for the pictures that are made of them."""
_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class _Source:
    """An upload's fingerprint, and the prints of its faces: each face's own is its first."""

    mark: Fingerprint
    faces: tuple[Prints, ...]


class MemoryWatch:
    """One for the process. `secret`: 32 random bytes or more, the same in all gateways over one database. For 0 days
    nothing is kept and nothing found."""

    def __init__(self, database: Database, secret: bytes, clock: Callable[[], datetime], days: int) -> None:
        self._database, self._clock = database, clock
        self._secret = hmac.digest(secret, b"memorisation watch 1", hashlib.sha256)
        self._window = timedelta(days=days)
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._pictures = Kept(database, watched, self._window)
        self._faces = Kept(database, watched_faces, self._window)

    def __repr__(self) -> str:
        return "MemoryWatch()"

    def saw_upload(self, sha256: str, seen: Look) -> None:
        """An upload that may be worked on soon."""
        mark = _upright(seen)
        if mark is not None:
            self._sources[sha256] = _Source(mark, _faces(seen))
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
        if any(mark.distance(source.mark) <= OF_ITS_SOURCE for source in sources):
            return []
        faces = [face for face in _faces(seen) if not any(_is_of(face, source) for source in sources)]
        words = sketch(" ".join(asked.texts), self._secret)
        actor, now = self._actor(asked.actor), self._clock()
        common = {
            "record_id": asked.record_id,
            "place": place,
            "actor": actor,
            "sketch": packed(words),
            "source": _bytes(sources[0].mark) if sources else None,
            "seen_at": now,
        }
        async with self._database.transaction() as tx:
            await self._pictures.add(tx, [{**common, "fingerprint": _bytes(mark)}])
            await self._faces.add(tx, [{**common, "fingerprint": face[0].tobytes()} for face in faces])
        # Remembered first, looked up then: of two at once, the later one sees the other.
        laid = [_bytes(mark), _bytes(Fingerprint.parse(seen.fingerprints[MIRRORED]))]
        for row, distance in await self._pictures.near(laid, most=ALIKE, actor=actor, now=now):
            if not _explained(row, words, sources):
                return [self._finding(asked, row, distance, field, is_face=False)]
        laid = [one.tobytes() for face in faces for one in _both_ways(face)]
        for row, distance in await self._faces.near(laid, most=FACES_ALIKE, actor=actor, now=now):
            if not _explained(row, words, sources):
                return [self._finding(asked, row, distance, field, is_face=True)]
        return []

    async def refresh(self) -> None:
        """Read what there is: the first picture need not wait for it."""
        now = self._clock()
        await self._pictures.refresh(now)
        await self._faces.refresh(now)

    async def forget_old(self) -> int:
        """Forget what is older than the window. Returns how many pictures and faces."""
        before = self._clock() - self._window
        return await self._pictures.forget_before(before) + await self._faces.forget_before(before)

    def _actor(self, actor: str) -> bytes:
        return hmac.digest(self._secret, b"actor\0" + actor.encode(), hashlib.sha256)[:ACTOR_BYTES]

    def _finding(self, asked: Asked, other: Row[Any], distance: int, field: str, *, is_face: bool) -> Finding:
        # Ids only: who may open both records, by a case, sees what they have in common.
        _log.warning(
            "screening.near-duplicate",
            extra={
                "fields": {
                    "record": asked.record_id,
                    "like": other.record_id,
                    "bits": distance,
                    "of": "face" if is_face else "picture",
                }
            },
        )
        return Finding(
            id="",
            stage="output",
            detector="face-watch@1" if is_face else "pdq-watch@1",
            type=Code.MEMORISATION_FACE if is_face else Code.MEMORISATION_NEAR_DUPLICATE,
            severity=Severity.MEDIUM,
            score=round(1 - distance / (2 * (FACES_ALIKE if is_face else ALIKE)), 3),
            field=field,
            value_hmac=hmac.digest(self._secret, b"like\0" + other.record_id.encode(), hashlib.sha256)[:16].hex(),
            maskable=False,
            message=MESSAGE_OF_A_FACE if is_face else MESSAGE,
            proposed=Effect.REVIEW,
        )


def _explained(other: Row[Any], words: tuple[int, ...], sources: Sequence[_Source]) -> bool:
    """Whether two pictures may well be alike: asked for with like words, or made of the same picture."""
    if are_related(words, unpacked(other.sketch)):
        return True
    if other.source is None:
        return False
    theirs = Fingerprint(int.from_bytes(other.source, "big"), 100)
    return any(theirs.distance(source.mark) <= ALIKE for source in sources)


def _upright(seen: Look) -> Fingerprint | None:
    if not seen.fingerprints or seen.quality < LEAST_QUALITY:
        return None
    return Fingerprint.parse(seen.fingerprints[0], seen.quality)


def _bytes(mark: Fingerprint) -> bytes:
    return mark.bits.to_bytes(BITS // 8, "big")


def _faces(seen: Look) -> tuple[Prints, ...]:
    return tuple(np.frombuffer(base64.b64decode(face), np.uint64).reshape(-1, WORDS) for face in seen.faces)


def _both_ways(face: Prints) -> Prints:
    return np.concatenate([face, mirrored(face)])


def _is_of(face: Prints, source: _Source) -> bool:
    """Whether the person brought this face."""
    laid = _both_ways(face)
    return any(np.bitwise_count(laid ^ other[0]).sum(1).min() <= FACE_OF_ITS_SOURCE for other in source.faces)
