"""Compose captioned scenes from sprites: an endless stream, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS, caption, name_of
from model_server.embedded.train.concepts import CONCEPTS, Concept
from model_server.embedded.train.data import STYLES, Sprites

_SINGLE_SIZES = (52, 55, 58)
_PAIR_SIZES = (29, 31)
_SHIFT = 2
_FLIP, _PAIR, _WHITE = 0.25, 0.04, 0.3
MASKED_SHARE = 0.12
"""Share of the scenes that are shown as edits: with pixels known and a mask of what to paint."""
_COLOUR_NOISE = 5.0
"""Standard deviation, in 8-bit levels, of a background around its named colour."""

Scaled = dict[int, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scene:
    """One training example before batching: pixels in 0..1 (S, S, 3) and what it shows."""

    pixels: npt.NDArray[np.float32]
    prompt: str
    concept: int
    background: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors for one step: `clean` (B, 3, S, S) in -1..1, `mask` (B, 1, S, S) with 1 where to paint, ids, concepts."""

    clean: Tensor
    mask: Tensor
    ids: Tensor
    concepts: Tensor


class Composer:
    """Draws scenes at random. `rows` are concepts to draw (default all, by weight); `pairs` allows two in one."""

    def __init__(
        self,
        sprites: Sprites,
        tokenizer: Tokenizer,
        seed: int,
        *,
        size: int = 64,
        rows: Sequence[int] | None = None,
        pairs: bool = True,
    ) -> None:
        self._rng = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._tokenizer = tokenizer
        self._tags = sprites.tags
        self._size = size
        self._pairs = pairs
        self._rows = list(range(len(CONCEPTS))) if rows is None else list(rows)
        self._weights = [CONCEPTS[row].weight for row in self._rows]
        self._scaled = {
            (row, style): _scale(sprites.pixels[row, style], size) for row in self._rows for style in range(len(STYLES))
        }

    def batch(self, count: int) -> Batch:
        """`count` new scenes."""
        scenes = [self.scene() for _ in range(count)]
        pixels = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
        ids = torch.tensor([self._tokenizer.encode(scene.prompt) for scene in scenes])
        masks = torch.from_numpy(np.stack([self._mask() for _ in scenes]))[:, None]
        concepts = torch.tensor([scene.concept for scene in scenes])
        return Batch(pixels.permute(0, 3, 1, 2).contiguous() * 2 - 1, masks, ids, concepts)

    def scene(self) -> Scene:
        """One new scene."""
        rng = self._rng
        row = rng.choices(self._rows, self._weights)[0]
        style = rng.randrange(len(STYLES))
        background = "white" if rng.random() < _WHITE else rng.choice(list(BACKGROUNDS))
        colour = np.array(BACKGROUNDS[background], np.float32) + self._noise.normal(0, _COLOUR_NOISE, 3)
        canvas = np.empty((self._size, self._size, 3), np.float32)
        canvas[:] = np.clip(colour, 0, 255) / 255
        name = name_of(CONCEPTS[row], self._tags[row], rng)
        if rng.random() < _PAIR and self._pairs:
            other = rng.choices(self._rows, self._weights)[0]
            self._paste(canvas, row, style, rng.choice(_PAIR_SIZES), centre=0.25)
            self._paste(canvas, other, style, rng.choice(_PAIR_SIZES), centre=0.75)
            first, second = name, name_of(CONCEPTS[other], (), rng)
            said = rng.choice(("{} on left {} on right", "{} next to {}", "{} and {}"))
            subject = said.format(first, second)
        else:
            self._paste(canvas, row, style, rng.choice(_SINGLE_SIZES), centre=0.5)
            subject = name
        prompt = caption(subject, STYLES[style], background, rng, colour_shown=background != "white")
        return Scene(canvas, prompt, row, background)

    def _paste(self, canvas: npt.NDArray[np.float32], row: int, style: int, size: int, centre: float) -> None:
        size = size * self._size // 64
        sprite = self._scaled[row, style][size]
        if self._rng.random() < _FLIP:
            sprite = sprite[:, ::-1]
        x = round(centre * self._size - size / 2) + self._rng.randint(-_SHIFT, _SHIFT)
        y = (self._size - size) // 2 + self._rng.randint(-_SHIFT, _SHIFT)
        x, y = (min(self._size - size, max(0, place)) for place in (x, y))
        target = canvas[y : y + size, x : x + size]
        target *= 1 - sprite[..., 3:]
        target += sprite[..., :3]
        target.clip(0, 1, out=target)  # Lanczos overshoots at sharp edges

    def _mask(self) -> npt.NDArray[np.float32]:
        """All ones (paint everything), or for a share of the scenes the shape of an edit: a half, a box, a brush."""
        rng, size = self._rng, self._size
        if rng.random() >= MASKED_SHARE:
            return np.ones((size, size), np.float32)
        mask = np.zeros((size, size), np.float32)
        kind = rng.choice(("half", "box", "brush"))
        if kind == "half":
            first = rng.randrange(2) * (size // 2)
            half = np.s_[first : first + size // 2]
            mask[(half, np.s_[:]) if rng.random() < 0.5 else (np.s_[:], half)] = 1
        elif kind == "box":
            height, width = rng.randint(size // 4, size), rng.randint(size // 4, size)
            y, x = rng.randint(0, size - height), rng.randint(0, size - width)
            mask[y : y + height, x : x + width] = 1
        else:
            y, x = rng.randrange(size), rng.randrange(size)
            rows, columns = np.ogrid[:size, :size]
            for _ in range(rng.randint(3, 9)):
                radius = rng.randint(size // 12, size // 5)
                mask[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
                y = min(size - 1, max(0, y + rng.randint(-radius, radius)))
                x = min(size - 1, max(0, x + rng.randint(-radius, radius)))
        return mask


def _scale(pixels: npt.NDArray[np.uint8], size: int) -> Scaled:
    """The sprite at each size a scene needs, colours premultiplied by alpha, 0..1."""
    picture = Image.fromarray(pixels).convert("RGBa")  # premultiplied, so that edges do not bleed when scaled
    scaled: Scaled = {}
    for side in (*_SINGLE_SIZES, *_PAIR_SIZES):
        side = side * size // 64
        small = picture.resize((side, side), Image.Resampling.LANCZOS)
        # "RGBa" cannot become an array directly; split it into its four bands.
        bands = np.stack([np.asarray(band, dtype=np.float32) for band in small.split()], -1)
        scaled[side] = bands / np.float32(255)
    return scaled


__all__ = ["Batch", "Composer", "Concept", "Scene"]
