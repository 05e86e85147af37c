"""The path of every pipeline without a step adapter: diffusers runs its loop, one call at a time.

Pipelines differ in what they take, so each call is cut to the parameters that its class names. Edits and variations
are there when the class has a sibling for pictures or for masks, which shares its parts.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting
from PIL import Image

from model_server.pipelines.latent import strength_of
from model_server.pipelines.port import Capabilities, Job
from model_server.wire import MAX_SEED, Task

AfterStep = Callable[[int, Callable[[], list[Image.Image]]], None]


class WholeCallModel:
    """Drives a whole diffusers pipeline; previews are its latents decoded as they are."""

    def __init__(self, pipe: Any, capabilities: Capabilities) -> None:
        """Of `capabilities`, tasks and number of input pictures are found out here."""
        self._from_text = pipe
        self._from_image = _sibling(AutoPipelineForImage2Image, pipe)
        self._from_mask = _sibling(AutoPipelineForInpainting, pipe)
        edits = self._from_image is not None or self._from_mask is not None
        tasks: tuple[Task, ...] = ("generate", "edit", "vary") if edits else ("generate",)
        self._capabilities = dataclasses.replace(capabilities, tasks=tasks, max_input_images=int(edits))
        # A copy: counting (any thread) and encoding (the engine's) would change each other's settings.
        self._counter = copy.deepcopy(getattr(pipe, "tokenizer", None))
        self._counting = threading.Lock()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def count_tokens(self, prompt: str) -> int:
        if self._counter is None:
            return 0
        with self._counting:
            return len(self._counter(prompt, truncation=True).input_ids)

    def call(self, job: Job, after_step: AfterStep) -> list[Image.Image]:
        pipe, pictures = self._chosen(job)
        takes = inspect.signature(pipe.__call__).parameters
        together = job.count if "num_images_per_prompt" in takes else 1
        made: list[Image.Image] = []
        done = 0

        def told(latents: Any) -> None:
            nonlocal done
            done += 1
            after_step(done, lambda: _decoded(pipe, latents))

        for first in range(0, job.count, together):
            # On the CPU whatever the device, so that the same seed gives the same noise everywhere.
            seeds = [(job.seed + index) % (MAX_SEED + 1) for index in range(first, first + together)]
            words = {
                "prompt": job.prompt,
                "negative_prompt": job.negative_prompt or None,
                "num_images_per_prompt": together,
                "width": job.width,
                "height": job.height,
                "num_inference_steps": job.steps,
                "guidance_scale": job.guidance,
                "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                "output_type": "pil",
                "use_resolution_binning": False,  # the sizes are the operator's, not the nearest of a training set
                **pictures,
                **_callback(takes, told),
            }
            if words["negative_prompt"] is None:
                del words["negative_prompt"]  # some take "" for none, and some would encode it
            with torch.inference_mode():
                made += pipe(**{name: value for name, value in words.items() if name in takes}).images
        return made

    def _chosen(self, job: Job) -> tuple[Any, dict[str, Any]]:
        """The pipeline for the job, and its pictures in that pipeline's words."""
        if not job.images:
            return self._from_text, {}
        words = {"image": job.images[0], "strength": strength_of(job)}
        if self._from_mask is not None and (job.mask is not None or self._from_image is None):
            mask = job.mask or Image.new("L", (job.width, job.height), 255)
            return self._from_mask, {**words, "mask_image": mask}
        # Without a pipeline for masks the whole picture is made anew; what was not to be painted is put back later.
        return self._from_image, words


def _sibling(kind: Any, pipe: Any) -> Any | None:
    # A scheduler of its own: some classes correct what they find wrong in it, in place.
    own = {"scheduler": copy.deepcopy(pipe.scheduler)} if "scheduler" in pipe.components else {}
    try:
        sibling = kind.from_pipe(pipe, **own)
    except (ValueError, TypeError):  # diffusers has none for this class, or it wants parts that are not here
        return None
    sibling.set_progress_bar_config(disable=True)
    return sibling


def _callback(takes: Any, told: Callable[[Any], None]) -> dict[str, Any]:
    """How this class tells of its steps: the way of now, the way of old, or not at all."""
    if "callback_on_step_end" in takes:

        def on_step_end(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            told(tensors.get("latents"))
            return tensors

        return {"callback_on_step_end": on_step_end, "callback_on_step_end_tensor_inputs": ["latents"]}
    return {"callback": lambda _step, _timestep, latents: told(latents), "callback_steps": 1}


def tells_of_steps(pipeline: Any) -> bool:
    """Whether a pipeline, or its class, can be watched, and stopped, between its steps."""
    takes = inspect.signature(pipeline.__call__).parameters
    return "callback_on_step_end" in takes or "callback" in takes


def _decoded(pipe: Any, latents: Any) -> list[Image.Image]:
    """The latents as pictures; none where only the pipeline itself knows how to unpack them."""
    vae = getattr(pipe, "vae", None)
    channels = getattr(getattr(vae, "config", None), "latent_channels", None)
    if vae is None or latents is None or latents.ndim != 4 or latents.shape[1] != channels:
        return []
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    scale = getattr(vae.config, "scaling_factor", None) or 1.0
    return list(_pictures(pipe, (latents / scale + shift).to(vae.dtype)))


def _pictures(pipe: Any, latents: Any) -> Iterator[Image.Image]:
    for row in latents.split(1):
        pixels = pipe.vae.decode(row, return_dict=False)[0]
        yield from pipe.image_processor.postprocess(pixels, output_type="pil")
