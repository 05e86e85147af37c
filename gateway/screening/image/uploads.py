"""The door to the process that decodes uploads: files in, clean pictures out, with a deadline and a bound on both."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.child import Child, started
from gateway.errors import InvalidRequest
from gateway.exchange import CleanUpload, FileFacts, Upload
from gateway.screening.image.decode import MAX_PIXELS
from model_server.wire import MAX_IMAGE_BYTES, MAX_MASK_BYTES

PROCESSES: Final = 2
"""Decoding at once. It is CPU work; more of it side by side makes each take longer."""
MEMORY_BYTES: Final = 2 << 30
"""Address space of a child: the largest picture in three copies, with its encoding, and the interpreter."""
MAX_CLEAN_BYTES: Final = 120 << 20
"""All clean pictures of a request together: the model server takes 128 MB."""
MAX_LINE_BYTES: Final = 1 << 16

WORDS: Final = {
    "empty": "the file is empty. Choose the picture again",
    "type": "this is not a PNG, JPEG or WebP picture, whatever its name says. Save it as one of those",
    "pixels": f"the picture has more than {MAX_PIXELS:,} pixels. Make it smaller",
    "frames": "this holds more than one picture (an animation, or a photo with a second one inside). Save a single "
    "picture as PNG",
    "decode": "the picture is broken or cut off. Save it again",
    "trailing": "there are other bytes behind the picture. Save it again as PNG",
    "large": "the picture is too large to go on without loss. Make it smaller",
    "together": "the pictures are too large together. Send fewer or smaller ones",
    "square": "only a square picture can be varied. Crop it to a square",
    "mask-size": "the mask must have the same width and height as the picture (the first, where there are several)",
    "decoder": "the picture can't be read here. Tell your administrator",
    "mask-type": "a mask must be a PNG with transparency",
    "mask-opaque": "the mask has no transparent pixels, so nothing would be edited. Make transparent what shall change",
}
"""What the person is told for each check that failed; the field's name stands before it."""


class UploadsUnavailable(Exception):
    """No answer: late, crashed, or out of memory. Says how, never what was in the files."""


class UploadCleaner:
    """Cleans the files of requests, a few requests at a time."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._turns = asyncio.Semaphore(PROCESSES)

    async def clean(
        self, uploads: Sequence[Upload], hold: Callable[[int], None], *, to_vary: bool = False
    ) -> tuple[CleanUpload, ...]:
        """The pictures of one request, encoded anew; `hold` is told of their bytes before they are taken in. One to
        vary may be made smaller: nothing of it has to come back as it was.

        Raises InvalidRequest that names the field, what `hold` raises, and UploadsUnavailable.
        """
        async with self._turns:
            try:
                async with (
                    asyncio.timeout(self._timeout),
                    started("gateway.screening.image.upload_child", line_bytes=MAX_LINE_BYTES) as child,
                ):
                    return await _converse(child, uploads, hold, to_vary)
            except TimeoutError:
                raise UploadsUnavailable("late") from None
            except (ValueError, KeyError, TypeError, asyncio.IncompleteReadError):
                # It died, or was not itself any more when it answered: what it says then counts for nothing.
                raise UploadsUnavailable("no answer") from None


async def _converse(
    child: Child, uploads: Sequence[Upload], hold: Callable[[int], None], to_vary: bool
) -> tuple[CleanUpload, ...]:
    """All files out, then all pictures in: the child writes nothing before it has read everything, or given up."""
    files = [
        {
            "bytes": len(upload.data),
            "is_mask": upload.field == "mask",
            "most_bytes": MAX_MASK_BYTES if to_vary or upload.field == "mask" else MAX_IMAGE_BYTES,
            "may_shrink": to_vary,
        }
        for upload in uploads
    ]
    asked = {"memory_bytes": MEMORY_BYTES, "most_bytes": MAX_CLEAN_BYTES, "files": files}
    await child.hand_over(json.dumps(asked).encode() + b"\n", *(upload.data for upload in uploads))
    told: dict[str, Any] = json.loads(await child.answers.readline())
    if "bad" in told:
        raise bad(uploads[told["bad"]].field, str(told["check"]))
    if len(told["files"]) != len(uploads):
        raise ValueError("another number of pictures than files")
    sizes = [int(file["data"]) for file in told["files"]]
    if not all(0 < size <= MAX_CLEAN_BYTES for size in sizes) or sum(sizes) > MAX_CLEAN_BYTES:
        raise ValueError("more than it may send")
    hold(sum(sizes))
    return tuple(
        [
            _clean(upload, file, await child.answers.readexactly(size))
            for upload, file, size in zip(uploads, told["files"], sizes, strict=True)
        ]
    )


def _clean(upload: Upload, told: dict[str, Any], data: bytes) -> CleanUpload:
    return CleanUpload(
        field=upload.field,
        data=data,
        sent=replace(
            upload.facts,
            media_type=str(told["media_type"]),
            width=int(told["sent_width"]),
            height=int(told["sent_height"]),
        ),
        forwarded=FileFacts(
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            media_type="image/png",
            width=int(told["width"]),
            height=int(told["height"]),
        ),
    )


def check_shapes(clean: Sequence[CleanUpload], *, to_vary: bool) -> None:
    """The mask fits the first picture; a picture to vary is square. Raises InvalidRequest that names the field."""
    first = clean[0].sent
    if to_vary and first.width != first.height:
        raise bad(clean[0].field, "square")
    for upload in clean:
        if upload.field == "mask" and (upload.sent.width, upload.sent.height) != (first.width, first.height):
            raise bad("mask", "mask-size")


def bad(field: str, check: str) -> InvalidRequest:
    """The complaint about one file."""
    return InvalidRequest(f"{field}: {WORDS[check]}.", param=field, code="invalid_image")
