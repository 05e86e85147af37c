"""One picture that a person sent, made harmless: decoded as what its content says it is, and encoded anew by us.

What goes on is pixels and nothing else: no EXIF (which holds where a photo was taken), no XMP, no colour profile, no
comment, no second picture, no bytes behind the last one. Runs in a process of its own (`upload_child`): decoders are
the part of this product that hostile bytes know best.

Colour profiles go without being applied: a wide-gamut photo looks a little paler afterwards.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageFile, ImageOps

from gateway.screening.image.decode import MAX_PIXELS, ends_with_the_picture

FORMATS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
COMPRESS_LEVEL: Final = 1
"""It crosses the company's own network once. Level 6 takes four times as long for a tenth less."""
MASK_COMPRESS_LEVEL: Final = 9
"""Of a mask, which has the tighter limit, and is nearly all the same."""
SHRINK_MARGIN: Final = 0.95
_SIXTEEN_BITS: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


class BadUpload(Exception):
    """The file can't be taken. `args[0]` says which check failed, never what was in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The picture as PNG (RGB, or RGBA where something shows through), and what the person's file was."""

    data: bytes
    width: int
    height: int
    media_type: str
    """Of the file as it came, by its content."""
    sent_width: int
    sent_height: int
    """Upright, as a person sees it."""


def media_type_of(data: bytes) -> str:
    """What the first bytes say it is. Neither the name nor the claimed type of a file has a say."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise BadUpload("type")


def clean(data: bytes, *, is_mask: bool = False, most_bytes: int = 50_000_000, may_shrink: bool = False) -> Cleaned:
    """The picture in `data`, encoded anew in at most `most_bytes`. Of a mask only its transparency goes on.

    A PNG of a photo is several times as large as the JPEG that came: where `may_shrink`, it is made smaller until it
    fits. Raises BadUpload.
    """
    if not data:
        raise BadUpload("empty")
    media_type = media_type_of(data)
    if is_mask and media_type != "image/png":
        raise BadUpload("mask-type")
    if ImageFile.LOAD_TRUNCATED_IMAGES:  # a global of Pillow: somebody else's module may have set it
        raise BadUpload("decoder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=(FORMATS[media_type],)) as image:
                # From the header alone: a bomb (CWE-409) must be refused before it is unpacked.
                if image.width * image.height > MAX_PIXELS:
                    raise BadUpload("pixels")
                if getattr(image, "n_frames", 1) != 1:
                    raise BadUpload("frames")
                image.load()
                pixels = ImageOps.exif_transpose(image)
    except (BadUpload, MemoryError):  # no memory is our lack, not the picture's fault
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadUpload("pixels") from None
    except Exception:  # Pillow raises almost anything on hostile bytes
        raise BadUpload("decode") from None
    if not ends_with_the_picture(data, media_type):
        raise BadUpload("trailing")
    plain = _mask(pixels) if is_mask else _plain(pixels)
    level = MASK_COMPRESS_LEVEL if is_mask else COMPRESS_LEVEL
    png = _png(plain, level)
    while len(png) > most_bytes:
        if not may_shrink:
            raise BadUpload("large")
        scale = SHRINK_MARGIN * (most_bytes / len(png)) ** 0.5
        plain = plain.resize((max(1, int(plain.width * scale)), max(1, int(plain.height * scale))))
        png = _png(plain, level)
    return Cleaned(
        data=png,
        width=plain.width,
        height=plain.height,
        media_type=media_type,
        sent_width=pixels.width,
        sent_height=pixels.height,
    )


def _png(image: Image.Image, level: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=level)
    return out.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """8-bit RGB, or RGBA where something shows through; a fresh image, so that no chunk of the old one rides along."""
    if image.mode in _SIXTEEN_BITS:  # Pillow's own conversion would clip at 255 and leave a white picture
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return _fresh(image.convert("RGB"))
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return _fresh(image.convert("RGB"))
    # Colours under full transparency are seen by nobody who looks at the picture, and by every model that drops alpha.
    seen = alpha.point(lambda value: 255 if value else 0)
    shown = Image.composite(image.convert("RGB"), Image.new("RGB", image.size), seen)
    shown.putalpha(alpha)
    return _fresh(shown)


def _mask(image: Image.Image) -> Image.Image:
    """Transparency alone: where it is 0, there will be new pixels. Raises BadUpload when that is nowhere."""
    if not image.has_transparency_data:
        raise BadUpload("mask-opaque")
    alpha = image.convert("RGBA").getchannel("A")
    lowest, _ = alpha.getextrema()
    if lowest == 255:
        raise BadUpload("mask-opaque")
    mask = Image.new("RGBA", image.size)
    mask.putalpha(alpha)
    return mask


def _fresh(image: Image.Image) -> Image.Image:
    fresh = Image.new(image.mode, image.size)
    fresh.paste(image)
    return fresh
