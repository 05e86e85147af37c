"""Pictures that callers send, from hostile bytes to upright pixels, or a clear refusal that names the field.

What comes out has no metadata: orientation is applied, everything else (place, camera, texts, profile) is gone.
Transparent parts of a picture are laid on white. A mask says where to paint: where it is more transparent than not;
one without transparency, where it is light. It is black and white in the end: a pixel is painted or kept.
"""

from __future__ import annotations

import io

from PIL import Image, ImageChops, ImageFile

from model_server.errors import InvalidRequest
from model_server.http.formats import NotAPicture, inspect

MAX_SIDE_PIXELS = 16_383
"""The longest side that a WebP can have, so that every format can hold the answer."""
_HALF = 128
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientations (CIPA DC-008, 4.6.4 A) as what undoes them."""

# A library may have switched this on; half a picture filled up with grey is not what was sent.
ImageFile.LOAD_TRUNCATED_IMAGES = False


def read_picture(data: bytes, field: str, max_pixels: int) -> Image.Image:
    """The picture: RGB, upright, without metadata. Raises InvalidRequest that names the field."""
    picture = _decode(data, field, max_pixels)
    if picture.mode != "RGB":
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        picture = white
    return picture


def read_mask(data: bytes, field: str, size: tuple[int, int], max_pixels: int) -> Image.Image:
    """The mask: "L", 255 where to paint, else 0, of that size. Raises InvalidRequest that names the field."""
    mask = _decode(data, field, max_pixels)
    if mask.size != size:
        raise _refusal(
            field, f"must have the size of the picture: expected {size[0]}x{size[1]}, got {mask.width}x{mask.height}"
        )
    if mask.mode in ("RGBA", "LA"):
        paint = mask.getchannel("A").point(lambda alpha: 255 if alpha < _HALF else 0)
        how = "make transparent what is to be painted"
    else:
        red, green, blue = mask.convert("RGB").split()
        if ImageChops.difference(red, green).getbbox() or ImageChops.difference(green, blue).getbbox():
            raise _refusal(field, "has neither transparency nor only greys: make transparent what is to be painted")
        paint = red.point(lambda light: 255 if light >= _HALF else 0)
        how = "make transparent, or white on black, what is to be painted"
    if paint.getbbox() is None:
        raise _refusal(field, f"leaves nothing to paint: {how}")
    return paint


def _decode(data: bytes, field: str, max_pixels: int) -> Image.Image:
    try:
        found = inspect(data)
        if found.width * found.height > max_pixels or max(found.width, found.height) > MAX_SIDE_PIXELS:
            raise NotAPicture(f"has too many pixels: at most {max_pixels}, and {MAX_SIDE_PIXELS} a side")
        with Image.open(io.BytesIO(found.data), formats=(found.format,)) as opened:
            if opened.size != (found.width, found.height) or getattr(opened, "n_frames", 1) != 1:
                raise NotAPicture("is not one sound picture")
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            picture = _plain(opened)
        picture = picture if turn is None else picture.transpose(turn)
        picture.info.clear()
        return picture
    except NotAPicture as error:
        raise _refusal(field, str(error)) from None
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever they like at hostile bytes; their words may quote them
        raise _refusal(field, "can't be decoded: it is cut off or damaged") from None


def _plain(picture: Image.Image) -> Image.Image:
    """The pixels as L, LA, RGB or RGBA."""
    if "transparency" in picture.info:
        return picture.convert("RGBA")
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        raise NotAPicture("has colours of a kind that we don't read: save it as RGB")
    return picture.convert({"1": "L", "P": "RGB"}.get(picture.mode, picture.mode))


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata is no reason to refuse: it is dropped anyway
        return 1
    return value if isinstance(value, int) else 1


def _refusal(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"'{field}' {why}.", param=field, code="invalid_image")
