"""How much memory a model needs, told from its files before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from model_server.loading.folder import ModelFolder

DTYPE_BYTES: Final[Mapping[str, int]] = {"float32": 4, "bfloat16": 2, "float16": 2}

_LIVE_MAPS: Final = 3
"""Of full size, while a decoder's last block adds its shortcut: what goes in, what comes out, and the shortcut."""
_USUAL_WIDTH: Final = 256
"""Channels of the decoders of all Stable Diffusion and FLUX families in their last but one block."""


def weights_bytes(folder: ModelFolder, dtype: str) -> int:
    """Of all parts in that number type."""
    return folder.parameters * DTYPE_BYTES[dtype]


def decode_peak_bytes(folder: ModelFolder, sizes: tuple[tuple[int, int], ...], dtype: str) -> int:
    """An estimate of what decoding one picture of the largest size takes beside the weights, untiled.

    Decoding is the peak of a step-engine model's work at small batches; what the engine really meets it measures.
    """
    widths = folder.setting("vae", "block_out_channels", [_USUAL_WIDTH])
    size = DTYPE_BYTES[dtype]
    widened = folder.pipeline_class.startswith("StableDiffusionXL") and folder.setting("vae", "force_upcast")
    if dtype == "float16" and widened:
        size = DTYPE_BYTES["float32"]
    largest = max(width * height for width, height in sizes)
    return largest * int(widths[min(1, len(widths) - 1)]) * size * _LIVE_MAPS
