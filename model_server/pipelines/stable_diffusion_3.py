"""The step adapter of Stable Diffusion 3: a transformer on rectified flow, told of the prompt by three encoders."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift
from torch import Tensor

from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import Conditions
from model_server.pipelines.port import Job


class StableDiffusion3StepModel(LatentStepModel):
    """Drives StableDiffusion3Pipeline's parts."""

    denoiser_name: ClassVar[str] = "transformer"

    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        guided = job.guidance > 1
        wanted, unwanted, pooled, unwanted_pooled = self._from_text.encode_prompt(
            job.prompt, None, None, device,
            do_classifier_free_guidance=guided, negative_prompt=job.negative_prompt or None,
        )  # fmt: skip
        negative = {"encoder_hidden_states": unwanted, "pooled_projections": unwanted_pooled} if guided else None
        return {"encoder_hidden_states": wanted, "pooled_projections": pooled}, negative

    def _set_timesteps(self, scheduler: Any, job: Job, device: torch.device) -> None:
        patch = self._from_text.vae_scale_factor * self._denoiser.config.patch_size
        options = {}
        if scheduler.config.get("use_dynamic_shifting"):
            options["mu"] = flow_shift(scheduler, (job.height // patch) * (job.width // patch), 1.16)
        scheduler.set_timesteps(job.steps, device=device, **options)

    def _noise_again(self, scheduler: Any, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        noisy: Tensor = scheduler.scale_noise(latents, timestep, noise)
        return noisy

    def _mask_latents(
        self, slot: Any, paint: Tensor, hidden: Tensor, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = self._from_mask.prepare_mask_latents(
            paint, hidden, 1, 1, slot.height, slot.width, dtype, device, slot.generator, False
        )
        return both

    def _forward(self, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        output: Tensor = self._denoiser(latents, timestep=timesteps, return_dict=False, **conditions)[0]
        return output


def flow_shift(scheduler: Any, tokens: int, largest: float) -> float:
    """How far larger pictures shift the noise levels (Esser et al. 2024, section 5.3.2). `largest`: unless it says."""
    config = scheduler.config
    shift: float = calculate_shift(
        tokens,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", largest),
    )
    return shift
