"""The step adapter of Stable Diffusion XL: a U-Net told of the prompt by two CLIP encoders, and of the size."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import Conditions
from model_server.pipelines.port import Job
from model_server.pipelines.stable_diffusion import StableDiffusionStepModel


class StableDiffusionXLStepModel(StableDiffusionStepModel):
    """Drives StableDiffusionXLPipeline's parts."""

    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        pipe, guided = self._from_text, self._is_guided(job)
        # None, not "": the net may have been trained with zeros for a prompt that isn't there.
        wanted, unwanted, pooled, unwanted_pooled = pipe.encode_prompt(
            job.prompt, None, device, 1, guided, job.negative_prompt or None
        )
        size = (job.height, job.width)
        time_ids = pipe._get_add_time_ids(
            size, (0, 0), size, wanted.dtype, pipe.text_encoder_2.config.projection_dim
        ).to(device)  # fmt: skip
        extra = self._guidance_as_condition(job, wanted) | {"time_ids": time_ids}
        negative = {"encoder_hidden_states": unwanted, "text_embeds": unwanted_pooled} | extra if guided else None
        return {"encoder_hidden_states": wanted, "text_embeds": pooled} | extra, negative

    def _set_timesteps(self, scheduler: Any, job: Job, device: torch.device) -> None:
        super()._set_timesteps(scheduler, job, device)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)

    def _forward(self, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        added = {name: conditions.pop(name) for name in ("text_embeds", "time_ids")}
        output: Tensor = self._denoiser(latents, timesteps, added_cond_kwargs=added, return_dict=False, **conditions)[0]
        return output

    def _pixels(self, latents: Tensor) -> Tensor:
        vae = self._from_text.vae
        if vae.dtype != torch.float16 or not vae.config.force_upcast:
            return super()._pixels(latents)
        # This family's first decoder overflows in float16; it says so, and is widened for the while.
        vae.to(dtype=torch.float32)
        try:
            return super()._pixels(latents.float())
        finally:
            vae.to(dtype=torch.float16)

    def _picture(self, pixels: Tensor) -> Image.Image:
        return LatentStepModel._picture(self, pixels)  # this family has no safety checker
