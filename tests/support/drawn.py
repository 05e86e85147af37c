"""Pictures for the detectors: drawn here, so that nothing about them is secret and nobody is in them."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from gateway.exchange import Picture


def lettered(text: str, *, side: int = 512, letters: int = 28, turned: int = 0, ground: str = "white") -> Image.Image:
    """`text` in the middle of a square."""
    image = Image.new("RGB", (side, side), ground)
    font = ImageFont.load_default(letters)
    ImageDraw.Draw(image).text((side // 25, side // 2 - letters), text, fill="black", font=font)
    return image.rotate(turned, fillcolor=ground, resample=Image.Resampling.BICUBIC)


def encoded(image: Image.Image) -> bytes:
    """As PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def as_picture(image: Image.Image, index: int = 0) -> Picture:
    """As what a model gives back."""
    data = encoded(image)
    return Picture(
        index=index, data=data, media_type="image/png", width=image.width, height=image.height, sha256="0" * 64
    )
