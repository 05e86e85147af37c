"""The compat path: any text-to-image pipeline that diffusers can load from a folder, one call at a time.

A model folder comes from outside. It is loaded from disk only, from safetensors only (a pickle runs code as it is
read), and every component must be a class of diffusers or transformers themselves: no code of the folder runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from PIL.Image import Image
from transformers.utils import logging as transformers_logging

from model_server.errors import ModelRefused
from model_server.manifest import check_manifest
from model_server.observe import silence_libraries
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.wire import MAX_SEED

_TRUSTED_LIBRARIES = frozenset({"diffusers", "transformers"})
_STEPS = Limits(default=30, minimum=1, maximum=150)
_GUIDANCE = Limits(default=7.0, minimum=1.0, maximum=20.0)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class DiffusersCallModel:
    """Drives a whole diffusers pipeline; previews are its latents decoded as they are."""

    def __init__(self, pipe: Any, capabilities: Capabilities, device: str) -> None:
        self._pipe = pipe
        self._capabilities = capabilities
        self._device = device

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def count_tokens(self, prompt: str) -> int:
        tokenizer = getattr(self._pipe, "tokenizer", None)
        return 0 if tokenizer is None else len(tokenizer(prompt, truncation=True).input_ids)

    def call(self, job: Job, after_step: Callable[[int, Callable[[], list[Image]]], None]) -> list[Image]:
        # On the CPU whatever the device, so that the same seed gives the same noise everywhere.
        seeds = [(job.seed + index) % (MAX_SEED + 1) for index in range(job.count)]
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

        def on_step_end(pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            after_step(step + 1, lambda: self._decode(tensors["latents"]))
            return tensors

        with torch.inference_mode():
            result = self._pipe(
                prompt=job.prompt,
                negative_prompt=job.negative_prompt or None,
                num_images_per_prompt=job.count,
                width=job.width,
                height=job.height,
                num_inference_steps=job.steps,
                guidance_scale=job.guidance,
                generator=generators,
                callback_on_step_end=on_step_end,
                callback_on_step_end_tensor_inputs=["latents"],
                output_type="pil",
            )
        return list(result.images)

    def _decode(self, latents: Any) -> list[Image]:
        vae = self._pipe.vae
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        pixels = vae.decode(latents / vae.config.scaling_factor + shift, return_dict=False)[0]
        return list(self._pipe.image_processor.postprocess(pixels, output_type="pil"))


def load_pipeline(
    folder: Path, *, name: str, sizes: tuple[tuple[int, int], ...], device: str, dtype: str, expected_digest: str = ""
) -> DiffusersCallModel:
    """Check the folder, then load it. Raises ModelRefused; its message names the file, never runs or quotes it."""
    digest = check_manifest(folder, expected_digest)
    _check_components(folder)
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    silence_libraries()
    try:
        pipe = AutoPipelineForText2Image.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=_DTYPES[dtype]
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelRefused(
            f"diffusers can't load the folder from safetensors alone ({type(error).__name__})"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    own = _own_size(pipe)
    factor = int(getattr(pipe, "vae_scale_factor", 8))
    capabilities = Capabilities(
        name=name or folder.name,
        digest=digest,
        owner="organisation",
        description=f"{type(pipe).__name__}, run by diffusers.",
        scheduler=type(pipe.scheduler).__name__,
        sizes=sizes or (own,),
        rendered=None,
        steps=_STEPS,
        guidance=_GUIDANCE,
        output_tokens=(own[0] // factor) * (own[1] // factor),
    )
    return DiffusersCallModel(pipe, capabilities, device)


def _check_components(folder: Path) -> None:
    """Refuse whatever could make a loader run code that came with the weights."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise ModelRefused("the folder has no model_index.json: it is not a diffusers pipeline")
    content = json.loads(index.read_text(encoding="utf-8"))
    if not isinstance(content.get("_class_name"), str):
        raise ModelRefused("model_index.json names a pipeline class of its own: code from a model folder is never run")
    for key, value in content.items():
        if key.startswith("_") or not isinstance(value, list):
            continue
        if value[0] is not None and value[0] not in _TRUSTED_LIBRARIES:
            raise ModelRefused(f"model_index.json: component {key} is of library {value[0]!r}, which is not trusted")
    if code := sorted(path.name for path in folder.rglob("*.py")):
        raise ModelRefused(f"the folder holds code ({code[0]}); a model is weights and settings only")
    for config in folder.rglob("config.json"):
        if "auto_map" in json.loads(config.read_text(encoding="utf-8")):
            raise ModelRefused(f"{config.relative_to(folder)} asks for code of its own (auto_map)")


def _own_size(pipe: Any) -> tuple[int, int]:
    denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
    sample = getattr(getattr(denoiser, "config", None), "sample_size", None) or 64
    side = (sample if isinstance(sample, int) else sample[0]) * int(getattr(pipe, "vae_scale_factor", 8))
    return side, side
