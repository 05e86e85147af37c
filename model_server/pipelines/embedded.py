"""The adapter of the embedded model: pixels all the way, so decoding is only rounding."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model_server.embedded import conditions
from model_server.embedded.package import EmbeddedModel
from model_server.embedded.sampler import PixelSlot, Wish, denoise, new_slot
from model_server.pipelines.port import Capabilities, Job, Limits, Region
from model_server.wire import MAX_SEED

_SIZES = ((512, 512), (256, 256), (1024, 1024))
_STEPS = Limits(default=24, minimum=1, maximum=100)
_GUIDANCE = Limits(default=3.0, minimum=1.0, maximum=10.0)
_STRENGTH = Limits(default=0.85, minimum=0.05, maximum=1.0)
_VARY_STRENGTH = 0.65
_INPUT_IMAGES = 4


class EmbeddedStepModel:
    """Drives the embedded net for the engine, one step of many slots at a time."""

    def __init__(self, model: EmbeddedModel, name: str = "") -> None:
        self._model = model
        self._table = model.net.table.weight.detach().numpy()
        side = model.net.shape.size_pixels
        self._capabilities = Capabilities(
            name=name or model.name,
            digest=model.digest,
            owner="imprimatur",
            description=(
                f"A small model trained on open emoji artwork. It draws single, common things at {side} pixels, edits, "
                "varies and follows sketches; the size asked for is scaled up smoothly from that."
            ),
            scheduler="flow-euler",
            sizes=_SIZES,
            rendered=(side, side),
            steps=_STEPS,
            guidance=_GUIDANCE,
            output_tokens=model.net.shape.patches,
            tasks=("generate", "edit", "vary"),
            strength=_STRENGTH,
            vary_strength=_VARY_STRENGTH,
            max_input_images=_INPUT_IMAGES,
            has_sketch=True,
            licence="Apache-2.0; made from Apache-2.0 and MIT artwork, see NOTICE beside the weights",
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def count_tokens(self, prompt: str) -> int:
        return self._model.tokenizer.count(prompt)

    def shape(self, job: Job) -> Hashable:
        """One for all: every picture is made at the net's own size."""
        return ()

    def begin(self, job: Job) -> list[PixelSlot]:
        wish = self._wish(job)
        seeds = [(job.seed + index) % (MAX_SEED + 1) for index in range(job.count)]
        return [new_slot(self._model.net, wish, seed, job.steps, job.guidance) for seed in seeds]

    def step(self, slots: Sequence[PixelSlot], rows: int = 0) -> None:
        denoise(self._model.net, slots, rows)

    def preview(self, slot: PixelSlot) -> Image.Image:
        return _to_image(slot.guess)

    def finish(self, slot: PixelSlot) -> Image.Image:
        return _to_image(slot.noisy)

    def _wish(self, job: Job) -> Wish:
        side = self._model.net.shape.size_pixels
        encode = self._model.tokenizer.encode
        pictures = [_to_pixels(image, side) for image in job.images]
        # A variation shows the same thing as its picture; an edit's further pictures say what it should come to show.
        examples = pictures if job.task == "vary" else pictures[1:]
        source = torch.stack([_source(picture) for picture in examples]).mean(0) if examples else None
        prompt = conditions.sketch_prompt(job.prompt, [region.label for region in job.regions])
        return Wish(
            ids=encode(prompt),
            negative_ids=encode(job.negative_prompt),
            canvas=pictures[0] if pictures else None,
            mask=None if job.mask is None else _to_mask(job.mask, side),
            strength=job.strength,
            source=source,
            layout=self._layout(job.regions) if job.regions else None,
        )

    def _layout(self, regions: Sequence[Region]) -> Tensor:
        cells = conditions.blank_cells()
        for number, region in enumerate(regions):
            if region.box is not None:
                conditions.paint_box(cells, number, region.box)
            else:
                conditions.paint_stroke(cells, number, region.stroke, region.width)
        encode = self._model.tokenizer.encode
        vectors = [conditions.label_vector(self._table, encode(region.label)) for region in regions]
        return torch.from_numpy(conditions.layout_values(cells, np.stack(vectors)))


def _source(picture: Tensor) -> Tensor:
    return torch.from_numpy(conditions.source_values(picture.permute(1, 2, 0).numpy()))


def _to_image(pixels: Tensor) -> Image.Image:
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def _to_pixels(image: Image.Image, side: int) -> Tensor:
    """(3, side, side) in -1..1."""
    small = image.convert("RGB").resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 127.5 - 1


def _to_mask(mask: Image.Image, side: int) -> Tensor:
    """(1, side, side): 1 where any pixel is to be painted, so that nothing of what is masked is told to the net."""
    small = mask.resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy((np.array(small) > 0).astype(np.float32))[None]
