"""What happens to a finished picture last: it gets its watermark, its fingerprint is taken, and it is signed.

In this order: the manifest holds for the bytes that leave, so nothing may touch them after. CPU work of some 30 ms for
512 x 512 pixels; call it in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from PIL import Image

from gateway.prints.fingerprint import Fingerprint, fingerprint
from gateway.provenance.credentials import MEDIA_TYPES, Signer, Statement
from gateway.provenance.watermark import HANDLE_BITS, Watermark
from gateway.provenance.watermark.mark import MIN_SIDE

QUALITY: Final = 95
"""Of JPEG and WebP where nobody asked for less: the picture was encoded once already."""
COMPRESS_LEVEL: Final = 4
_FORMATS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


class ReleaseFailed(Exception):
    """The picture could not be marked, and so does not leave. Says what failed, never what was in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A picture that may leave, and what its record has to keep to know it again."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    sha256: str
    """Of the bytes that leave."""
    handle: int | None
    """What the watermark says; None below 64 pixels a side, where there is no room for one."""
    fingerprint: Fingerprint
    certificate: str
    """SHA-256 of the certificate that signed."""


def handle_of(secret: bytes, record_id: str, index: int) -> int:
    """The 48 bits that stand for one picture of one record. Without the secret they say nothing about it.

    Two of a million pictures share a handle once in about 600 such millions: whoever looks one up takes all it finds.
    """
    digest = hmac.digest(secret, f"imprimatur watermark 1 handle {record_id} {index}".encode(), hashlib.sha256)
    return int.from_bytes(digest[: HANDLE_BITS // 8], "big")


class Releaser:
    """Releases pictures with one watermark and one signer. May be used by many threads."""

    def __init__(self, mark: Watermark, signer: Signer) -> None:
        self._mark = mark
        self._signer = signer

    def release(
        self, data: bytes, media_type: str, statement: Statement, *, index: int = 0, quality: int = QUALITY
    ) -> Released:
        """`data`: a whole picture that was already looked at (it is decoded here, in this process).

        Raises ReleaseFailed, ValueError for another media type, SigningFailed, and CertificateRefused when no
        certificate is valid any more. None of them lets a picture leave unmarked.
        """
        if media_type not in MEDIA_TYPES:
            raise ValueError(f"expected a PNG, JPEG or WebP picture, got {media_type}")
        try:
            with Image.open(io.BytesIO(data), formats=(_FORMATS[media_type],)) as opened:
                alpha = opened.convert("RGBA").getchannel("A") if opened.has_transparency_data else None
                pixels = np.asarray(opened.convert("RGB"))
        except Exception as error:  # Pillow raises almost anything
            raise ReleaseFailed(f"picture could not be decoded: {type(error).__name__}") from None
        handle = None
        if min(pixels.shape[:2]) >= MIN_SIDE:
            handle = handle_of(self._mark.carriers.secret, statement.record_id, index)
            pixels = self._mark.mark(pixels, handle)
        marked = Image.fromarray(pixels)
        if alpha is not None:
            marked.putalpha(alpha)
        signed = self._signer.sign(_encoded(marked, media_type, quality), media_type, statement)
        return Released(
            data=signed,
            media_type=media_type,
            width=marked.width,
            height=marked.height,
            sha256=hashlib.sha256(signed).hexdigest(),
            handle=handle,
            fingerprint=fingerprint(pixels),
            certificate=self._signer.current().fingerprint,
        )


def _encoded(image: Image.Image, media_type: str, quality: int) -> bytes:
    options: dict[str, dict[str, Any]] = {
        "image/png": {"compress_level": COMPRESS_LEVEL},
        "image/jpeg": {"quality": max(1, quality), "subsampling": 0},
        "image/webp": {"quality": quality, "method": 4},
    }
    out = io.BytesIO()
    image.save(out, _FORMATS[media_type], **options[media_type])
    return out.getvalue()
