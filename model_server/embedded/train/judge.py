"""The judge: a small classifier that says which concept a picture shows. It sees none of the model's pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.compose import Composer
from model_server.embedded.train.concepts import CONCEPTS
from model_server.embedded.train.data import Sprites

_STEPS, _BATCH, _RATE, _NOISE = 900, 96, 2e-3, 0.05
_PIXELS = 64
"""The judge looks at 64 pixels, whatever the model draws: enough to know a fox, and a quarter of the work."""
_SEED, _HELD_OUT_SEED = 101, 202
_HELD_OUT = 2_000


@dataclass(frozen=True, slots=True)
class Judge:
    """The classifier, and how often it is right about composed scenes that it has not seen."""

    net: nn.Module
    held_out_accuracy: float

    def concepts(self, pictures: Tensor) -> Tensor:
        """The concept's number for each picture (N, 3, S, S) in -1..1."""
        with torch.inference_mode():
            return torch.cat([self.net(part).argmax(1) for part in _small(pictures).split(_BATCH)])


def load_judge(sprites: Sprites, tokenizer: Tokenizer, table: Tensor, work: Path) -> Judge:
    """The judge from the cache in `work`, or trained now (minutes)."""
    net = nn.Sequential(
        *(_stage(inner, outer) for inner, outer in ((3, 32), (32, 64), (64, 128), (128, 256))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, len(CONCEPTS)),
    )
    recipe = repr((net, CONCEPTS, _STEPS, _BATCH, _RATE, _NOISE, _PIXELS, _SEED))
    path = work / f"judge-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.pt"  # another recipe, another judge

    def composer(seed: int) -> Composer:
        return Composer(sprites, tokenizer, table, seed, size=_PIXELS, plain=True)

    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        _train(net, composer(_SEED))
        torch.save(net.state_dict(), path)
    net.eval()
    unseen = composer(_HELD_OUT_SEED).batch(_HELD_OUT)
    right = Judge(net, 0.0).concepts(unseen.clean).eq(unseen.concepts)
    return Judge(net, float(right.float().mean()))


def _train(net: nn.Module, composer: Composer) -> None:
    torch.manual_seed(_SEED)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS)
    for _ in range(_STEPS):
        batch = composer.batch(_BATCH)
        noisy = batch.clean + _NOISE * torch.randn_like(batch.clean)
        loss = F.cross_entropy(net(noisy), batch.concepts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _stage(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU())


def _small(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, size=(_PIXELS, _PIXELS), mode="area")
