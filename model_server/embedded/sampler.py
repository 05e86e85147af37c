"""From noise to picture with the embedded net: Euler steps along the flow, with classifier-free guidance.

The net predicts the clean picture x; the flow's velocity is (x - z) / (1 - t). Each slot carries its own time, step
count, guidance and conditions, so that slots of different requests, of whatever kind, share one forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_server.embedded.conditions import SOURCE_VALUES
from model_server.embedded.net import PixelTransformer


@dataclass(frozen=True, slots=True)
class Wish:
    """What a picture is to be. Pictures are (3, S, S) in -1..1 at the net's own size."""

    ids: list[int]
    negative_ids: list[int]
    canvas: Tensor | None = None
    """The picture to start from: kept outside the mask, and seen through the noise when `strength` is below 1."""
    mask: Tensor | None = None
    """(1, S, S), 1 where to paint, 0 where the canvas is kept to the bit; None paints everywhere."""
    strength: float = 1.0
    """Share of the noise laid on the canvas, and so of the steps that are taken. Without a canvas it is 1."""
    source: Tensor | None = None
    """(SOURCE_VALUES,): the picture should show the same thing as this one."""
    layout: Tensor | None = None
    """(patches, layout_width): what stands where."""


@dataclass(slots=True)
class PixelSlot:
    """One picture in the making. `noisy` and `guess` are (3, S, S) in -1..1; `steps` counts those really taken."""

    ids: Tensor
    negative_ids: Tensor
    source: Tensor
    layout: Tensor
    known: Tensor
    mask: Tensor
    noise: Tensor
    noisy: Tensor
    guess: Tensor
    steps: int
    guidance: float
    start: float
    """The time of the first step: 0 is pure noise."""
    keeps: bool
    """Whether some pixels are known and must come back as they are."""
    done: int = 0

    @property
    def time(self) -> float:
        """Where the slot is now, 0 (noise) .. 1 (picture)."""
        return 1.0 if self.done == self.steps else self.start + (1 - self.start) * (self.done / self.steps)


def new_slot(net: PixelTransformer, wish: Wish, seed: int, steps: int, guidance: float) -> PixelSlot:
    """A slot before its first step, with the noise of `seed` from a generator of its own on the CPU."""
    shape = net.shape
    size = shape.size_pixels
    noise = torch.randn(3, size, size, generator=torch.Generator("cpu").manual_seed(seed)) * shape.noise_scale
    # Views of one number: what is absent takes no memory.
    known, mask = torch.zeros(1).expand(3, size, size), torch.ones(1).expand(1, size, size)
    taken, start, noisy = steps, 0.0, noise
    if wish.canvas is not None:
        taken = min(steps, max(1, round(steps * wish.strength)))
        start = 1 - taken / steps
        noisy = start * wish.canvas + (1 - start) * noise
        if wish.mask is not None:
            mask = wish.mask
            known = wish.canvas * (1 - mask)
    return PixelSlot(
        ids=torch.tensor(wish.ids),
        negative_ids=torch.tensor(wish.negative_ids),
        source=torch.zeros(SOURCE_VALUES) if wish.source is None else wish.source,
        layout=torch.zeros(shape.patches, shape.layout_width) if wish.layout is None else wish.layout,
        known=known,
        mask=mask,
        noise=noise,
        noisy=noisy,
        guess=torch.zeros_like(noise) if wish.canvas is None else wish.canvas,
        steps=taken,
        guidance=guidance,
        start=start,
        keeps=wish.canvas is not None and wish.mask is not None,
    )


def denoise(net: PixelTransformer, slots: Sequence[PixelSlot], rows: int = 0) -> None:
    """One step of every slot, in place; slots whose steps are done are left alone.

    `rows` above 0 pads the pass to so many slots. A pass of fixed shape treats each row in the same way whatever the
    others hold, so the result is the same to the bit alone and in any company. Raises ValueError when there are more
    slots than that. Whatever is raised, no slot has moved.
    """
    active = [slot for slot in slots if slot.done < slot.steps]
    if not active:
        return
    if rows and len(active) > rows:
        raise ValueError(f"{len(active)} slots do not fit into {rows} rows")
    with torch.inference_mode():
        padded = active + [active[0]] * (rows - len(active))
        noisy, known, mask = (torch.stack([getattr(slot, name) for slot in padded]) for name in _PIXELS)
        now = torch.tensor([slot.time for slot in padded])
        ids = torch.stack([slot.ids for slot in padded] + [slot.negative_ids for slot in padded])
        # The second half is what guidance steers away from: the same edit with neither prompt, source nor layout.
        source, layout = (_beside_nothing([getattr(slot, name) for slot in padded]) for name in _CONDITIONS)
        with torch.autocast("cpu", torch.bfloat16):
            guesses = net(*(torch.cat([part, part]) for part in (noisy, known, mask, now)), ids, source, layout)
        wanted, unwanted = guesses.float().chunk(2)
        guidance, share = (_columns(values) for values in ([s.guidance for s in padded], [_share(s) for s in padded]))
        guess = unwanted + guidance * (wanted - unwanted)
        noisy = torch.lerp(noisy, guess, share)
    for row, slot in enumerate(active):
        slot.done += 1
        slot.noisy, slot.guess = _kept(slot, noisy[row], slot.time), _kept(slot, guess[row], 1.0)


_PIXELS = ("noisy", "known", "mask")
_CONDITIONS = ("source", "layout")


def _share(slot: PixelSlot) -> float:
    """How much of the way to the guess this step goes: all of what is left, at the last one."""
    return 1 / (slot.steps - slot.done)


def _columns(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None, None]


def _beside_nothing(values: Sequence[Tensor]) -> Tensor:
    some = torch.stack(list(values))
    return torch.cat([some, torch.zeros_like(some)])


def _kept(slot: PixelSlot, pixels: Tensor, time: float) -> Tensor:
    """The pixels with what is known laid over them again, as noisy as the rest is at that time; at 1 it is exact."""
    if not slot.keeps:
        return pixels
    return torch.where(slot.mask > 0, pixels, slot.known if time == 1 else time * slot.known + (1 - time) * slot.noise)
