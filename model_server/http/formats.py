"""Looks at the bytes of a PNG, WebP or JPEG before any decoder does: what it is, how large, and where it ends.

A decoder trusts lengths and sizes that an attacker wrote: a PNG of 60 KB can unpack to gigabytes, a text chunk of it
likewise, a WebP's canvas is allocated before its first pixel is read. So the whole structure is walked here, without
unpacking anything. What passes is one still picture with at most 8 bits a channel, with nothing behind its end
(a polyglot is a picture to one reader and a program to another), of a size that its caller can hold against a limit.

Sources: PNG (W3C, third edition), RFC 9649 (WebP), ITU T.81 (JPEG).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Format = Literal["PNG", "WEBP", "JPEG"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MAX_EXIF_BYTES = 64 << 10
"""A JPEG can't hold more; an orientation needs forty."""
_MAX_CHUNKS = 100_000
"""Of a PNG: one IDAT of the commonest encoders holds 8 KB, so 50 MB have some 6,000."""

_WEBP_ANIMATED = 0x02
_VP8L_SIGNATURE = 0x2F

_MAX_SCANS = 64
"""Of a JPEG: progressive encoders write about ten. Each one makes a decoder walk over all pixels again, and takes a few
hundred bytes of the file (libjpeg-turbo's `-maxscans` is against the same)."""

_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive Huffman; the others (lossless, arithmetic, hierarchical) no browser opens."""
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})


class NotAPicture(Exception):
    """The bytes are not a picture that we take. The message completes "The picture ..." and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the structure tells. `data` is what a decoder may see."""

    format: Format
    width: int
    height: int
    data: bytes


def inspect(data: bytes) -> Inspected:
    """Raises NotAPicture. The format is told by the content, never by a name or a declared type."""
    try:
        if data.startswith(_PNG_SIGNATURE):
            found = _png(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            found = _webp(data)
        elif data.startswith(b"\xff\xd8\xff"):
            found = _jpeg(data)
        else:
            raise NotAPicture("is not a PNG, WebP or JPEG")
    except (struct.error, IndexError):
        raise NotAPicture("is cut off") from None
    if found.width == 0 or found.height == 0:
        raise NotAPicture("has no pixels")
    return found


def _png(data: bytes) -> Inspected:
    view = memoryview(data)
    kept: list[memoryview | bytes] = [_PNG_SIGNATURE]
    width = height = chunks = 0
    place = len(_PNG_SIGNATURE)
    while True:
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        chunks += 1
        if end > len(data):
            raise NotAPicture("is cut off")
        if (kind == b"IHDR") != (chunks == 1) or chunks > _MAX_CHUNKS:
            raise NotAPicture("is not a sound PNG")
        if kind == b"IHDR":
            width, height, depth = struct.unpack_from(">IIB", data, place + 8)
            if depth == 16:
                raise NotAPicture("has 16 bits a channel: save it with 8")
        if kind == b"acTL":
            raise NotAPicture("is animated: send one frame")
        # Texts (tEXt, zTXt, iTXt) and colour profiles (iCCP) unpack to whatever size they like: no decoder sees them.
        if kind in _PNG_KEPT or (kind == b"eXIf" and length <= _MAX_EXIF_BYTES):
            kept.append(view[place:end])
        place = end
        if kind == b"IEND":
            break
    if place != len(data):
        raise NotAPicture("has bytes after its end: save it anew")
    return Inspected("PNG", width, height, b"".join(kept))


def _webp(data: bytes) -> Inspected:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise NotAPicture("is cut off")
    if length + 8 < len(data):
        raise NotAPicture("has bytes after its end: save it anew")
    (kind,) = struct.unpack_from("4s", data, 12)
    if kind == b"VP8X":
        if data[20] & _WEBP_ANIMATED:
            raise NotAPicture("is animated: send one frame")
        return Inspected("WEBP", 1 + _three_bytes(data, 24), 1 + _three_bytes(data, 27), data)
    if kind == b"VP8L":
        if data[20] != _VP8L_SIGNATURE:
            raise NotAPicture("is not a sound WebP")
        (bits,) = struct.unpack_from("<I", data, 21)
        return Inspected("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), data)
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise NotAPicture("is not a sound WebP")
        width, height = struct.unpack_from("<HH", data, 26)
        return Inspected("WEBP", width & 0x3FFF, height & 0x3FFF, data)
    raise NotAPicture("is not a sound WebP")


def _three_bytes(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 3], "little")


def _jpeg(data: bytes) -> Inspected:
    size: tuple[int, int] | None = None
    scans = 0
    place = 2
    while True:
        if data[place] != 0xFF:
            raise NotAPicture("is not a sound JPEG")
        marker = data[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
            continue
        if marker == 0xD9:
            break
        if marker in _JPEG_STANDALONE:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC):
            if size is not None or marker not in _JPEG_FRAMES:
                raise NotAPicture("is a JPEG of a kind that few programs open: save it anew")
            size = _jpeg_frame(data, place + 4)
        place += 2 + length
        if marker == 0xDA:
            scans += 1
            if scans > _MAX_SCANS:
                raise NotAPicture("has too many scans: save it anew")
            place = _end_of_scan(data, place)
    if place + 2 != len(data):
        raise NotAPicture("has bytes after its end: save it anew")
    if size is None:
        raise NotAPicture("is not a sound JPEG")
    return Inspected("JPEG", *size, data)


def _jpeg_frame(data: bytes, place: int) -> tuple[int, int]:
    depth, height, width, channels = struct.unpack_from(">BHHB", data, place)
    if depth != 8:
        raise NotAPicture("has more than 8 bits a channel: save it with 8")
    if channels == 4:
        raise NotAPicture("is CMYK: save it as RGB, its colours can't be told without its printer's profile")
    return width, height


def _end_of_scan(data: bytes, place: int) -> int:
    """The place of the next marker that is neither a stuffed byte nor a restart."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            raise NotAPicture("is cut off")
        follower = data[place + 1]
        if follower != 0x00 and not 0xD0 <= follower <= 0xD7:
            return place
        place += 2
