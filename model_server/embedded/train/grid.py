"""A grid of sampled pictures with their prompts, for human eyes: the one judge that figures can't replace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from model_server.embedded.net import PixelTransformer
from model_server.embedded.sampler import Wish, denoise, new_slot
from model_server.embedded.text import Tokenizer

_CELL, _LABEL, _GAP, _COLUMNS, _BATCH = 96, 16, 4, 10, 16
_PAPER, _INK = (250, 249, 246), (40, 40, 45)

_PROMPTS = """
a fox|a panda|a lion|koala|a penguin|an owl|a cat|a dog|a rabbit|an octopus
a fox on a blue background|flat lion|3d panda on pink|cartoon cat on yellow|a frog on purple
a butterfly on a black background|a puppy|kitten on a red background|flat penguin on teal|3d owl on orange
an apple|pizza|a hamburger|watermelon|an avocado|strawberry|a banana on purple|3d doughnut|birthday cake|coffee
a mushroom on green|a sunflower|a cactus on orange|a tulip|a christmas tree|a palm tree|a rose|a bee|a turtle|a carrot
a rocket on black|a sailboat|a car|a house|a castle|a mountain|a volcano|a rainbow|the moon|a star on blue
a robot|a guitar|a teddy bear|a gift|a light bulb|books|a camera|a bicycle|an airplane|a snowman
a happy little fox in the forest|an automobile|a burger|spaceship|a bunny|a pineapple|a whale on yellow|a tree|fire
a giraffe|a dinosaur|a crown|a peach|taco|a tractor|a clover|a teapot|a trophy on red|a helicopter
"""
PROMPTS = tuple(_PROMPTS.strip().replace("\n", "|").split("|"))
"""What the grid shows: common things, all colours, each style word, synonyms, a full sentence, and the rarer ones."""


def sample(
    net: PixelTransformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    steps: int = 24,
    guidance: float = 3.0,
    seed: int = 0,
) -> Tensor:
    """One picture a prompt, (N, 3, S, S) in -1..1; picture i from the noise of `seed + i`, as the server does it."""
    empty = tokenizer.encode("")
    pictures: list[Tensor] = []
    for start in range(0, len(prompts), _BATCH):
        part = prompts[start : start + _BATCH]
        slots = [
            new_slot(net, Wish(tokenizer.encode(prompt), empty), seed + start + row, steps, guidance)
            for row, prompt in enumerate(part)
        ]
        for _ in range(steps):
            denoise(net, slots)
        pictures.extend(slot.noisy for slot in slots)
    return torch.stack(pictures).clamp(-1, 1)


def to_image(pixels: Tensor) -> Image.Image:
    """(3, S, S) in -1..1 as a picture."""
    levels = ((pixels + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def write_grid(path: Path, pictures: Tensor, prompts: Sequence[str]) -> None:
    """Draw the pictures, a little enlarged, each above its prompt."""
    rows = -(-len(prompts) // _COLUMNS)
    width, height = _COLUMNS * (_CELL + _GAP) + _GAP, rows * (_CELL + _LABEL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for index, (pixels, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        x = _GAP + index % _COLUMNS * (_CELL + _GAP)
        y = _GAP + index // _COLUMNS * (_CELL + _LABEL + _GAP)
        sheet.paste(to_image(pixels).resize((_CELL, _CELL), Image.Resampling.BICUBIC), (x, y))
        draw.text((x, y + _CELL + 2), prompt[:20], _INK, font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
