"""The step adapter of Stable Diffusion 1 and 2: a U-Net told of the prompt by one CLIP encoder."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import Conditions
from model_server.pipelines.port import Job


class StableDiffusionStepModel(LatentStepModel):
    """Drives StableDiffusionPipeline's parts, with four latent channels or with the nine of an inpainting net."""

    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        guided = self._is_guided(job)
        wanted, unwanted = self._from_text.encode_prompt(job.prompt, device, 1, guided, job.negative_prompt or None)
        extra = self._guidance_as_condition(job, wanted)
        return {"encoder_hidden_states": wanted} | extra, {"encoder_hidden_states": unwanted} if guided else None

    def _is_guided(self, job: Job) -> bool:
        """Whether the negative prompt gets a row of its own. A distilled net is told of the guidance instead."""
        return job.guidance > 1 and self._denoiser.config.time_cond_proj_dim is None

    def _guidance_as_condition(self, job: Job, embeddings: Tensor) -> Conditions:
        width = self._denoiser.config.time_cond_proj_dim
        if width is None:
            return {}
        guidance = self._from_text.get_guidance_scale_embedding(torch.tensor([job.guidance - 1]), embedding_dim=width)
        return {"timestep_cond": guidance.to(embeddings)}

    def _forward(self, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        output: Tensor = self._denoiser(latents, timesteps, return_dict=False, **conditions)[0]
        return output

    def _picture(self, pixels: Tensor) -> Image.Image:
        # A folder with a safety checker means it: what it finds comes out black, previews too.
        pixels, found = self._from_text.run_safety_checker(pixels, pixels.device, pixels.dtype)
        shown = [not flagged for flagged in found] if found is not None else [True]
        processor = self._from_text.image_processor
        picture: Image.Image = processor.postprocess(pixels, output_type="pil", do_denormalize=shown)[0]
        return picture
