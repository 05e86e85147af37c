"""A picture made alone by a step adapter equals the stock pipeline's, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    UniPCMultistepScheduler,
)
from PIL.Image import Image

from model_server.pipelines.latent import LatentStepModel
from tests.unit.model_server.pipelines.families import BETAS, STEP_FAMILIES
from tests.unit.model_server.pipelines.step_models import (
    adapter,
    generator,
    job,
    left_half,
    picture,
    quiet,
    run,
    sibling,
    stock,
)

SCHEDULERS: dict[str, Any] = {
    "DDIM": DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "PNDM": PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1),
    "PNDM with Runge-Kutta": PNDMScheduler(**BETAS, steps_offset=1),
    "Euler": EulerDiscreteScheduler(**BETAS),
    "Euler, v-prediction": EulerDiscreteScheduler(**BETAS, prediction_type="v_prediction"),
    "Euler ancestral": EulerAncestralDiscreteScheduler(**BETAS),
    "DPM++ 2M": DPMSolverMultistepScheduler(**BETAS),
    "DPM++ 2M Karras": DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True),
    "DPM++ 2M SDE": DPMSolverMultistepScheduler(**BETAS, algorithm_type="sde-dpmsolver++"),
    "UniPC": UniPCMultistepScheduler(**BETAS),
    "Heun": HeunDiscreteScheduler(**BETAS),
    "LCM": LCMScheduler(**BETAS),
    "DDPM, clipping unless told": DDPMScheduler(**BETAS),
}


@pytest.fixture(params=SCHEDULERS)
def scheduler(request: pytest.FixtureRequest) -> Any:
    template = SCHEDULERS[request.param]
    return type(template).from_config(template.config)


@pytest.fixture
def sd(scheduler: Any, root: Path) -> Any:
    return stock("sd", root, scheduler)


def call(pipe: Any, **changes: Any) -> dict[str, Any]:
    """The same as `job()` in the words of a stock pipeline."""
    words = {
        "prompt": "a b c",
        "negative_prompt": "x",
        "num_inference_steps": 6,
        "guidance_scale": 5.0,
        "generator": generator(),
        **changes,
    }
    if type(pipe).__name__.startswith("Flux"):
        del words["negative_prompt"]
    return words


def same(model: LatentStepModel, pipe: Any, wanted: Any, **words: Any) -> None:
    """Latents and picture of the job equal those of the stock pipeline."""
    slot = run(model, wanted)[0]
    latents = pipe(**call(pipe, output_type="latent", **words)).images
    assert torch.equal(slot.latents, latents)
    expected: Image = pipe(**call(pipe, **words)).images[0]
    assert model.finish(slot).tobytes() == expected.tobytes()


SIZE = {"width": 32, "height": 32}


def test_from_words_with_every_scheduler(sd: Any) -> None:
    same(adapter("sd", sd), sd, job(), **SIZE)


def test_from_a_picture_with_every_scheduler(sd: Any) -> None:
    model = adapter("sd", sd)
    pipe = sibling(AutoPipelineForImage2Image, sd)
    wanted = job(task="edit", images=(picture(),), strength=0.7)
    same(model, pipe, wanted, image=picture(), strength=0.7)
    assert run(model, wanted)[0].steps < run(model, job())[0].steps


@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_under_a_mask_with_every_scheduler(sd: Any, strength: float) -> None:
    model = adapter("sd", sd)
    pipe = sibling(AutoPipelineForInpainting, sd)
    wanted = job(task="edit", images=(picture(),), mask=left_half(), strength=strength)
    same(model, pipe, wanted, image=picture(), mask_image=left_half(), strength=strength, **SIZE)


@pytest.mark.parametrize("name", STEP_FAMILIES)
def test_from_words_in_every_family(name: str, root: Path) -> None:
    pipe = stock(name, root)
    same(adapter(name, pipe), pipe, job(), **SIZE)


@pytest.mark.parametrize("name", STEP_FAMILIES)
def test_in_bfloat16_too(name: str, root: Path) -> None:
    pipe = stock(name, root, dtype=torch.bfloat16)
    model = adapter(name, pipe)
    same(model, pipe, job(), **SIZE)
    size = SIZE if name in ("sd3", "flux") else {}
    varied = job(task="vary", images=(picture(),), strength=0.6)
    same(model, sibling(AutoPipelineForImage2Image, pipe), varied, image=picture(), strength=0.6, **size)


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3"])
def test_without_guidance_and_without_a_negative_prompt(name: str, root: Path) -> None:
    pipe = stock(name, root)
    same(adapter(name, pipe), pipe, job(guidance=1.0), guidance_scale=1.0, **SIZE)
    same(adapter(name, pipe), pipe, job(negative_prompt=""), negative_prompt=None, **SIZE)


@pytest.mark.parametrize("name", STEP_FAMILIES)
def test_from_a_picture_in_every_family(name: str, root: Path) -> None:
    pipe = stock(name, root)
    model = adapter(name, pipe)
    wanted = job(prompt="", task="vary", images=(picture(),), strength=0.6)
    words = SIZE if name in ("sd3", "flux") else {}
    same(model, sibling(AutoPipelineForImage2Image, pipe), wanted, prompt="", image=picture(), strength=0.6, **words)


@pytest.mark.parametrize("name", STEP_FAMILIES)
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_under_a_mask_in_every_family(name: str, strength: float, root: Path) -> None:
    pipe = stock(name, root)
    model = adapter(name, pipe)
    wanted = job(task="edit", images=(picture(),), mask=left_half(), strength=strength)
    masked = sibling(AutoPipelineForInpainting, pipe)
    words = call(masked, image=picture(), mask_image=left_half(), strength=strength, **SIZE)
    # Latents only: diffusers 0.42 leaves SD3's shift out when it decodes an inpainted picture.
    assert torch.equal(run(model, wanted)[0].latents, masked(output_type="latent", **words).images)


def test_a_net_of_nine_channels_fills_masks_as_the_stock_pipeline(root: Path) -> None:
    pipe = stock("sd-inpainting", root)
    masked = quiet(StableDiffusionInpaintPipeline(**pipe.components, requires_safety_checker=False))
    wanted = job(task="edit", images=(picture(),), mask=left_half(), strength=1.0)
    same(adapter("sd-inpainting", pipe), masked, wanted, image=picture(), mask_image=left_half(), strength=1.0, **SIZE)


def test_a_net_of_nine_channels_draws_from_words_too(root: Path) -> None:
    model = adapter("sd-inpainting", stock("sd-inpainting", root))
    first, second = (model.finish(run(model, job(prompt=prompt))[0]).tobytes() for prompt in ("a", "z"))
    assert first != second


def test_several_pictures_of_a_job_equal_those_of_one_stock_call(root: Path) -> None:
    pipe = stock("sd", root)
    slots = run(adapter("sd", pipe), job(count=3))
    words = call(pipe, num_images_per_prompt=3, generator=[generator(100 + index) for index in range(3)], **SIZE)
    latents = pipe(output_type="latent", **words).images
    assert torch.equal(torch.cat([slot.latents for slot in slots]), latents)


def test_flux_steers_away_from_a_negative_prompt_when_the_operator_says_so(root: Path) -> None:
    pipe = stock("flux", root)
    steered = run(adapter("flux", pipe, negative_guidance=4.0), job())[0].latents
    words = call(pipe, output_type="latent", **SIZE) | {"negative_prompt": "x", "true_cfg_scale": 4.0}
    expected = pipe(**words).images  # in two passes of one row there, in one of two here
    assert (steered - expected).abs().max() / expected.abs().max() < 3e-6
    assert not torch.equal(steered, run(adapter("flux", pipe), job())[0].latents)
