"""Is this really one picture of the type and size it claims to be?

Only that: what a picture shows is the detectors' business (see `chain`).
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import Final

from PIL import Image, ImageFile

from gateway.exchange import Picture

MAX_PIXELS: Final = 4096 * 4096
"""Sixteen times the largest size we serve today; a decompression bomb (CWE-409) claims far more."""
MAX_BYTES: Final = 64 << 20
_FORMATS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"


class NotAPicture(Exception):
    """The bytes are not what they claim to be. `args[0]` says which check failed, never what was in them."""


def check_picture(picture: Picture) -> None:
    """Returns when `picture` decodes whole as what it says it is; raises `NotAPicture` otherwise."""
    if picture.media_type not in _FORMATS:
        raise NotAPicture("type")
    if not 0 < len(picture.data) <= MAX_BYTES:
        raise NotAPicture("bytes")
    if ImageFile.LOAD_TRUNCATED_IMAGES:  # a global of Pillow: somebody else's module may have set it
        raise NotAPicture("decoder is set to accept broken files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(picture.data), formats=(_FORMATS[picture.media_type],)) as image:
                if image.size != (picture.width, picture.height):
                    raise NotAPicture("size")
                if image.width * image.height > MAX_PIXELS:
                    raise NotAPicture("pixels")
                if getattr(image, "n_frames", 1) != 1:
                    raise NotAPicture("frames")
                image.load()
    except NotAPicture:
        raise
    except Exception as error:  # Pillow raises almost anything on hostile bytes
        raise NotAPicture(f"decode: {type(error).__name__}") from None
    if not ends_with_the_picture(picture.data, picture.media_type):
        raise NotAPicture("bytes behind the picture")


def ends_with_the_picture(data: bytes, media_type: str) -> bool:
    """Nothing rides behind the picture: a file that is also an archive or a page (polyglot) is not let through."""
    if media_type == "image/png":
        return data.endswith(_PNG_END) and data.count(_PNG_END) == 1
    if media_type == "image/jpeg":
        return data.endswith(b"\xff\xd9")
    (size,) = struct.unpack_from("<I", data, 4)
    return len(data) == 8 + int(size) + (int(size) & 1)
