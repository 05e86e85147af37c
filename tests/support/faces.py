"""Faces made from a number, which the nets take for photographed ones; nobody's. And pictures with one on a ground."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def face(seed: int, side: int = 240) -> Image.Image:
    """Grey, from the front, lit from one side; features, their places and sizes come from the number."""
    random = np.random.default_rng([41, seed])
    big = side * 2
    image = Image.new("L", (big, big), int(random.integers(40, 90)))
    draw = ImageDraw.Draw(image)

    def blob(x: float, y: float, wide: float, tall: float, shade: float) -> None:
        """Sizes and places in parts of the side."""
        box = [(x - wide) * big, (y - tall) * big, (x + wide) * big, (y + tall) * big]
        draw.ellipse(box, fill=int(np.clip(shade, 0, 255)))

    skin = random.uniform(150, 200)
    broad, long = random.uniform(0.3, 0.36), random.uniform(0.42, 0.47)
    eyes, apart = random.uniform(0.42, 0.46), random.uniform(0.135, 0.165)
    mouth, lips = random.uniform(0.72, 0.78), random.uniform(0.09, 0.14)
    hair = random.uniform(15, 60)
    blob(0.5, 0.9, 0.17, 0.2, skin - 45)
    blob(0.5, 0.42, broad + 0.07, random.uniform(0.4, 0.44), hair)
    blob(0.5, 0.52, broad, long - 0.03, skin)
    if random.random() < 0.4:  # a beard
        blob(0.5, 0.8, broad * 0.8, 0.17, skin - random.uniform(40, 90))
        blob(0.5, 0.66, broad * 0.75, 0.06, skin)
    blob(0.5 + random.uniform(-0.12, 0.12), 0.45, broad * 0.6, long * 0.7, skin + random.uniform(5, 25))
    for way in (-1, 1):
        x = 0.5 + way * apart
        blob(x, eyes - 0.01, 0.085, random.uniform(0.05, 0.065), skin - random.uniform(25, 55))
        blob(x, eyes - random.uniform(0.07, 0.1), random.uniform(0.07, 0.095), random.uniform(0.012, 0.024), 45)
        blob(x, eyes, random.uniform(0.05, 0.06), random.uniform(0.018, 0.03), 225)
        blob(x + random.uniform(-0.01, 0.01), eyes, 0.022, 0.024, 25)
        blob(0.5 + way * random.uniform(0.03, 0.045), 0.615, 0.018, 0.014, skin - 75)
        blob(
            0.5 + way * random.uniform(0.2, 0.26),
            random.uniform(0.58, 0.68),
            0.06,
            0.08,
            skin + random.uniform(-30, 25),
        )
    blob(0.5 + random.choice([-1, 1]) * 0.035, 0.54, 0.018, 0.09, skin - random.uniform(15, 45))
    blob(0.5, 0.59, 0.05, 0.035, skin + random.uniform(0, 25))
    blob(0.5, mouth, lips, random.uniform(0.025, 0.04), skin - random.uniform(60, 95))
    blob(0.5, mouth, lips * 0.9, random.uniform(0.004, 0.02), random.choice([40.0, 235.0]))
    blob(0.5, mouth + 0.075, 0.09, 0.02, skin - random.uniform(10, 45))
    light = 1 + random.uniform(-0.45, 0.45) * np.linspace(-1, 1, big)[None, :] + np.zeros((big, 1))
    lit = Image.fromarray(np.clip(np.asarray(image) * light, 0, 255).astype(np.uint8))
    return lit.filter(ImageFilter.GaussianBlur(big / 70)).resize((side, side), Image.Resampling.BOX)


def before(ground: Image.Image, portrait: Image.Image, side: int, left: int, top: int) -> Image.Image:
    """A face in front of a ground, without the ground that it was made on."""
    put = portrait.resize((side, side), Image.Resampling.BICUBIC).convert("RGB")
    shape = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(shape).ellipse((side * 0.12, -side * 0.04, side * 1.88, side * 2.04), fill=255)
    whole = ground.convert("RGB").copy()
    whole.paste(put, (left, top), shape.resize((side, side)).filter(ImageFilter.GaussianBlur(side / 60)))
    return whole
