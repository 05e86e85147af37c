"""Draw many pictures with the net, as the server does it, for measuring and for human eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model_server.embedded import conditions
from model_server.embedded.net import PixelTransformer
from model_server.embedded.sampler import Wish, denoise, new_slot
from model_server.embedded.text import Tokenizer

_BATCH = 16

Painted = tuple[str, tuple[float, float, float, float]]
"""A region of a sketch: its label and its box (left, top, right, bottom, in shares of the side)."""


@dataclass(frozen=True, slots=True)
class Artist:
    """A net with its words, and how it draws."""

    net: PixelTransformer
    tokenizer: Tokenizer
    steps: int = 24
    guidance: float = 3.0

    def wish(
        self,
        prompt: str,
        *,
        canvas: Tensor | None = None,
        mask: Tensor | None = None,
        strength: float = 1.0,
        source: Tensor | None = None,
        regions: Sequence[Painted] = (),
    ) -> Wish:
        """What to draw. `source` is a picture, `regions` are painted lowest first."""
        encode = self.tokenizer.encode
        return Wish(
            encode(conditions.sketch_prompt(prompt, [label for label, _ in regions])),
            encode(""),
            canvas,
            mask,
            strength,
            source=None if source is None else source_of(source),
            layout=self._layout(regions) if regions else None,
        )

    def draw(self, wishes: Sequence[Wish], seed: int = 0) -> Tensor:
        """One picture a wish, (N, 3, S, S) in -1..1; picture i from the noise of `seed + i`."""
        pictures: list[Tensor] = []
        for start in range(0, len(wishes), _BATCH):
            slots = [
                new_slot(self.net, wish, seed + start + row, self.steps, self.guidance)
                for row, wish in enumerate(wishes[start : start + _BATCH])
            ]
            while any(slot.done < slot.steps for slot in slots):
                denoise(self.net, slots)
            pictures.extend(slot.noisy for slot in slots)
        return torch.stack(pictures).clamp(-1, 1)

    def _layout(self, regions: Sequence[Painted]) -> Tensor:
        cells, table = conditions.blank_cells(), self.net.table.weight.detach().numpy()
        for number, (_, box) in enumerate(regions):
            conditions.paint_box(cells, number, box)
        vectors = [conditions.label_vector(table, self.tokenizer.encode(label)) for label, _ in regions]
        return torch.from_numpy(conditions.layout_values(cells, np.stack(vectors)))


def source_of(picture: Tensor) -> Tensor:
    """The picture (3, S, S) as the net reads a source."""
    return torch.from_numpy(conditions.source_values(picture.permute(1, 2, 0).numpy()))


def box_mask(size: int, box: Sequence[float]) -> Tensor:
    """(1, size, size) with 1 inside the box: left, top, right, bottom in shares of the side."""
    mask = torch.zeros(1, size, size)
    left, top, right, bottom = (round(edge * size) for edge in box)
    mask[:, top:bottom, left:right] = 1
    return mask


def to_image(pixels: Tensor) -> Image.Image:
    """(3, S, S) in -1..1 as a picture."""
    levels = ((pixels + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())
