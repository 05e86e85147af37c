"""The training loop: v-loss on a clean-picture prediction, Muon for the blocks' matrices, AdamW for the rest, an EMA.

It may be stopped at any moment: the checkpoint holds weights, EMA, optimisers and the time already spent, is written
atomically, and a later run goes on from it. The learning rate is flat until the decay phase, which begins
`decay_minutes` before the budget ends, or as soon as a file named `decay` appears beside the checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model_server.embedded.net import NetShape, PixelTransformer
from model_server.embedded.train.compose import Batch

CHECKPOINT = "checkpoint.pt"
DECAY_FLAG = "decay"

_MUON_RATE, _ADAM_RATE = 2e-3, 1e-3
_WARM_UP_STEPS = 100
_TIME_MEAN, _TIME_SPREAD = -0.6, 0.9
"""Noise levels are drawn logit-normally; the mean below zero spends more steps on noisy pictures, where shapes form."""
_SMALLEST_NOISE = 0.1
"""The v-loss weight 1/(1-t)^2 is capped here, or nearly clean pictures would drown the rest."""
_LARGEST_GRADIENT = 1.0
_EMA_LIMIT = 0.998


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how: minutes are wall time of training summed over all runs; saves happen every `save_seconds`."""

    minutes: float
    decay_minutes: float
    batch: int = 48
    seed: int = 0
    save_seconds: float = 120.0
    report_steps: int = 50
    compiled: bool = True
    rate: float = 1.0
    """Share of the full learning rate that is the peak; below 1 for a net that is trained already."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run tells now and then: steps and pictures so far, mean loss since the last report, minutes spent."""

    step: int
    pictures: int
    loss: float
    minutes: float
    rate: float


def loss_of(
    net: Callable[..., Tensor], batch: Batch, generator: torch.Generator, *, noise_scale: float = 1.0
) -> Tensor:
    """Mean squared error of the velocity, over the pixels to be painted (Salimans & Ho 2022, arXiv:2202.00512)."""
    clean, mask = batch.clean, batch.mask
    count = clean.shape[0]
    time_ = torch.sigmoid(torch.randn(count, generator=generator) * _TIME_SPREAD + _TIME_MEAN)
    noise = torch.randn(clean.shape, generator=generator) * noise_scale
    t = time_[:, None, None, None]
    noisy = t * clean + (1 - t) * noise
    with torch.autocast("cpu", torch.bfloat16):
        guess = net(noisy, clean * (1 - mask), mask, time_, batch.ids, batch.source, batch.layout)
    error = ((guess.float() - clean) / (1 - t).clamp(min=_SMALLEST_NOISE)) ** 2
    return (error * mask).sum() / (mask.sum() * clean.shape[1]).clamp(min=1.0)


class Training:
    """A net, its EMA and its optimisers, with what is needed to stop and go on.

    `lineage` says what the net was before, one entry a stage, the first stage first; it travels with the checkpoint.
    """

    def __init__(self, net: PixelTransformer, out: Path, lineage: Sequence[dict[str, Any]] = ()) -> None:
        self.net = net.train().requires_grad_(True)
        self.net.table.weight.requires_grad_(False)
        self.out = out
        self.lineage = list(lineage)
        matrices = [p for p in self.net.blocks.parameters() if p.ndim == 2 and p.shape[0] != 6]
        held = set(map(id, matrices))
        others = [p for p in self.net.parameters() if id(p) not in held and p.requires_grad]
        self._trained = [*matrices, *others]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=_MUON_RATE, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=_ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self._rates = [_MUON_RATE, _ADAM_RATE]
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.step = 0
        self.pictures = 0
        self.seconds = 0.0
        self.decay_began_seconds: float | None = None

    def save(self) -> None:
        """Write the checkpoint so that a reader sees the old one or the new one, never a part."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self.step,
            "pictures": self.pictures,
            "seconds": self.seconds,
            "decay_began_seconds": self.decay_began_seconds,
            "lineage": self.lineage,
            "shape": self.net.shape.as_json(),
        }
        path = self.out / CHECKPOINT
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def resume(self) -> bool:
        """Go on from the checkpoint in `out` if there is one."""
        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.pictures, self.seconds = state["step"], state["pictures"], state["seconds"]
        self.decay_began_seconds = state["decay_began_seconds"]
        self.lineage = state["lineage"]
        return True

    def run(
        self,
        batches: Iterator[Batch],
        plan: Plan,
        report: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Train until the plan's minutes are spent (or the decay phase has ended); always ends with a checkpoint."""
        if self.seconds < (plan.minutes - plan.decay_minutes) * 60:
            self.decay_began_seconds = None  # a finished run that was given more time: up again, decay later
        net: Callable[..., Tensor] = torch.compile(self.net) if plan.compiled else self.net
        # The step number is part of the seed: a resumed run must not see the same noise again.
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + self.step)
        losses: list[float] = []
        last = saved = reported = clock()
        while (factor := self._rate_factor(plan)) > 0:
            for optimiser, rate in zip(self._optimisers, self._rates, strict=True):
                for group in optimiser.param_groups:
                    group["lr"] = rate * plan.rate * factor
            batch = next(batches)
            loss = loss_of(net, batch, generator, noise_scale=self.net.shape.noise_scale)
            loss.backward()
            nn.utils.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
            for optimiser in self._optimisers:
                optimiser.step()
                optimiser.zero_grad()
            self.step += 1
            self.pictures += batch.clean.shape[0]
            self._update_average()
            losses.append(loss.item())
            now = clock()
            self.seconds += now - last
            last = now
            if self.step % plan.report_steps == 0:
                rate = len(losses) * plan.batch / max(now - reported, 1e-9)
                report(Progress(self.step, self.pictures, sum(losses) / len(losses), self.seconds / 60, rate))
                losses, reported = [], now
            if now - saved >= plan.save_seconds:
                self.save()
                saved = now
        self.save()

    def _rate_factor(self, plan: Plan) -> float:
        """The learning rate's share of its full value; 0 ends the run."""
        decay_seconds = plan.decay_minutes * 60
        if self.decay_began_seconds is None:
            due = self.seconds >= plan.minutes * 60 - decay_seconds
            if due or (self.out / DECAY_FLAG).exists():
                self.decay_began_seconds = self.seconds
            else:
                return min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        if decay_seconds <= 0:
            return 0.0
        left = 1 - (self.seconds - self.decay_began_seconds) / decay_seconds
        return max(0.0, left) * min(1.0, (self.step + 1) / _WARM_UP_STEPS)

    def _update_average(self) -> None:
        keep = min(_EMA_LIMIT, (1 + self.step) / (10 + self.step))
        state = self.net.state_dict()
        names = [name for name in state if name != "table.weight"]
        with torch.no_grad():
            torch._foreach_lerp_([self.average[name] for name in names], [state[name] for name in names], 1 - keep)


def new_net(shape: NetShape, table: Tensor, seed: int) -> PixelTransformer:
    """A net that has learnt nothing yet but its words."""
    torch.manual_seed(seed)
    net = PixelTransformer(shape)
    net.table.weight.data.copy_(table)
    return net


def is_learning(losses: list[float]) -> bool:
    """Whether the second half of these losses is clearly below the first part: what a smoke run must show."""
    quarter = max(1, len(losses) // 4)
    first, last = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    return math.isfinite(last) and last < 0.9 * first
