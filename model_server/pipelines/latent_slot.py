"""One picture in the making by latent diffusion, and what it takes to move it a step without losing where it was.

A slot has a scheduler of its own, because diffusers' schedulers remember where they are and what they saw, and a noise
generator of its own on the CPU, so that its seed gives the same noise on any device and in any company.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

Conditions = dict[str, Tensor]
"""What the denoiser is told of one row besides latents and time, by the name of its argument; each has one row."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a picture that an edit must not change: laid over the latents again after each step."""

    mask: Tensor
    """1 where the edit may paint, in the shape of the latents."""
    latents: Tensor
    noise: Tensor


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last step saw, from which the expected picture can be told."""

    scheduler: Any
    timestep: Tensor
    noisy: Tensor
    output: Tensor


@dataclass(slots=True, eq=False)
class LatentSlot:
    """One picture in the making. Only the engine's thread touches it."""

    scheduler: Any
    timesteps: Tensor
    latents: Tensor
    generator: torch.Generator
    guidance: float
    wanted: Conditions
    unwanted: Conditions | None
    """What to steer away from, which costs a second row of the forward pass; None: nothing."""
    width: int
    height: int
    kept: Kept | None = None
    beside: Tensor | None = None
    """Channels that the denoiser sees beside the latents: mask and masked picture of an inpainting model."""
    seen: Seen | None = None
    done: int = 0

    @property
    def steps(self) -> int:
        """Runs of the denoiser that the picture takes: Heun's method has nearly two a step, an edit skips the first."""
        return len(self.timesteps)

    @property
    def timestep(self) -> Tensor:
        """Where the next step starts from."""
        return self.timesteps[self.done]


@dataclass(slots=True)
class Move:
    """The next state of a slot, worked out beside it. Nothing of the slot changes before `commit`."""

    slot: LatentSlot
    scheduler: Any
    generator_state: Tensor
    latents: Tensor
    seen: Seen | None

    @classmethod
    def of(cls, slot: LatentSlot) -> Move:
        """A move that has not begun."""
        return cls(slot, fork(slot.scheduler), slot.generator.get_state(), slot.latents, slot.seen)

    def commit(self) -> None:
        """Make it so."""
        self.slot.scheduler = self.scheduler
        self.slot.latents = self.latents
        self.slot.seen = self.seen
        self.slot.done += 1

    def undo(self) -> None:
        """Give back the noise that was drawn; the rest was never touched."""
        self.slot.generator.set_state(self.generator_state)


def fork(scheduler: Any) -> Any:
    """A scheduler in the same state that can step without the first one noticing.

    Schedulers keep what they have seen in lists, some in tensors that they add to in place; their tables (one
    dimension) never change after `set_timesteps` and are shared.
    """
    twin = copy.copy(scheduler)
    for name, value in vars(scheduler).items():
        if isinstance(value, list):
            setattr(twin, name, list(value))
        elif isinstance(value, Tensor) and value.ndim > 1:
            setattr(twin, name, value.clone())
    return twin


def takes_generator(scheduler: Any) -> bool:
    """Whether its step draws noise from a generator that one can hand it."""
    return "generator" in _step_options(type(scheduler).step)


@cache
def _step_options(step: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(step).parameters)
