"""Compose captioned scenes from sprites: an endless stream, the same for the same seed.

Most scenes are one thing in the middle, as a prompt alone asks for. Some have one to three things of any size
anywhere; they teach sketches (with the layout that somebody would paint) and local edits (with a mask around one).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from model_server.embedded.conditions import (
    LAYOUT_PATCHES,
    LAYOUT_VALUES,
    SOURCE_VALUES,
    blank_cells,
    label_vector,
    layout_values,
    source_values,
)
from model_server.embedded.text import Tokenizer
from model_server.embedded.train import masks, sketches
from model_server.embedded.train.captions import BACKGROUNDS, caption, name_of, nothing, together, where
from model_server.embedded.train.concepts import CONCEPTS
from model_server.embedded.train.data import STYLES, Sprites
from model_server.embedded.train.recolour import COLOURS, recoloured

_SINGLE_SIZES = (52, 55, 58)
_PAIR_SIZES = (29, 31)
_SHIFT = 2
_FLIP, _PAIR, _WHITE, _RECOLOURED = 0.25, 0.05, 0.3, 0.12
PLACED_SHARE = 0.33
"""Share of the scenes with things of any size anywhere."""
_LOCAL_EDIT = 0.3
"""Share of those that are shown as a local edit; the others are shown with a layout."""
_LOCAL_LAYOUT, _GONE, _LOCAL_BOX = 0.25, 0.15, 0.7
MASKED_SHARE = 0.23
"""Share of the other scenes that are shown as edits: with pixels known and a mask of what to paint."""
SOURCE_SHARE = 0.3
"""Share of the other scenes that are shown with another picture of the same concept."""
_SOURCE_ALONE, _SAME_STYLE, _SAME_BACKGROUND = 0.5, 0.7, 0.5
_LAYOUT_ALONE, _UNLABELLED = 0.25, 0.15
_THINGS = (1, 1, 2, 2, 3)
_PLACED_SIZES = {1: (20, 58), 2: (20, 38), 3: (18, 30)}
_OVERLAP, _TRIES = 0.15, 12
_COLOUR_NOISE = 5.0
"""Standard deviation, in 8-bit levels, of a background around its named colour."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """One training example before batching: pixels in 0..1 (S, S, 3), what it shows and what is told of it."""

    pixels: Floats
    prompt: str
    concept: int
    background: str
    mask: Floats
    source: Floats
    layout: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors for one step: `clean` (B, 3, S, S) in -1..1, `mask` (B, 1, S, S) with 1 where to paint, and the rest."""

    clean: Tensor
    mask: Tensor
    ids: Tensor
    source: Tensor
    layout: Tensor
    concepts: Tensor


@dataclass(frozen=True, slots=True)
class _Placed:
    """One thing of a placed scene: its name, where its middle is (0..1), and its alpha over the whole picture."""

    row: int
    name: str
    middle: tuple[float, float]
    alpha: Floats


