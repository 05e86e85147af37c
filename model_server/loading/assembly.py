"""From a folder that was found fit to a model in memory: number type, device, offload, compilation, adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import diffusers
import torch
from diffusers import AutoPipelineForText2Image
from diffusers import __version__ as diffusers_version
from diffusers.pipelines.auto_pipeline import (
    AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    AUTO_INPAINT_PIPELINES_MAPPING,
    AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    _get_task_class,
)
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from model_server.errors import ModelRefused
from model_server.loading.catalogue import ModelEntry
from model_server.loading.choice import Choice, StepFamily
from model_server.loading.folder import ModelFolder
from model_server.loading.needs import decode_peak_bytes
from model_server.observe import silence_libraries
from model_server.pipelines.flux import FluxStepModel
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.port import Capabilities, Limits
from model_server.pipelines.stable_diffusion import StableDiffusionStepModel
from model_server.pipelines.stable_diffusion_3 import StableDiffusion3StepModel
from model_server.pipelines.stable_diffusion_xl import StableDiffusionXLStepModel
from model_server.pipelines.whole_call import WholeCallModel, tells_of_steps
from model_server.wire import Task

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_STEPS: Final = Limits(default=30, minimum=1, maximum=150)
_STRENGTH: Final = Limits(default=0.75, minimum=0.05, maximum=1.0)
_VARY_STRENGTH: Final = 0.75
_ADAPTERS: Final[Mapping[StepFamily, type[LatentStepModel]]] = {
    "sd": StableDiffusionStepModel,
    "sdxl": StableDiffusionXLStepModel,
    "sd3": StableDiffusion3StepModel,
    "flux": FluxStepModel,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how the model lies: what the settings left to the hardware, decided."""

    device: str
    dtype: str
    offload: str


def place(entry: ModelEntry, folder: ModelFolder, sizes: tuple[tuple[int, int], ...]) -> Placement:
    """Decide device, number type and offload, with room for decoding the largest of the sizes.

    Raises ModelRefused when the settings ask for what the machine hasn't got.
    """
    device = entry.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = device.partition(":")[0]
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not torch.mps.is_available()):
        raise ModelRefused(f"device: this machine has no {kind}")
    dtype = _dtype_of(kind) if entry.dtype == "auto" else entry.dtype
    offload: str = entry.offload
    if kind != "cuda":
        if offload in ("model", "sequential"):
            raise ModelRefused(f"offload: {offload} moves parts between memory and a GPU; the device is {kind}")
        return Placement(device, dtype, "none")
    if offload == "auto":
        free, _total = torch.cuda.mem_get_info(torch.device(device))
        offload = offload_for(free, folder, dtype, decode_peak_bytes(folder, sizes, dtype))
    return Placement(device, dtype, offload)


def _dtype_of(kind: str) -> str:
    """The narrowest type that the hardware is fast and safe in."""
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "float16" if kind == "mps" else "float32"


def offload_for(free_bytes: int, folder: ModelFolder, dtype: str, peak_bytes: int) -> str:
    """The least offload with which weights and work fit into the free memory."""
    size = DTYPES[dtype].itemsize
    parts = [part.parameters * size for part in folder.weights.values()]
    if sum(parts) + peak_bytes <= free_bytes:
        return "none"
    return "model" if max(parts) + peak_bytes <= free_bytes else "sequential"


def tasks_of(folder: ModelFolder, choice: Choice) -> tuple[Task, ...]:
    """What the model will be able to do. Raises ModelRefused when diffusers has no pipeline that could be driven."""
    if choice.family is not None:
        return ("generate", "edit", "vary")
    name = folder.pipeline_class
    pipeline = _get_task_class(AUTO_TEXT2IMAGE_PIPELINES_MAPPING, name, throw_error_if_not_exist=False)
    if pipeline is None:
        raise ModelRefused(f"diffusers {diffusers_version} knows no way from words to pictures by {name}")
    if not tells_of_steps(pipeline):
        raise ModelRefused(f"{name} tells nothing between its steps: it could be neither watched nor stopped")
    siblings = (AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, AUTO_INPAINT_PIPELINES_MAPPING)
    if any(_get_task_class(kind, name, throw_error_if_not_exist=False) for kind in siblings):
        return ("generate", "edit", "vary")
    return ("generate",)


def check_compile(entry: ModelEntry, folder: ModelFolder) -> None:
    """Raises ModelRefused when compilation is asked for and the denoiser doesn't say which of its blocks repeat."""
    if entry.compile == "off":
        return
    name = folder.components.get("transformer") or folder.components.get("unet") or ""
    if not getattr(getattr(diffusers, name, None), "_repeated_blocks", None):
        raise ModelRefused(f"compile: {name} doesn't say which of its blocks are repeated")


def assemble(entry: ModelEntry, folder: ModelFolder, choice: Choice, placement: Placement) -> Any:
    """Load the model. `folder` was found fit, `choice` and `placement` belong to it. Raises ModelRefused.

    A StepModel or a CallModel of the port.
    """
    _be_quiet()
    try:
        pipe = AutoPipelineForText2Image.from_pretrained(
            folder.path,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            variant=folder.variant,
            dtype=DTYPES[placement.dtype],
        )
    except (OSError, ValueError, ImportError, AttributeError, RuntimeError, KeyError, TypeError) as error:
        raise ModelRefused(
            f"diffusers can't load {folder.pipeline_class} from this folder ({type(error).__name__})"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    if placement.offload == "model":
        pipe.enable_model_cpu_offload(device=placement.device)
    elif placement.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=placement.device)
    else:
        pipe.to(placement.device)
    if entry.compile == "repeated_blocks":
        _compile(pipe)
    capabilities = _capabilities(entry, folder, choice, placement, pipe)
    if choice.family is None:
        return WholeCallModel(pipe, capabilities)
    if choice.family == "flux":
        return FluxStepModel(pipe, capabilities, entry.negative_guidance)
    return _ADAPTERS[choice.family](pipe, capabilities)


def _be_quiet() -> None:
    # Their warnings quote prompts, and their progress bars write over the log.
    diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    silence_libraries()


def _compile(pipe: Any) -> None:
    denoiser: Any = getattr(pipe, "transformer", None) or pipe.unet
    denoiser.compile_repeated_blocks()


def _capabilities(
    entry: ModelEntry, folder: ModelFolder, choice: Choice, placement: Placement, pipe: Any
) -> Capabilities:
    sizes = entry.sizes or (choice.own_size,)
    described = f"{folder.pipeline_class}, run by diffusers."
    if choice.family is None:
        described += " One request at a time."
    return Capabilities(
        name=entry.id,
        digest=folder.digest,
        owner=entry.owner,
        description=entry.description or described,
        scheduler=type(pipe.scheduler).__name__,
        sizes=sizes,
        rendered=None,
        steps=entry.steps.limits if entry.steps else _STEPS,
        guidance=entry.guidance.limits if entry.guidance else choice.guidance,
        output_tokens=(sizes[0][0] // choice.factor) * (sizes[0][1] // choice.factor),
        tasks=tasks_of(folder, choice),
        strength=entry.strength.limits if entry.strength else _STRENGTH,
        vary_strength=entry.vary_strength or _VARY_STRENGTH,
        max_input_images=1,
        licence=entry.licence,
        device=placement.device,
    )
