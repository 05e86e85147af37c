"""The adapter of the embedded model: pixels all the way, so decoding is only rounding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from model_server.embedded.package import EmbeddedModel
from model_server.embedded.sampler import PixelSlot, denoise, new_slot
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.wire import MAX_SEED

_SIZES = ((512, 512), (256, 256), (1024, 1024))
_STEPS = Limits(default=24, minimum=1, maximum=100)
_GUIDANCE = Limits(default=3.0, minimum=1.0, maximum=10.0)


class EmbeddedStepModel:
    """Drives the embedded net for the engine, one step of many slots at a time."""

    def __init__(self, model: EmbeddedModel, name: str = "") -> None:
        self._model = model
        side = model.net.shape.size_pixels
        self._capabilities = Capabilities(
            name=name or model.name,
            digest=model.digest,
            owner="imprimatur",
            description=(
                f"A small model trained on open emoji artwork. It draws single, common things at {side} pixels; "
                "the size asked for is scaled up smoothly from that."
            ),
            scheduler="flow-euler",
            sizes=_SIZES,
            rendered=(side, side),
            steps=_STEPS,
            guidance=_GUIDANCE,
            output_tokens=(side // model.net.shape.patch_pixels) ** 2,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def count_tokens(self, prompt: str) -> int:
        return self._model.tokenizer.count(prompt)

    def begin(self, job: Job) -> list[PixelSlot]:
        encode = self._model.tokenizer.encode
        ids, negative_ids = encode(job.prompt), encode(job.negative_prompt)
        seeds = [(job.seed + index) % (MAX_SEED + 1) for index in range(job.count)]
        return [new_slot(self._model.net, ids, negative_ids, seed, job.steps, job.guidance) for seed in seeds]

    def step(self, slots: Sequence[PixelSlot]) -> None:
        denoise(self._model.net, slots)

    def preview(self, slot: PixelSlot) -> Image.Image:
        return _to_image(slot.guess)

    def finish(self, slot: PixelSlot) -> Image.Image:
        return _to_image(slot.noisy)


def _to_image(pixels: Tensor) -> Image.Image:
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())
