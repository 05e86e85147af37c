"""The picture that the stand-in image server gives."""

from __future__ import annotations

import io
import math

from PIL import Image

SIDE_PIXELS = 256
"""The smallest size of the Images API: what is measured is the governing, not the copying of pixels."""


def png() -> bytes:
    """A smooth picture, as the embedded model makes them; the same bytes each time."""
    wave = [math.sin(i * math.tau / SIDE_PIXELS) for i in range(SIDE_PIXELS)]
    pixels = bytearray()
    for y in range(SIDE_PIXELS):
        for x in range(SIDE_PIXELS):
            pixels += bytes((x, y, int(127 + 60 * wave[x] + 60 * wave[y])))
    buffer = io.BytesIO()
    Image.frombytes("RGB", (SIDE_PIXELS, SIDE_PIXELS), bytes(pixels)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
