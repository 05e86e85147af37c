"""Which path a folder's model takes: a step adapter, or the whole pipeline in one call; and which sizes it can make.

Told from class names and settings, so that nothing needs to be loaded to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from model_server.errors import ModelRefused
from model_server.loading.folder import ModelFolder
from model_server.pipelines.port import Limits

StepFamily = Literal["sd", "sdxl", "sd3", "flux"]
STEP_FAMILIES: tuple[StepFamily, ...] = get_args(StepFamily)

_CLASSES: Mapping[StepFamily, str] = {
    "sd": "StableDiffusion",
    "sdxl": "StableDiffusionXL",
    "sd3": "StableDiffusion3",
    "flux": "Flux",
}
_DENOISERS: Mapping[StepFamily, tuple[str, str]] = {
    "sd": ("unet", "UNet2DConditionModel"),
    "sdxl": ("unet", "UNet2DConditionModel"),
    "sd3": ("transformer", "SD3Transformer2DModel"),
    "flux": ("transformer", "FluxTransformer2DModel"),
}
_ENCODERS: Mapping[StepFamily, tuple[str, ...]] = {
    "sd": ("text_encoder",),
    "sdxl": ("text_encoder", "text_encoder_2"),
    "sd3": ("text_encoder", "text_encoder_2"),
    "flux": ("text_encoder", "text_encoder_2"),
}
_GUIDANCE: Mapping[StepFamily | Literal["other"], Limits] = {
    "sd": Limits(7.5, 1.0, 20.0),
    "sdxl": Limits(5.0, 1.0, 20.0),
    "sd3": Limits(7.0, 1.0, 20.0),
    "flux": Limits(3.5, 1.0, 10.0),
    "other": Limits(5.0, 1.0, 20.0),
}
"""Each family's own default, as its stock pipeline has it."""
_USUAL_BLOCKS = (1, 1, 1, 1)
"""As many as nearly all decoders have: 8 pixels a latent."""
_FLUX_SAMPLE = 128
"""Of the stock pipeline; the transformer's settings have none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`family` None: the whole pipeline, one call at a time. `why` is for people."""

    family: StepFamily | None
    why: str
    factor: int
    """Sizes must be multiples of this many pixels."""
    own_size: tuple[int, int]
    guidance: Limits

    @property
    def path(self) -> str:
        """In words."""
        return "whole pipeline, one call at a time" if self.family is None else f"step engine ({self.family})"


def choose(folder: ModelFolder, family: str = "auto") -> Choice:
    """The path that the model takes. `family` may force one. Raises ModelRefused when it can't be that one."""
    if family == "other":
        return _choice(folder, None, "asked for in the settings")
    found, reason = _fitting(folder)
    if family != "auto" and family != found:
        raise ModelRefused(
            f"family: expected a model of {family}, got {folder.pipeline_class}" + (f" ({reason})" if reason else "")
        )
    return _choice(folder, found, reason or f"{folder.pipeline_class} has a step adapter")


def check_sizes(choice: Choice, sizes: tuple[tuple[int, int], ...]) -> None:
    """Raises ModelRefused when the model can't make one of the sizes."""
    for width, height in sizes:
        if width % choice.factor or height % choice.factor:
            raise ModelRefused(f"sizes: expected multiples of {choice.factor}, got {width}x{height}")


def _fitting(folder: ModelFolder) -> tuple[StepFamily | None, str]:
    """The family whose adapter fits, or why none does."""
    name = folder.pipeline_class
    family = next(
        (key for key in STEP_FAMILIES if name in {_CLASSES[key] + task for task in ("Pipeline", *_SIBLINGS)}), None
    )
    if family is None:
        return None, f"{name} has no step adapter"
    component, denoiser = _DENOISERS[family]
    if folder.components.get(component) != denoiser or folder.components.get("vae") != "AutoencoderKL":
        return None, f"its denoiser or decoder is not of the usual class ({denoiser}, AutoencoderKL)"
    if missing := [part for part in _ENCODERS[family] if folder.components.get(part) is None]:
        return None, f"it has no {missing[0]}"
    if folder.setting(name, "requires_aesthetics_score"):
        return None, "it is a refiner"
    latents = folder.setting("vae", "latent_channels", 4)
    channels = folder.setting(component, "in_channels", 4)
    known = {4 * latents} if family == "flux" else {latents, 2 * latents + 1} if family != "sd3" else {latents}
    if channels not in known:
        return None, f"its denoiser takes {channels} channels"
    return family, ""


_SIBLINGS = ("Img2ImgPipeline", "InpaintPipeline")


def _choice(folder: ModelFolder, family: StepFamily | None, why: str) -> Choice:
    deep = folder.setting("vae", "encoder_block_out_channels")  # of the deep-compression decoders, 32 pixels a latent
    blocks = deep or folder.setting("vae", "block_out_channels", _USUAL_BLOCKS)
    latent = 2 ** (len(blocks) - 1)
    denoiser = "transformer" if "transformer" in folder.settings else "unet"
    sample = folder.setting(denoiser, "sample_size", _FLUX_SAMPLE if family in ("flux", None) else 64)
    rows, columns = sample if isinstance(sample, list) else (sample, sample)
    factor = latent
    if family == "flux":
        factor, rows, columns = 2 * latent, _FLUX_SAMPLE, _FLUX_SAMPLE
    elif family == "sd3":
        factor = latent * int(folder.setting(denoiser, "patch_size", 2))
    return Choice(family, why, factor, (columns * latent, rows * latent), _GUIDANCE[family or "other"])
