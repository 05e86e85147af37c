"""What the model can do with words alone, measured: the judge, the background's colour, the nearest training picture.

The judge can be fooled, so a second one that learns nothing stands beside it: the training sprite nearest in pixels,
laid on the same background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.concepts import COMMON, CONCEPTS, OTHERS
from model_server.embedded.train.data import Sprites
from model_server.embedded.train.drawing import Artist
from model_server.embedded.train.judge import Judge

_SAMPLE_SEED = 10_000
_NEAR_PIXELS, _NEAR_SPRITE = 32, 28
NEAR_COPY = 0.08
"""Root mean square difference, in 0..1, below which a picture is called a near copy of training artwork."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one model. Shares are 0..1."""

    pictures: int
    judge_held_out_accuracy: float
    top1: float
    top1_common: float
    top1_other: float
    top1_later: float
    nearest_sprite_top1: float
    nearest_sprite_top1_common: float
    background_accuracy: float
    background_pictures: int
    nearest_median_difference: float
    near_copies: float
    never_recognised: tuple[str, ...]
    always_recognised: int

    def as_json(self) -> dict[str, Any]:
        """Plain fields for `config.json`."""
        return asdict(self)


def measure(artist: Artist, judge: Judge, sprites: Sprites) -> Report:
    """Sample two pictures of each concept, one plain and one on a named background, and judge them all."""
    colours = list(BACKGROUNDS)
    prompts, wanted = [], []
    for row, concept in enumerate(CONCEPTS):
        colour = colours[row % len(colours)]
        prompts += [f"a {concept.name}", f"{concept.name} on a {colour} background"]
        wanted += ["", colour]
    pictures = artist.draw([artist.wish(prompt) for prompt in prompts], _SAMPLE_SEED)
    truth = torch.arange(len(CONCEPTS)).repeat_interleave(2)
    right = judge.concepts(pictures).eq(truth)
    difference, nearest = nearest_sprites(pictures, sprites)
    near_right = nearest.eq(truth)
    common, later = truth < len(COMMON), truth >= len(COMMON) + len(OTHERS)
    named = [index for index, colour in enumerate(wanted) if colour]
    colour_right = [nearest_colour(pictures[index]) == wanted[index] for index in named]
    per_concept = right.view(len(CONCEPTS), -1).sum(1)
    return Report(
        pictures=len(prompts),
        judge_held_out_accuracy=judge.held_out_accuracy,
        top1=share(right),
        top1_common=share(right[common]),
        top1_other=share(right[~common & ~later]),
        top1_later=share(right[later]),
        nearest_sprite_top1=share(near_right),
        nearest_sprite_top1_common=share(near_right[common]),
        background_accuracy=sum(colour_right) / len(colour_right),
        background_pictures=len(named),
        nearest_median_difference=float(difference.median()),
        near_copies=share(difference < NEAR_COPY),
        never_recognised=tuple(CONCEPTS[row].name for row in range(len(CONCEPTS)) if per_concept[row] == 0),
        always_recognised=int((per_concept == 2).sum()),
    )


def nearest_colour(picture: Tensor) -> str:
    """The named background nearest to the median of the picture's border."""
    border = torch.cat([picture[:, :2].flatten(1), picture[:, -2:].flatten(1)], 1)
    colour = (border.median(1).values + 1) * 127.5
    names = list(BACKGROUNDS)
    known = torch.tensor([BACKGROUNDS[name] for name in names], dtype=torch.float32)
    return names[int((known - colour).square().sum(1).argmin())]


def nearest_sprites(pictures: Tensor, sprites: Sprites) -> tuple[Tensor, Tensor]:
    """The distance of each picture to the nearest training sprite, laid on its own background, and whose that is."""
    concepts, styles = sprites.pixels.shape[:2]
    flat = torch.from_numpy(sprites.pixels).flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    flat[:, :3] *= flat[:, 3:]
    small = F.interpolate(flat, size=(_NEAR_SPRITE, _NEAR_SPRITE), mode="area")
    margin = (_NEAR_PIXELS - _NEAR_SPRITE) // 2
    small = F.pad(small, (margin,) * 4)
    small = torch.cat([small, small.flip(3)])
    owners = torch.arange(concepts).repeat_interleave(styles).repeat(2)
    shrunk = F.interpolate((pictures + 1) / 2, size=(_NEAR_PIXELS, _NEAR_PIXELS), mode="area")
    distances, names = [], []
    for picture in shrunk:
        background = picture[:, 0].median(1).values.view(1, 3, 1, 1)
        laid = small[:, :3] + (1 - small[:, 3:]) * background
        difference = (laid - picture).square().mean((1, 2, 3)).sqrt()
        distances.append(difference.min())
        names.append(owners[int(difference.argmin())])
    return torch.stack(distances), torch.stack(names)


def share(flags: Tensor) -> float:
    """Which part of the flags is true, 0..1."""
    return float(flags.float().mean())


def failing(report: Report) -> Sequence[str]:
    """Which gates of the design are not met, and by how much."""
    gates = {
        "top-1 >= 80 %": (report.top1, 0.8),
        "background >= 95 %": (report.background_accuracy, 0.95),
    }
    return missed(gates)


def missed(gates: dict[str, tuple[float, float]]) -> list[str]:
    """The names of the gates whose figure (first) is below its bound (second), each with the distance in points."""
    return [
        f"{name} (short by {(bound - value) * 100:.1f} points)"
        for name, (value, bound) in gates.items()
        if value < bound
    ]
