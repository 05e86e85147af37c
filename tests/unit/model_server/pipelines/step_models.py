"""Step adapters over the tiny families, the jobs that they are given, and how to run them to the end."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image
from PIL import Image
from torch import Tensor

from model_server.pipelines.flux import FluxStepModel
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import LatentSlot
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.pipelines.stable_diffusion import StableDiffusionStepModel
from model_server.pipelines.stable_diffusion_3 import StableDiffusion3StepModel
from model_server.pipelines.stable_diffusion_xl import StableDiffusionXLStepModel
from tests.unit.model_server.pipelines.families import SIDE, saved

ADAPTERS: dict[str, type[LatentStepModel]] = {
    "sd": StableDiffusionStepModel,
    "sd-inpainting": StableDiffusionStepModel,
    "sdxl": StableDiffusionXLStepModel,
    "sd3": StableDiffusion3StepModel,
    "flux": FluxStepModel,
}
CAPABILITIES = Capabilities(
    name="tiny",
    digest="sha256:" + "0" * 64,
    owner="tests",
    description="",
    scheduler="",
    sizes=((SIDE, SIDE),),
    rendered=None,
    steps=Limits(4, 1, 50),
    guidance=Limits(5.0, 1.0, 20.0),
    output_tokens=1,
)


def stock(name: str, root: Path, scheduler: Any = None, dtype: torch.dtype = torch.float32) -> Any:
    """The family's text-to-image pipeline as diffusers loads it."""
    pipe = AutoPipelineForText2Image.from_pretrained(
        saved(name, root), use_safetensors=True, local_files_only=True, dtype=dtype
    )
    return quiet(pipe if scheduler is None else type(pipe)(**{**pipe.components, "scheduler": scheduler}))


def sibling(kind: Any, pipe: Any) -> Any:
    """The family's pipeline for another task, around the same parts but for the scheduler."""
    return quiet(kind.from_pipe(pipe, scheduler=copy.deepcopy(pipe.scheduler)))


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def adapter(name: str, pipe: Any, **options: Any) -> LatentStepModel:
    """The family's adapter over the parts of a stock pipeline, which goes on for itself."""
    parts = {**pipe.components, "scheduler": copy.deepcopy(pipe.scheduler)}
    return ADAPTERS[name](type(pipe)(**parts), CAPABILITIES, **options)


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "prompt": "a b c",
        "negative_prompt": "x",
        "count": 1,
        "width": SIDE,
        "height": SIDE,
        "steps": 6,
        "guidance": 5.0,
        "seed": 100,
    }
    return Job(**{**values, **changes})


def picture(seed: int = 1) -> Image.Image:
    """A picture without any order, so that nothing equals by chance."""
    return Image.frombytes("RGB", (SIDE, SIDE), random.Random(seed).randbytes(SIDE * SIDE * 3))


def left_half() -> Image.Image:
    """A mask that lets the left half be painted."""
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    return mask


def run(model: LatentStepModel, wanted: Job, rows: int = 0) -> list[LatentSlot]:
    """All slots of a job, done, in a batch of their own."""
    slots = model.begin(wanted)
    while slots[0].done < slots[0].steps:
        model.step(slots, rows)
    return slots


def run_together(model: LatentStepModel, jobs: Sequence[Job], joins: Sequence[int], rows: int = 0) -> list[Tensor]:
    """The final latents of jobs of one picture each; job i joins the common batch before tick `joins[i]`."""
    slots: dict[int, LatentSlot] = {}
    tick = 0
    while len(slots) < len(jobs) or any(slot.done < slot.steps for slot in slots.values()):
        for index, at in enumerate(joins):
            if at == tick:
                slots[index] = model.begin(jobs[index])[0]
        working = [slot for slot in slots.values() if slot.done < slot.steps]
        if working:
            model.step(working, rows)
        tick += 1
    return [slots[index].latents for index in range(len(jobs))]


def generator(seed: int = 100) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)
