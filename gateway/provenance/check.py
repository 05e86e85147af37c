"""Is this picture ours? Asked of all three at once: the manifest in the file, the watermark in it, and its fingerprint.

Each says what it can and none is asked to believe another. A manifest is evidence when it is trusted; a watermark when
its handle is one of ours; a fingerprint is a likeness and no more. Records are looked up by the caller's functions,
which decide what whoever asks may know.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.child import Child, started
from gateway.prints.fingerprint import Fingerprint, turned
from gateway.provenance.check_child import SHOWN
from gateway.provenance.credentials import Manifest, State
from gateway.provenance.watermark import Found, Watermark, find

PROCESSES: Final = 2
"""Checks at once, as with uploads."""
MEMORY_BYTES: Final = 1 << 30
"""Address space of a child: the largest picture in a few copies, the native library, the interpreter."""
MAX_BYTES: Final = 50 << 20
MAX_LINE_BYTES: Final = 1 << 16

PROBLEMS: Final = {
    "bytes": f"the file is empty or larger than {MAX_BYTES >> 20} MB. Send the picture itself",
    "type": "this is not a PNG, JPEG or WebP picture, whatever its name says. Save it as one of those",
    "pixels": "the picture has more than 16,777,216 pixels. Make it smaller",
    "decode": "the picture is broken or cut off, so only what its manifest says is known",
    "decoder": "the picture can't be read here. Tell your administrator",
    "unavailable": "the picture could not be checked now. Try again in a moment",
    "lookup": "the records could not be asked now, so what is known of the picture may be more. Try again in a moment",
}
"""What to tell a person for each `problem`."""


class Verdict(StrEnum):
    """What the three come to."""

    MADE_HERE = "made-here"
    """A record of ours is named by a trusted manifest or by a watermark."""
    LOOKS_LIKE_OURS = "looks-like-ours"
    """Only its fingerprint is near one of ours: the same picture, or one that looks like it."""
    GENERATED_ELSEWHERE = "generated-elsewhere"
    """A manifest that holds says that an algorithm made it, and no record of ours knows it."""
    UNKNOWN = "unknown"
    """Nothing was found. That does not mean that it was not generated, nor that it wasn't here."""
    UNREADABLE = "unreadable"
    """It was not, or not wholly, looked at, and nothing was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A picture of ours, as far as whoever asks may know it."""

    record_id: str
    created: datetime
    model: str
    distance: int = 0
    """Bits between the fingerprints, where it was found by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """How records are found. Each may return nothing; an error of one is told as `lookup`, never as "not ours"."""

    by_record: Callable[[str], Awaitable[Sequence[Known]]]
    by_handle: Callable[[int], Awaitable[Sequence[Known]]]
    near: Callable[[Sequence[Fingerprint]], Awaitable[Sequence[Known]]]
    """Pictures within `ALIKE` of any of the eight fingerprints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Everything that could be found out about a file."""

    verdict: Verdict
    sha256: str
    size_bytes: int
    media_type: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    """A key of PROBLEMS, or empty."""
    manifest: Manifest | None = None
    watermark: Found | None = None
    fingerprint: Fingerprint | None = None
    by_manifest: tuple[Known, ...] = ()
    by_watermark: tuple[Known, ...] = ()
    by_fingerprint: tuple[Known, ...] = ()


class Checker:
    """Checks files. `marks`: the watermark of now first, then those of older secrets."""

    def __init__(self, anchors: bytes, marks: Sequence[Watermark], lookups: Lookups, timeout_seconds: float) -> None:
        self._anchors = anchors.decode("ascii")
        self._marks = tuple(marks)
        self._lookups = lookups
        self._timeout = timeout_seconds
        self._turns = asyncio.Semaphore(PROCESSES)

    async def check(self, data: bytes) -> Checked:
        """Never raises for what is in `data`."""
        digest = hashlib.sha256(data).hexdigest()
        if not 0 < len(data) <= MAX_BYTES:
            return Checked(verdict=Verdict.UNREADABLE, sha256=digest, size_bytes=len(data), problem="bytes")
        async with self._turns:
            told, pixels = await self._take_apart(data)
            mark, prints = (None, ()) if pixels is None else await asyncio.to_thread(self._look, pixels)
        manifest = told["manifest"]
        problem = str(told["problem"])
        found: dict[str, tuple[Known, ...]] = {"by_manifest": (), "by_watermark": (), "by_fingerprint": ()}
        try:
            if manifest is not None and manifest.state is State.TRUSTED and manifest.record_id:
                found["by_manifest"] = tuple(await self._lookups.by_record(manifest.record_id))
            if mark is not None:
                found["by_watermark"] = tuple(await self._lookups.by_handle(mark.handle))
            if prints:
                found["by_fingerprint"] = tuple(await self._lookups.near(prints))
        except Exception:  # whatever a store raises: what was found so far is still true
            problem = problem or "lookup"
        return Checked(
            verdict=_verdict(manifest, found, problem),
            sha256=digest,
            size_bytes=len(data),
            media_type=told["media_type"],
            width=told["width"],
            height=told["height"],
            problem=problem,
            manifest=manifest,
            watermark=mark,
            fingerprint=prints[0] if prints else None,
            **found,
        )

    async def pixels(self, data: bytes) -> tuple[NDArray[np.uint8] | None, str]:
        """The picture in `data`, at most SHOWN a side and looked into by nobody else; or None and one of PROBLEMS."""
        if not 0 < len(data) <= MAX_BYTES:
            return None, "bytes"
        async with self._turns:
            told, pixels = await self._take_apart(data)
        return pixels, str(told["problem"])

    def _look(self, pixels: NDArray[np.uint8]) -> tuple[Found | None, tuple[Fingerprint, ...]]:
        return find(self._marks, pixels), turned(pixels)

    async def _take_apart(self, data: bytes) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        try:
            async with (
                asyncio.timeout(self._timeout),
                started("gateway.provenance.check_child", line_bytes=MAX_LINE_BYTES) as child,
            ):
                return await _converse(child, data, self._anchors)
        except (TimeoutError, ValueError, KeyError, TypeError, asyncio.IncompleteReadError):
            # Late, dead, or not itself any more when it answered: what it says then counts for nothing.
            return {"media_type": "", "width": 0, "height": 0, "manifest": None, "problem": "unavailable"}, None


async def _converse(child: Child, data: bytes, anchors: str) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    asked = {"memory_bytes": MEMORY_BYTES, "bytes": len(data), "anchors": anchors}
    await child.hand_over(json.dumps(asked).encode() + b"\n", data)
    told = json.loads(await child.answers.readline())
    width, height = (int(side) for side in told["shown"])
    if not (0 <= width <= SHOWN and 0 <= height <= SHOWN):
        raise ValueError("more pixels than it may send")
    problem = str(told["problem"])
    if problem and problem not in PROBLEMS:
        raise ValueError("not one of its words")
    answer = {
        "media_type": str(told["media_type"]),
        "width": int(told["width"]),
        "height": int(told["height"]),
        "manifest": None if told["manifest"] is None else _manifest(told["manifest"]),
        "problem": problem,
    }
    if problem:
        return answer, None
    pixels = await child.answers.readexactly(width * height * 3)
    return answer, np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def _manifest(told: dict[str, Any]) -> Manifest:
    words = {name: str(told[name]) for name in ("generator", "signer", "record_id", "model", "policy_revision")}
    return Manifest(
        state=State(told["state"]),
        problems=tuple(str(code) for code in told["problems"]),
        is_generated=bool(told["is_generated"]),
        **words,
    )


def _verdict(manifest: Manifest | None, found: dict[str, tuple[Known, ...]], problem: str) -> Verdict:
    if found["by_manifest"] or found["by_watermark"]:
        return Verdict.MADE_HERE
    if found["by_fingerprint"]:
        return Verdict.LOOKS_LIKE_OURS
    if problem == "lookup":
        return Verdict.UNREADABLE  # the records might have known it as ours
    if manifest is not None and manifest.is_generated and manifest.state in (State.TRUSTED, State.UNTRUSTED):
        return Verdict.GENERATED_ELSEWHERE
    return Verdict.UNREADABLE if problem else Verdict.UNKNOWN
