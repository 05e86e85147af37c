"""The step adapter of FLUX: a transformer on rectified flow over packed latents, with guidance distilled into it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from model_server.pipelines.latent import LatentStepModel, strength_of
from model_server.pipelines.latent_slot import Conditions, LatentSlot
from model_server.pipelines.port import Capabilities, Job
from model_server.pipelines.stable_diffusion_3 import flow_shift


class FluxStepModel(LatentStepModel):
    """Drives FluxPipeline's parts. `guidance` is told to the net; a negative prompt needs `negative_guidance`."""

    denoiser_name: ClassVar[str] = "transformer"

    def __init__(self, pipe: Any, capabilities: Capabilities, negative_guidance: float = 1.0) -> None:
        """Above 1, `negative_guidance` steers by the difference to the negative prompt, where a job has one: a second
        row for each of its steps (diffusers' `true_cfg_scale`). At 1 negative prompts do nothing."""
        super().__init__(pipe, capabilities)
        self._negative_guidance = negative_guidance
        self.branches = 2 if negative_guidance > 1 else 1  # type: ignore[misc]  # of this one model, not of all

    @property
    def _fills_masks_only(self) -> bool:
        return False  # that would be FLUX Fill, another family

    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        wanted = self._conditions(job, job.prompt, device)
        if self._negative_guidance <= 1 or not job.negative_prompt:
            return wanted, None
        return wanted, self._conditions(job, job.negative_prompt, device)

    def _conditions(self, job: Job, prompt: str, device: torch.device) -> Conditions:
        pipe = self._from_text
        embeddings, pooled, text_ids = pipe.encode_prompt(prompt, None, device)
        patch = pipe.vae_scale_factor * 2
        image_ids = pipe._prepare_latent_image_ids(1, job.height // patch, job.width // patch, device, embeddings.dtype)
        conditions = {
            "encoder_hidden_states": embeddings,
            "pooled_projections": pooled,
            "txt_ids": text_ids[None],
            "img_ids": image_ids[None],
        }
        if self._denoiser.config.guidance_embeds:
            conditions["guidance"] = torch.full([1], job.guidance, device=device, dtype=torch.float32)
        return conditions

    def _set_timesteps(self, scheduler: Any, job: Job, device: torch.device) -> None:
        patch = self._from_text.vae_scale_factor * 2
        shift = flow_shift(scheduler, (job.height // patch) * (job.width // patch), 1.15)
        if not job.images and scheduler.config.get("use_flow_sigmas"):
            scheduler.set_timesteps(job.steps, device=device, mu=shift)
        else:
            sigmas = np.linspace(1.0, 1 / job.steps, job.steps)
            scheduler.set_timesteps(sigmas=sigmas, device=device, mu=shift)
        scheduler.set_begin_index(0)

    def _noise_again(self, scheduler: Any, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        noisy: Tensor = scheduler.scale_noise(latents, timestep, noise)
        return noisy

    def _start_from_noise(self, slot: LatentSlot, _job: Job, dtype: torch.dtype, device: torch.device) -> None:
        slot.latents, _ = self._from_text.prepare_latents(
            1, self._latent_channels, slot.height, slot.width, dtype, device, slot.generator
        )

    def _start_from_image(self, slot: LatentSlot, job: Job, dtype: torch.dtype, device: torch.device) -> None:
        pipe = self._from_image
        slot.timesteps, _ = pipe.get_timesteps(job.steps, strength_of(job), device)
        picture = pipe.image_processor.preprocess(job.images[0], height=slot.height, width=slot.width)
        slot.latents, _ = pipe.prepare_latents(
            picture.to(torch.float32), slot.timesteps[:1], 1, self._latent_channels,
            slot.height, slot.width, dtype, device, slot.generator,
        )  # fmt: skip

    def _noised_for_mask(
        self, slot: LatentSlot, picture: Tensor, _strength: float, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        latents, noise, known, _ = self._from_mask.prepare_latents(
            picture, slot.timesteps[:1], 1, self._latent_channels,
            slot.height, slot.width, dtype, device, slot.generator,
        )  # fmt: skip
        return latents, noise, known

    def _mask_latents(
        self, slot: LatentSlot, paint: Tensor, hidden: Tensor, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = self._from_mask.prepare_mask_latents(
            paint, hidden, 1, self._latent_channels, 1, slot.height, slot.width, dtype, device, slot.generator
        )
        return both

    def _forward(self, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        places = {name: conditions.pop(name)[0] for name in ("txt_ids", "img_ids")}  # the same for all rows
        output: Tensor = self._denoiser(
            hidden_states=latents,
            timestep=timesteps.to(latents.dtype) / 1000,
            return_dict=False,
            **places,
            **conditions,
        )[0]
        return output

    def _guided(self, slot: LatentSlot, wanted: Tensor, unwanted: Tensor | None) -> Tensor:
        return wanted if unwanted is None else unwanted + self._negative_guidance * (wanted - unwanted)

    def _unpacked(self, latents: Tensor, slot: LatentSlot) -> Tensor:
        pipe = self._from_text
        unpacked: Tensor = pipe._unpack_latents(latents, slot.height, slot.width, pipe.vae_scale_factor)
        return unpacked
