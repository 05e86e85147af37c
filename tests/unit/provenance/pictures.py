"""Pictures made from a number, of the kinds that a model draws and people upload; and what happens to pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
ROOT: Final = Path(__file__).parents[3]
KINDS: Final = ("gradient", "plain", "shapes", "shapes on white", "clouds", "noise", "text", "texture")


def made(kind: str, seed: int, size: int = 512) -> Pixels:
    """One picture; the same for the same arguments."""
    random = np.random.default_rng([KINDS.index(kind), seed])
    colour = random.integers(0, 256, 3)
    if kind == "gradient":
        slope = np.linspace(0, 1, size)
        values = np.outer(slope, 1 - slope)[..., None] * colour + random.uniform(0, 80, 3)
        return np.clip(values, 0, 255).astype(np.uint8)
    if kind == "plain":
        return np.broadcast_to(colour.astype(np.uint8), (size, size, 3)).copy()
    if kind == "noise":
        return random.integers(0, 256, (size, size, 3), np.uint8)
    if kind in ("clouds", "texture"):
        slope = 1.0 if kind == "clouds" else 0.55
        planes = [_clouds(random, size, slope) for _ in range(3)]
        shades = np.stack([planes[0] + 0.4 * plane for plane in planes], -1)
        return ((shades - shades.min()) / np.ptp(shades) * 255).astype(np.uint8)
    image = Image.new("RGB", (size, size), "white" if kind != "shapes" else tuple(colour.tolist()))
    draw = ImageDraw.Draw(image)
    if kind == "text":
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz      "))
        for top in range(size // 25, size, size // 20):
            draw.text((8, top), "".join(random.choice(letters, size // 7)), fill="black")
        return np.asarray(image)
    for _ in range(int(random.integers(4, 20))):
        x, y = random.integers(0, size, 2).tolist()
        w, h = random.integers(size // 20, size // 2, 2).tolist()
        shape: Callable[..., Any] = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=tuple(random.integers(0, 256, 3).tolist()))
    return np.asarray(image)


def _clouds(random: np.random.Generator, size: int, slope: float) -> NDArray[np.float32]:
    total = np.zeros((size, size), np.float32)
    for octave in range(1, 9):
        rough = random.normal(0, 1, (2**octave, 2**octave)).astype(np.float32)
        total += np.asarray(Image.fromarray(rough).resize((size, size), Image.Resampling.BICUBIC)) / 2 ** (
            octave * slope
        )
    return total


def drawn_by_the_model() -> Iterator[Pixels]:
    """Squares cut from the pictures in the documentation."""
    for name in ("model-grid", "model-edits", "model-variations", "model-sketch", "studio"):
        image = Image.open(ROOT / "docs" / "images" / f"{name}.png").convert("RGB")
        side = min(image.size)
        yield np.asarray(image.crop((0, 0, side, side)).resize((512, 512), Image.Resampling.LANCZOS))


def encoded(pixels: Pixels, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def decoded(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def psnr(one: Pixels, other: Pixels) -> float:
    """Decibel between two pictures of one size."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _saved(form: str, quality: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: decoded(encoded(pixels, form, quality=quality))


def _resized(side: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _cut(left: float, top: float, right: float, bottom: float, *, back: bool = False) -> Callable[[Pixels], Pixels]:
    def cut(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        part = pixels[
            round(height * top) : round(height * (1 - bottom)), round(width * left) : round(width * (1 - right))
        ]
        if not back:
            return part
        return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC))

    return cut


def _after(*steps: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    def all_of(pixels: Pixels) -> Pixels:
        for step in steps:
            pixels = step(pixels)
        return pixels

    return all_of


def _noisy(pixels: Pixels) -> Pixels:
    return np.clip(pixels + np.random.default_rng(0).normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)


ATTACKS: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "as it left": lambda pixels: pixels,
    "JPEG 90": _saved("JPEG", 90),
    "JPEG 75": _saved("JPEG", 75),
    "JPEG 50": _saved("JPEG", 50),
    "WebP 80": _saved("WEBP", 80),
    "resized to 256": _resized(256),
    "resized to 384": _resized(384),
    "resized to 1024": _resized(1024),
    "resized to 256, JPEG 75": _after(_resized(256), _saved("JPEG", 75)),
    "cut 10 %, all around": _cut(0.05, 0.05, 0.05, 0.05),
    "cut 10 %, one side": _cut(0.1, 0, 0, 0),
    "cut 10 %, a corner": _cut(0.1, 0.1, 0, 0),
    "cut 10 % around, resized back": _cut(0.05, 0.05, 0.05, 0.05, back=True),
    "cut 10 % of a side, stretched back": _cut(0.1, 0, 0, 0, back=True),
    "cut 10 % around, JPEG 75": _after(_cut(0.05, 0.05, 0.05, 0.05), _saved("JPEG", 75)),
    "cut 25 % of a corner, JPEG 75": _after(_cut(0.2, 0.05, 0.05, 0.2), _saved("JPEG", 75)),
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "turned by 90 degrees": lambda pixels: np.ascontiguousarray(np.rot90(pixels)),
    "brighter by 20": lambda pixels: np.clip(pixels.astype(np.int16) + 20, 0, 255).astype(np.uint8),
    "noise of 5": _noisy,
    "blurred by 1": lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))),
}
"""What happens to pictures on their way, by name."""
