"""Pictures for tests: good ones, and every kind of bad one that a person or an attacker may send."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageChops

from tests.support.image_server import png

GPS_CANARY = "canary-in-the-description"


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def colourful(width: int = 64, height: int = 64) -> Image.Image:
    """A picture in which every pixel tells where it stands."""
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 255 // width, y * 255 // height, (x * y) % 256) for y in range(height) for x in range(width)])
    return image


def mask(width: int = 64, height: int = 64, box: tuple[int, int, int, int] = (16, 16, 48, 48)) -> bytes:
    """Opaque, but for `box`: edit there."""
    alpha = Image.new("L", (width, height), 255)
    alpha.paste(0, box)
    picture = Image.new("RGBA", (width, height))
    picture.putalpha(alpha)
    return encode(picture)


def photo_with_place(kind: str = "JPEG") -> bytes:
    """A photo that says where it was taken."""
    exif = Image.Exif()
    exif[0x010E] = GPS_CANARY
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return encode(colourful(), kind, exif=exif)


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny file that says it holds so many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), (i * 100, 0, 0)) for i in range(2)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


BAD_FILES: dict[str, bytes] = {
    "an empty file": b"",
    "SVG as PNG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "SVG with the first bytes of a PNG": b"\x89PNG\r\n\x1a\n<svg/>",
    "GIF": encode(colourful().convert("P"), "GIF"),
    "TIFF": encode(colourful(), "TIFF"),
    "a page": b"<!doctype html><script>alert(1)</script>",
    "a cut PNG": encode(colourful())[:-40],
    "a cut JPEG": encode(colourful(), "JPEG")[:-40],
    "a cut WebP": encode(colourful(), "WEBP")[:-40],
    "an archive behind a PNG": png() + b"PK\x03\x04",
    "an archive behind a JPEG": encode(colourful(), "JPEG") + b"PK\x03\x04",
    "two PNGs in one": png() * 2,
    "a moving PNG": moving("PNG"),
    "a moving WebP": moving("WEBP"),
    "a photo with a second one inside": moving("MPO"),
    "a decompression bomb": png_that_claims(100_000, 100_000),
    "a smaller bomb": png_that_claims(5_000, 5_000),
    "a ribbon": png_that_claims(2**31 - 1, 1),
    "a picture without width": png_that_claims(0, 16),
    "noise": bytes(range(256)) * 40,
}
"""Each is refused by what is in it, whatever its name and type claim."""


FAINT = 20
"""Levels of 255 by which a watermark may change a pixel; far less than what is painted."""


def most_apart(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any channel of any pixel."""
    extrema = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getextrema()
    return max(high for _, high in extrema)
