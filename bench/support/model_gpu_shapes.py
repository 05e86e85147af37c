"""Denoisers of full size with random weights, behind the real step adapters: a step costs the same whatever they say.

The text encoders are left out, and so is the decoder within a run: each works once a picture, under every policy alike,
and the decoder is measured by itself. The shapes are those of Stable Diffusion XL 1.0 and FLUX.1-dev.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import Tensor

from model_server.pipelines.flux import FluxStepModel
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import Conditions
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.pipelines.stable_diffusion_xl import StableDiffusionXLStepModel


@dataclass(frozen=True, slots=True)
class Shape:
    """One family: its name, and what makes a model of it on a device. Tiny ones show that the script works."""

    name: str
    build: Callable[[str, bool], LatentStepModel]


class _Sdxl(StableDiffusionXLStepModel):
    """Told of a prompt that nobody wrote: 77 tokens of noise."""

    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        config, dtype = self._denoiser.config, self._denoiser.dtype
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        size = (job.height, job.width)
        told = {
            "encoder_hidden_states": _noise(1, 77, config.cross_attention_dim, device=device, dtype=dtype),
            "text_embeds": _noise(1, pooled, device=device, dtype=dtype),
            "time_ids": torch.tensor([[*size, 0, 0, *size]], device=device, dtype=dtype),
        }
        return told, dict(told)


class _Flux(FluxStepModel):
    """Told of a prompt that nobody wrote: 512 tokens of noise."""

    def _conditions(self, job: Job, _prompt: str, device: torch.device) -> Conditions:
        config, dtype, pipe = self._denoiser.config, self._denoiser.dtype, self._from_text
        patch = pipe.vae_scale_factor * 2
        places = pipe._prepare_latent_image_ids(1, job.height // patch, job.width // patch, device, dtype)
        return {
            "encoder_hidden_states": _noise(1, 512, config.joint_attention_dim, device=device, dtype=dtype),
            "pooled_projections": _noise(1, config.pooled_projection_dim, device=device, dtype=dtype),
            "txt_ids": torch.zeros(1, 512, 3, device=device, dtype=dtype),
            "img_ids": places[None],
            "guidance": torch.full([1], job.guidance, device=device, dtype=torch.float32),
        }


def _noise(*shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, device=device, dtype=dtype)


def _capabilities(name: str, device: str) -> Capabilities:
    return Capabilities(
        name=name,
        digest="sha256:" + "0" * 64,
        owner="bench",
        description="Random weights.",
        scheduler="euler",
        sizes=((512, 512),),
        rendered=None,
        steps=Limits(8, 1, 1000),
        guidance=Limits(5.0, 1.0, 20.0),
        output_tokens=1,
        device=device,
    )


def _made(device: str, tiny: bool, build: Callable[[], Any]) -> Any:
    """A module on the device, in bf16 there: never once in float32, which would take twice the memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if tiny else torch.bfloat16)
    try:
        with torch.device(device):
            return build().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def _decoder(channels: int, tiny: bool, **config: Any) -> AutoencoderKL:
    widths = (32, 32, 32, 32) if tiny else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if tiny else 2,
        latent_channels=channels,
        **config,
    )


def _sdxl(device: str, tiny: bool) -> LatentStepModel:
    widths: dict[str, Any] = {
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    if tiny:
        widths = {
            "block_out_channels": (32, 64, 64),
            "transformer_layers_per_block": 1,
            "attention_head_dim": 8,
            "cross_attention_dim": 64,
            "addition_time_embed_dim": 16,
            "projection_class_embeddings_input_dim": 160,
        }
    unet = _made(
        device,
        tiny,
        lambda: UNet2DConditionModel(
            sample_size=128,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            **widths,
        ),
    )
    pipe = StableDiffusionXLPipeline(
        vae=_made(device, tiny, lambda: _decoder(4, tiny)),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    )
    return _Sdxl(pipe, _capabilities("SDXL-shaped", device))


def _flux(device: str, tiny: bool) -> LatentStepModel:
    widths: dict[str, Any] = {}  # the class's own defaults are FLUX.1's
    if tiny:
        widths = {
            "num_layers": 1,
            "num_single_layers": 1,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 64,
            "pooled_projection_dim": 32,
            "axes_dims_rope": (4, 4, 8),
        }
    decoder = {"shift_factor": 0.1159, "scaling_factor": 0.3611, "use_quant_conv": False, "use_post_quant_conv": False}
    pipe = FluxPipeline(
        transformer=_made(device, tiny, lambda: FluxTransformer2DModel(guidance_embeds=True, **widths)),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=_made(device, tiny, lambda: _decoder(16, tiny, **decoder)),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
    )
    return _Flux(pipe, _capabilities("FLUX-shaped", device))


SHAPES = (Shape("SDXL-shaped", _sdxl), Shape("FLUX-shaped", _flux))


class OnCard:
    """A model at one size, whose step is over when it returns: a card's work is put in its queue and goes on by itself,
    and a clock that does not wait for it measures the queue."""

    def __init__(self, model: LatentStepModel, pixels: int) -> None:
        self.model = model
        self.pixels = pixels
        own = model.capabilities
        self.capabilities = Capabilities(
            name=own.name,
            digest=own.digest,
            owner=own.owner,
            description=own.description,
            scheduler=own.scheduler,
            sizes=((pixels, pixels),),
            rendered=None,
            steps=own.steps,
            guidance=own.guidance,
            output_tokens=1,
            device=own.device,
        )
        self._picture = Image.new("RGB", (1, 1))

    def job(self, steps: int, seed: int = 0) -> Job:
        """One picture of this size."""
        return Job("", "", 1, self.pixels, self.pixels, steps, 5.0, seed)

    def count_tokens(self, _prompt: str) -> int:
        return 0

    def shape(self, job: Job) -> Hashable:
        return self.model.shape(job)

    def begin(self, job: Job) -> list[Any]:
        return list(self.model.begin(job))

    def step(self, slots: Sequence[Any], rows: int = 0) -> None:
        self.model.step(slots, rows)
        self.wait()

    def wait(self) -> None:
        """Until the card has done all that it was given."""
        if self.capabilities.device.startswith("cuda"):
            torch.cuda.synchronize()

    def preview(self, _slot: Any) -> Image.Image:
        return self._picture

    def finish(self, _slot: Any) -> Image.Image:
        return self._picture

    def decode(self) -> None:
        """One whole picture from latents, as `finish` of the adapter does it, without making a file of it."""
        vae = self.model._from_text.vae
        side = self.pixels // 8
        with torch.inference_mode():
            vae.decode(_noise(1, vae.config.latent_channels, side, side, device=vae.device, dtype=vae.dtype))
        self.wait()
