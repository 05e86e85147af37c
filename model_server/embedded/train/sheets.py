"""Sheets of sampled pictures for human eyes: the one judge that figures can't replace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from model_server.embedded.train.drawing import Artist, Painted, box_mask, to_image
from model_server.embedded.train.jobs import VARY_STRENGTH

_CELL, _LABEL, _GAP, _FONT = 144, 22, 10, 14
_PAPER, _INK, _VEIL = (250, 249, 246), (40, 40, 45), (228, 60, 120)
_COLOURS = 256
_PAINTS = ((228, 60, 120), (40, 120, 220), (245, 160, 40), (60, 160, 90))
_SEED = 7

_PROMPTS = """
a fox|a panda on blue|flat lion|3d owl on orange|a cat|a frog on purple|an octopus|a squirrel
pizza|a hamburger|an apple|a green apple|an avocado|sushi on teal|3d doughnut on pink|birthday cake
a rocket on black|a sailboat|a red car|a blue car|a bicycle|an ambulance|a castle|a house
a sunflower|a cactus on orange|a mushroom on green|a robot|a guitar|headphones on yellow|a teddy bear|a hot air balloon
"""
PROMPTS = tuple(_PROMPTS.strip().replace("\n", "|").split("|"))
"""What the grid always shows: common things, the later ones, colours of things and of backgrounds, each style."""

Box = tuple[float, float, float, float]
EDITS: tuple[tuple[str, Box | None, str], ...] = (
    ("a fox", (0.0, 0.0, 0.5, 1.0), "fox"),
    ("a panda on blue", (0.0, 0.5, 1.0, 1.0), "panda"),
    ("a castle", (0.02, 0.02, 0.36, 0.36), "moon"),
    ("a rocket on black", (0.06, 0.06, 0.94, 0.94), "plain background"),
    ("pizza on yellow", (0.06, 0.06, 0.94, 0.94), "cookie"),
    ("an apple on blue", (0.2, 0.2, 0.95, 0.95), "a dog"),
    ("a fox", None, "a wolf"),
    ("flat lion", None, "a tiger"),
)
"""What is drawn first, the box to paint anew (None: the whole picture, from strength), and what is asked of it."""
_EDIT_STRENGTH = 0.85
VARIED = (
    "a fox",
    "an owl on orange",
    "a rocket on black",
    "a cactus",
    "a hamburger",
    "a sailboat",
    "a robot",
    "a tulip",
)
_VARIATIONS = 4
SKETCHES: tuple[tuple[tuple[Painted, ...], str], ...] = (
    ((("fox", (0.05, 0.4, 0.55, 0.95)),), "on green"),
    ((("cat", (0.05, 0.35, 0.48, 0.8)), ("dog", (0.52, 0.35, 0.95, 0.8))), ""),
    ((("tree", (0.5, 0.15, 0.95, 0.9)), ("rabbit", (0.08, 0.5, 0.45, 0.9))), "on blue"),
    ((("star", (0.08, 0.08, 0.38, 0.38)), ("rocket", (0.4, 0.35, 0.9, 0.92))), "on black"),
    ((("pizza", (0.05, 0.05, 0.5, 0.5)), ("coffee", (0.5, 0.5, 0.95, 0.95))), "3d"),
    ((("car", (0.15, 0.5, 0.85, 0.95)), ("sun", (0.65, 0.03, 0.97, 0.35))), "flat"),
    (
        (
            ("penguin", (0.02, 0.3, 0.34, 0.75)),
            ("penguin", (0.34, 0.3, 0.66, 0.75)),
            ("penguin", (0.66, 0.3, 0.98, 0.75)),
        ),
        "",
    ),
    ((("", (0.1, 0.45, 0.6, 0.95)),), "an apple on yellow"),
)
"""The painted regions and the prompt beside them."""


def write_grid(path: Path, artist: Artist) -> None:
    """The fixed prompts, eight in a row."""
    pictures = artist.draw([artist.wish(prompt) for prompt in PROMPTS])
    _write(path, [to_image(picture) for picture in pictures], PROMPTS, columns=8)


def write_edits(path: Path, artist: Artist) -> None:
    """Source, mask and result of each edit, two edits in a row."""
    sources = artist.draw([artist.wish(prompt) for prompt, _, _ in EDITS], _SEED)
    wishes = []
    for source, (_, box, asked) in zip(sources, EDITS, strict=True):
        mask = None if box is None else box_mask(source.shape[-1], box)
        wishes.append(artist.wish(asked, canvas=source, mask=mask, strength=_EDIT_STRENGTH if box is None else 1.0))
    results = artist.draw(wishes, _SEED + 100)
    pictures, labels = [], []
    for source, result, (prompt, box, asked) in zip(sources, results, EDITS, strict=True):
        pictures += [to_image(source), _masked(source, box), to_image(result)]
        labels += [prompt, "mask" if box else "no mask", f"-> {asked}"]
    _write(path, pictures, labels, columns=6)


def write_variations(path: Path, artist: Artist) -> None:
    """Each source and its variations, made with no words, two sources in a row."""
    sources = artist.draw([artist.wish(prompt) for prompt in VARIED], _SEED)
    wishes = [
        artist.wish("", canvas=source, strength=VARY_STRENGTH, source=source)
        for source in sources
        for _ in range(_VARIATIONS)
    ]
    varied = artist.draw(wishes, _SEED + 200).split(_VARIATIONS)
    pictures, labels = [], []
    for source, row, prompt in zip(sources, varied, VARIED, strict=True):
        pictures += [to_image(source), *(to_image(picture) for picture in row)]
        labels += [f"{prompt} ->", *[""] * _VARIATIONS]
    _write(path, pictures, labels, columns=2 * (_VARIATIONS + 1))


def write_sketches(path: Path, artist: Artist) -> None:
    """What was painted, and what became of it, four in a row."""
    results = artist.draw([artist.wish(prompt, regions=regions) for regions, prompt in SKETCHES], _SEED + 300)
    pictures, labels = [], []
    for (regions, prompt), result in zip(SKETCHES, results, strict=True):
        pictures += [_painted(regions), to_image(result)]
        labels += [prompt or "no prompt", ""]
    _write(path, pictures, labels, columns=8)


def _masked(source: Tensor, box: Box | None) -> Image.Image:
    if box is None:
        return to_image(source)
    veil = torch.tensor(_VEIL).view(3, 1, 1) / 127.5 - 1
    mask = box_mask(source.shape[-1], box) * 0.8
    return to_image(source * (1 - mask) + veil * mask)


def _painted(regions: Sequence[Painted]) -> Image.Image:
    sheet = Image.new("RGB", (_CELL, _CELL), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for (label, box), paint in zip(regions, _PAINTS, strict=False):
        left, top, right, bottom = (round(edge * _CELL) for edge in box)
        draw.rectangle((left, top, right - 1, bottom - 1), fill=paint)
        draw.text((left + 3, top + 2), label or "?", "white", font)
    return sheet


def _write(path: Path, pictures: Sequence[Image.Image], labels: Sequence[str], *, columns: int) -> None:
    rows = -(-len(pictures) // columns)
    across, down = _CELL + _GAP, _CELL + _LABEL + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = _GAP + index % columns * across, _GAP + index // columns * down
        sheet.paste(picture.resize((_CELL, _CELL), Image.Resampling.LANCZOS), (x, y))
        draw.text((x, y + _CELL + 2), label[:22], _INK, font)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette: a third of the bytes, and hardly an eye sees the difference on such artwork.
    sheet.quantize(_COLOURS, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
