"""Brings a picture of any size into the sizes that a model makes, and the model's picture back again.

The way in: the picture is cropped in the middle to the shape of the answer (only when a size of another shape was asked
for), fitted whole into the model's canvas, and the rest of the canvas is filled with the nearest edge's colours, which
a model takes for more of the same, where black or white bars would be taken for a frame.

The way back: the same place is cut out of what the model made and scaled to the answer's size. With a mask, every
pixel that was not painted is then the picture's own, to the bit; a soft seam lies inside of the painted area only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from model_server.http.pictures import scale_up

Size = tuple[int, int]

MAX_AREA_TIMES = 4
"""`size: auto` gives a picture back in its own size up to so many times the area of the model's largest: beyond that
nearly all of its pixels would be guessed by the scaling."""
_SEAM_SHARE = 0.005
_SEAM_PIXELS = (1.0, 4.0)
"""Least and most. About what hides the step between a scaled picture and a sharp one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How one request's pictures come back: from the model's canvas to the size of the answer."""

    size: Size
    """Of the answer."""
    place: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom of the picture in the canvas; None: the canvas is the picture."""
    original: Image.Image | None = None
    """RGB, of the answer's size: what pixels that were not painted are taken from."""
    mask: Image.Image | None = None
    """"L", of the answer's size, 255 = painted, 0 = kept."""

    def restore(self, made: Image.Image) -> Image.Image:
        """The answer's picture, RGB, from what the model made."""
        picture = made.convert("RGB")
        if self.place is not None:
            picture = picture.crop(self.place)
        picture = scale_up(picture, *self.size)
        if self.original is None or self.mask is None:
            return picture
        return Image.composite(picture, self.original, _seam(self.mask))


@dataclass(frozen=True, slots=True)
class Framed:
    """Pictures for the model, and the way back."""

    images: tuple[Image.Image, ...]
    """RGB, each of the canvas's size."""
    mask: Image.Image | None
    """"L", of the canvas's size, 255 = paint."""
    frame: Frame


def frame_pictures(
    first: Image.Image, others: Iterable[Image.Image], mask: Image.Image | None, canvas: Size, size: Size | None
) -> Framed:
    """Frame RGB pictures, the first being the one that is edited or varied, for a canvas.

    `mask` has the first picture's size. `size` is the answer's; None: the first picture's own. The others are taken one
    by one, so that only one of them is held at its full size.
    """
    wanted = first.size if size is None else size
    if size is not None:
        first = _cropped(first, wanted)
        mask = None if mask is None else _cropped(mask, wanted)
    place = _place(first.size, canvas)
    images = (_on_canvas(first, place, canvas), *(_on_canvas(p, _place(p.size, canvas), canvas) for p in others))
    if mask is None:
        return Framed(images, None, Frame(wanted, place))
    canvas_mask = Image.new("L", canvas, 0)
    canvas_mask.paste(_reached(mask, (place[2] - place[0], place[3] - place[1])), place[:2])
    original = first if first.size == wanted else first.resize(wanted, Image.Resampling.LANCZOS)
    # By nearest, so that a pixel is painted or kept; and at the picture's own size it is the mask that was sent.
    own_mask = mask if mask.size == wanted else mask.resize(wanted, Image.Resampling.NEAREST)
    return Framed(images, canvas_mask, Frame(wanted, place, original, own_mask))


def nearest_size(picture: Size, offered: Sequence[Size]) -> Size:
    """The offered size of the nearest shape; of equals the one whose area is nearest."""
    aspect, area = picture[0] / picture[1], picture[0] * picture[1]

    def distance(size: Size) -> tuple[float, float]:
        ratio, times = size[0] / size[1] / aspect, size[0] * size[1] / area
        return round(max(ratio, 1 / ratio), 6), max(times, 1 / times)

    return min(offered, key=distance)


def _cropped(picture: Image.Image, shape: Size) -> Image.Image:
    """The largest part of that shape around the middle."""
    width, height = picture.size
    if width * shape[1] > height * shape[0]:
        width = max(1, round(height * shape[0] / shape[1]))
    else:
        height = max(1, round(width * shape[1] / shape[0]))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _place(picture: Size, canvas: Size) -> tuple[int, int, int, int]:
    """Where the whole picture lies in the canvas: as large as it can be, in the middle."""
    scale = min(canvas[0] / picture[0], canvas[1] / picture[1])
    width = min(canvas[0], max(1, round(picture[0] * scale)))
    height = min(canvas[1], max(1, round(picture[1] * scale)))
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    return left, top, left + width, top + height


def _on_canvas(picture: Image.Image, place: tuple[int, int, int, int], canvas: Size) -> Image.Image:
    left, top, right, bottom = place
    inside = ImageOps.fit(picture, (right - left, bottom - top), Image.Resampling.LANCZOS)
    if inside.size == canvas:
        return inside
    edges = ((top, canvas[1] - bottom), (left, canvas[0] - right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(inside), edges, mode="edge"))


def _reached(mask: Image.Image, size: Size) -> Image.Image:
    """The mask at another size: every pixel that holds any of what is painted is painted, or thin strokes get lost."""
    if mask.size == size:
        return mask
    return mask.resize(size, Image.Resampling.BOX).point(lambda share: 255 if share > 0 else 0)


def _seam(mask: Image.Image) -> Image.Image:
    """How much of the new picture shows: all of it deep inside, less towards the edge, nothing outside."""
    radius = min(max(min(mask.size) * _SEAM_SHARE, _SEAM_PIXELS[0]), _SEAM_PIXELS[1])
    return ImageChops.darker(mask.filter(ImageFilter.GaussianBlur(radius)), mask)
