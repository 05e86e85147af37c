"""From noise to picture with the embedded net: Euler steps along the flow, with classifier-free guidance.

The net predicts the clean picture x; the flow's velocity is (x - z) / (1 - t). Each slot carries its own time, step
count and guidance, so that slots of different requests can share one forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_server.embedded.conditions import SOURCE_VALUES
from model_server.embedded.net import PixelTransformer

_SMALLEST_REST = 0.05
"""1 - t is held above this, as in training, so that the last velocity stays finite."""


@dataclass(slots=True)
class PixelSlot:
    """One picture in the making. `noisy` and `guess` are (3, S, S) in -1..1, time runs from 0 to 1 over `steps`."""

    ids: Tensor
    negative_ids: Tensor
    noisy: Tensor
    guess: Tensor
    steps: int
    guidance: float
    done: int = 0


def new_slot(
    net: PixelTransformer, ids: list[int], negative_ids: list[int], seed: int, steps: int, guidance: float
) -> PixelSlot:
    """A slot at time 0: noise of `seed`, from a generator of its own on the CPU."""
    size = net.shape.size_pixels
    noise = torch.randn(3, size, size, generator=torch.Generator("cpu").manual_seed(seed)) * net.shape.noise_scale
    return PixelSlot(torch.tensor(ids), torch.tensor(negative_ids), noise, torch.zeros_like(noise), steps, guidance)


def denoise(net: PixelTransformer, slots: Sequence[PixelSlot]) -> None:
    """One step of every slot, in place. Slots whose steps are done are left alone."""
    active = [slot for slot in slots if slot.done < slot.steps]
    if not active:
        return
    with torch.inference_mode():
        noisy = torch.stack([slot.noisy for slot in active])
        now = torch.tensor([slot.done / slot.steps for slot in active])
        then = torch.tensor([(slot.done + 1) / slot.steps for slot in active])
        ids = torch.stack([slot.ids for slot in active] + [slot.negative_ids for slot in active])
        twice = torch.cat([noisy, noisy])
        known = torch.zeros_like(twice)  # text to picture: nothing is given, everything is painted
        mask = torch.ones_like(twice[:, :1])
        source = torch.zeros(len(twice), SOURCE_VALUES)
        layout = torch.zeros(len(twice), net.shape.patches, net.shape.layout_width)
        with torch.autocast("cpu", torch.bfloat16):
            guesses = net(twice, known, mask, torch.cat([now, now]), ids, source, layout).float()
        wanted, unwanted = guesses.chunk(2)
        guidance = torch.tensor([slot.guidance for slot in active])[:, None, None, None]
        guess = unwanted + guidance * (wanted - unwanted)
        rest = (1 - now)[:, None, None, None].clamp(min=_SMALLEST_REST)
        noisy = noisy + (then - now)[:, None, None, None] * (guess - noisy) / rest
    for row, slot in enumerate(active):
        slot.noisy, slot.guess = noisy[row], guess[row]
        slot.done += 1