class Composer:
    """Draws scenes at random. `rows` are concepts to draw (default all, by weight).

    `table` holds the word vectors that label a layout. `plain` leaves single things in the middle, all to be painted,
    with nothing but a caption: what the measurements need.
    """

    def __init__(
        self,
        sprites: Sprites,
        tokenizer: Tokenizer,
        table: Tensor,
        seed: int,
        *,
        size: int = 128,
        rows: Sequence[int] | None = None,
        plain: bool = False,
    ) -> None:
        self._rng = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._tokenizer = tokenizer
        self._table: Floats = table.numpy()
        self._tags = sprites.tags
        self._size = size
        self._plain = plain
        self._rows = list(range(len(CONCEPTS))) if rows is None else list(rows)
        self._weights = [CONCEPTS[row].weight for row in self._rows]
        # Premultiplied, so that edges do not bleed when scaled. Bytes, not floats: this is all kept in memory.
        self._pixels = sprites.pixels
        self._whole = {
            (row, style): Image.fromarray(sprites.pixels[row, style]).convert("RGBa")
            for row in self._rows
            for style in range(len(STYLES))
        }
        self._scaled = {
            (*key, side): _scaled(picture, side * size // 64)
            for key, picture in self._whole.items()
            for side in (*_SINGLE_SIZES, *_PAIR_SIZES)
        }
        self._no_source = np.zeros(SOURCE_VALUES, np.float32)
        self._no_layout = np.zeros((LAYOUT_PATCHES, self._table.shape[1] + LAYOUT_VALUES), np.float32)

    def batch(self, count: int) -> Batch:
        """`count` new scenes."""
        scenes = [self.scene() for _ in range(count)]
        pixels = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
        return Batch(
            clean=pixels.permute(0, 3, 1, 2).contiguous() * 2 - 1,
            mask=torch.from_numpy(np.stack([scene.mask for scene in scenes]))[:, None],
            ids=torch.tensor([self._tokenizer.encode(scene.prompt) for scene in scenes]),
            source=torch.from_numpy(np.stack([scene.source for scene in scenes])),
            layout=torch.from_numpy(np.stack([scene.layout for scene in scenes])),
            concepts=torch.tensor([scene.concept for scene in scenes]),
        )

    def scene(self) -> Scene:
        """One new scene."""
        if not self._plain and self._rng.random() < PLACED_SHARE:
            return self._placed_scene()
        return self._centred_scene()

    def _centred_scene(self) -> Scene:
        rng = self._rng
        row, style = self._choose(), rng.randrange(len(STYLES))
        background = self._choose_background()
        canvas = self._canvas(background)
        subject = name_of(CONCEPTS[row], self._tags[row], rng)
        pair = not self._plain and rng.random() < _PAIR
        if pair:
            other = self._choose()
            self._paste_centred(canvas, row, style, rng.choice(_PAIR_SIZES), centre=0.25)
            self._paste_centred(canvas, other, style, rng.choice(_PAIR_SIZES), centre=0.75)
            said = rng.choice(("{} on left {} on right", "{} next to {}", "{} and {}"))
            subject = said.format(subject, name_of(CONCEPTS[other], (), rng))
        else:
            colour = "" if self._plain or rng.random() >= _RECOLOURED else rng.choice(list(COLOURS))
            if not self._paste_centred(canvas, row, style, rng.choice(_SINGLE_SIZES), centre=0.5, colour=colour):
                colour = ""
            subject = f"{colour} {subject}".strip()
        prompt = caption(subject, STYLES[style], background, rng, colour_shown=background != "white")
        source = self._no_source
        if not self._plain and not pair and rng.random() < SOURCE_SHARE:
            source = self._source(row, style, background, colour)
            prompt = "" if rng.random() < _SOURCE_ALONE else prompt
        masked = not self._plain and rng.random() < MASKED_SHARE
        mask = masks.random_mask(rng, self._size, canvas[..., 3]) if masked else masks.everything(self._size)
        return Scene(canvas[..., :3], prompt, row, background, mask, source, self._no_layout)

    def _source(self, row: int, style: int, background: str, colour: str) -> Floats:
        """Another picture of the same thing, as far as a source is seen."""
        rng = self._rng
        style = style if rng.random() < _SAME_STYLE else rng.randrange(len(STYLES))
        canvas = self._canvas(background if rng.random() < _SAME_BACKGROUND else self._choose_background())
        self._paste_centred(canvas, row, style, rng.choice(_SINGLE_SIZES), centre=0.5, colour=colour)
        return source_values(canvas[..., :3] * 2 - 1)

    def _placed_scene(self) -> Scene:
        rng = self._rng
        style, background = rng.randrange(len(STYLES)), self._choose_background()
        canvas = self._canvas(background)
        local = rng.random() < _LOCAL_EDIT
        gone = local and rng.random() < _GONE
        things = self._place(canvas, style, leave_out_last=gone)
        if local:
            return self._local_edit(canvas, things, style, background, gone=gone)
        subject = together([thing.name for thing in things], [thing.middle for thing in things], rng)
        prompt = caption(subject, STYLES[style], background, rng, colour_shown=background != "white")
        prompt = "" if rng.random() < _LAYOUT_ALONE else prompt
        layout = self._layout(things)
        mask = masks.everything(self._size)
        return Scene(canvas[..., :3], prompt, things[0].row, background, mask, self._no_source, layout)

    def _local_edit(
        self, canvas: Floats, things: Sequence[_Placed], style: int, background: str, *, gone: bool
    ) -> Scene:
        """A mask around the last thing, whose name alone is the prompt: everything else is known."""
        rng, thing = self._rng, things[-1]
        if gone or rng.random() < _LOCAL_BOX:
            mask = masks.box_mask(masks.widened(masks.box_of(thing.alpha), rng, self._size), self._size)
        else:
            mask = masks.grown(thing.alpha > 0.05, rng.randint(1, self._size // 12))
        if gone:
            prompt, layout = nothing(background, rng), self._no_layout
        else:
            subject = where(thing.name, *thing.middle, rng)
            prompt = caption(subject, STYLES[style], background, rng, colour_shown=background != "white")
            layout = self._layout([thing]) if rng.random() < _LOCAL_LAYOUT else self._no_layout
        return Scene(canvas[..., :3], prompt, thing.row, background, mask, self._no_source, layout)

    def _place(self, canvas: Floats, style: int, *, leave_out_last: bool) -> list[_Placed]:
        """Put things on the canvas, hardly overlapping; the last only in thought when it is to be left out."""
        rng, full = self._rng, self._size
        count = rng.choice(_THINGS)
        boxes: list[masks.Box] = []
        for _ in range(_TRIES):
            side = rng.randint(*_PLACED_SIZES[count]) * full // 64
            x, y = rng.randint(0, full - side), rng.randint(0, full - side)
            box = (x, y, x + side, y + side)
            if all(_overlap(box, other) < _OVERLAP for other in boxes):
                boxes.append(box)
            if len(boxes) == count:
                break
        things = []
        for index, box in enumerate(boxes):
            left, top, right, bottom = box
            row = self._choose()
            sprite = self._flipped(_scaled(self._whole[row, style], right - left))
            if not (leave_out_last and index == len(boxes) - 1):
                _paste(canvas, sprite, left, top)
            alpha = np.zeros((full, full), np.float32)
            alpha[top:bottom, left:right] = sprite[..., 3] / np.float32(255)
            middle = ((left + right) / 2 / full, (top + bottom) / 2 / full)
            things.append(_Placed(row, name_of(CONCEPTS[row], (), rng), middle, alpha))
        return things

    def _layout(self, things: Sequence[_Placed]) -> Floats:
        rng, cells = self._rng, blank_cells()
        vectors = []
        for number, thing in enumerate(things):
            cells[sketches.paint(thing.alpha, rng)] = number
            label = "" if rng.random() < _UNLABELLED else thing.name
            vectors.append(label_vector(self._table, self._tokenizer.encode(label)))
        return layout_values(cells, np.stack(vectors))

    def _choose(self) -> int:
        return self._rng.choices(self._rows, self._weights)[0]

    def _choose_background(self) -> str:
        return "white" if self._rng.random() < _WHITE else self._rng.choice(list(BACKGROUNDS))

    def _canvas(self, background: str) -> Floats:
        """(S, S, 4): the background's colour, and as fourth value how much of it is covered, at first nothing."""
        colour = np.array(BACKGROUNDS[background], np.float32) + self._noise.normal(0, _COLOUR_NOISE, 3)
        canvas = np.zeros((self._size, self._size, 4), np.float32)
        canvas[..., :3] = np.clip(colour, 0, 255) / 255
        return canvas

    def _paste_centred(self, canvas: Floats, row: int, style: int, size: int, centre: float, colour: str = "") -> bool:
        """Paste the thing near the centre, in that colour if one is named and it has one to change: whether it had."""
        changed = recoloured(self._pixels[row, style], colour) if colour else None
        if changed is None:
            sprite = self._flipped(self._scaled[row, style, size])
        else:
            whole = Image.fromarray(changed).convert("RGBa")
            sprite = self._flipped(_scaled(whole, size * self._size // 64))
        side, shift = len(sprite), _SHIFT * self._size // 64
        x = round(centre * self._size - side / 2) + self._rng.randint(-shift, shift)
        y = (self._size - side) // 2 + self._rng.randint(-shift, shift)
        x, y = (min(self._size - side, max(0, place)) for place in (x, y))
        _paste(canvas, sprite, x, y)
        return changed is not None

    def _flipped(self, sprite: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return sprite[:, ::-1] if self._rng.random() < _FLIP else sprite


def _paste(canvas: Floats, sprite: npt.NDArray[np.uint8], x: int, y: int) -> None:
    values = sprite.astype(np.float32) / np.float32(255)
    target = canvas[y : y + len(sprite), x : x + len(sprite)]
    target *= 1 - values[..., 3:]
    target += values
    target.clip(0, 1, out=target)  # Lanczos overshoots at sharp edges


def _scaled(picture: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """The premultiplied picture at that size. "RGBa" cannot become an array directly: split into its four bands."""
    small = picture.resize((side, side), Image.Resampling.LANCZOS)
    return np.stack([np.asarray(band) for band in small.split()], -1)


def _overlap(one: masks.Box, other: masks.Box) -> float:
    """The shared area as a share of the smaller box."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0, across) * max(0, down) / smaller
