"""What the model can do, measured: a small classifier, the background's colour, and the nearest training picture.

The classifier ("judge") is trained on composed scenes and sees none of the model's pictures. It can be fooled, so a
second judge that learns nothing stands beside it: the training sprite nearest in pixels, laid on the same background.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_server.embedded.net import PixelTransformer
from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.compose import Composer
from model_server.embedded.train.concepts import COMMON, CONCEPTS
from model_server.embedded.train.data import Sprites
from model_server.embedded.train.grid import sample

_JUDGE_STEPS, _JUDGE_BATCH, _JUDGE_RATE, _JUDGE_NOISE = 900, 96, 2e-3, 0.05
_JUDGE_SEED, _HELD_OUT_SEED, _SAMPLE_SEED = 101, 202, 10_000
_HELD_OUT = 2_000
_NEAR_PIXELS, _NEAR_SPRITE = 32, 28
_NEAR_COPY = 0.08
"""Root mean square difference, in 0..1, below which a picture is called a near copy of training artwork."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one model. Shares are 0..1."""

    pictures: int
    judge_held_out_accuracy: float
    top1: float
    top1_common: float
    top1_other: float
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


def measure(
    net: PixelTransformer, tokenizer: Tokenizer, sprites: Sprites, work: Path, *, steps: int, guidance: float
) -> Report:
    """Sample four pictures of each concept (two plain, two on a named background) and judge them all."""
    judge, held_out = load_judge(sprites, tokenizer, work)
    colours = list(BACKGROUNDS)
    prompts, rows, wanted = [], [], []
    for row, concept in enumerate(CONCEPTS):
        for turn in range(2):
            colour = colours[(2 * row + turn) % len(colours)]
            prompts += [f"a {concept.name}", f"{concept.name} on a {colour} background"]
            rows += [row, row]
            wanted += ["", colour]
    pictures = sample(net, tokenizer, prompts, steps=steps, guidance=guidance, seed=_SAMPLE_SEED)
    truth = torch.tensor(rows)
    with torch.inference_mode():
        judged = torch.cat([judge(part).argmax(1) for part in pictures.split(_JUDGE_BATCH)])
    right = judged.eq(truth)
    difference, nearest = nearest_sprites(pictures, sprites)
    near_right = nearest.eq(truth)
    common = truth < len(COMMON)
    named = [index for index, colour in enumerate(wanted) if colour]
    colour_right = [nearest_colour(pictures[index]) == wanted[index] for index in named]
    per_concept = right.view(len(CONCEPTS), -1).sum(1)
    return Report(
        pictures=len(prompts),
        judge_held_out_accuracy=held_out,
        top1=_share(right),
        top1_common=_share(right[common]),
        top1_other=_share(right[~common]),
        nearest_sprite_top1=_share(near_right),
        nearest_sprite_top1_common=_share(near_right[common]),
        background_accuracy=sum(colour_right) / len(colour_right),
        background_pictures=len(named),
        nearest_median_difference=float(difference.median()),
        near_copies=_share(difference < _NEAR_COPY),
        never_recognised=tuple(CONCEPTS[row].name for row in range(len(CONCEPTS)) if per_concept[row] == 0),
        always_recognised=int((per_concept == len(prompts) // len(CONCEPTS)).sum()),
    )


def load_judge(sprites: Sprites, tokenizer: Tokenizer, work: Path) -> tuple[nn.Module, float]:
    """The judge and its accuracy on scenes it has not seen; from the cache in `work`, or trained now (minutes)."""
    judge = nn.Sequential(
        *(_stage(inner, outer) for inner, outer in ((3, 32), (32, 64), (64, 128), (128, 256))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, len(CONCEPTS)),
    )
    recipe = repr((judge, CONCEPTS, _JUDGE_STEPS, _JUDGE_BATCH, _JUDGE_RATE, _JUDGE_NOISE, _JUDGE_SEED))
    path = work / f"judge-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.pt"  # another recipe, another judge
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
    else:
        _train_judge(judge, Composer(sprites, tokenizer, _JUDGE_SEED, pairs=False))
        torch.save(judge.state_dict(), path)
    judge.eval()
    unseen = Composer(sprites, tokenizer, _HELD_OUT_SEED, pairs=False).batch(_HELD_OUT)
    with torch.inference_mode():
        guesses = torch.cat([judge(part).argmax(1) for part in unseen.clean.split(_JUDGE_BATCH)])
    return judge, _share(guesses.eq(unseen.concepts))


def _train_judge(judge: nn.Module, composer: Composer) -> None:
    torch.manual_seed(_JUDGE_SEED)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=_JUDGE_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _JUDGE_RATE, total_steps=_JUDGE_STEPS)
    for _ in range(_JUDGE_STEPS):
        batch = composer.batch(_JUDGE_BATCH)
        noisy = batch.clean + _JUDGE_NOISE * torch.randn_like(batch.clean)
        loss = F.cross_entropy(judge(noisy), batch.concepts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _stage(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU())


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


def _share(flags: Tensor) -> float:
    return float(flags.float().mean())


def failing(report: Report) -> Sequence[str]:
    """Which gates of the design are not met."""
    gates = {"top-1 >= 80 %": report.top1 >= 0.8, "background >= 95 %": report.background_accuracy >= 0.95}
    return [name for name, met in gates.items() if not met]
