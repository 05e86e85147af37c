"""From latents to pictures: previews, decoders that overflow or find no room, safety checkers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from model_server.pipelines.estimate import expected
from model_server.pipelines.latent_slot import Seen, fork
from tests.unit.model_server.pipelines.families import BETAS, STEP_FAMILIES
from tests.unit.model_server.pipelines.step_models import adapter, job, left_half, picture, run, stock

VP, VE = "variance preserving", "variance exploding"


@pytest.mark.parametrize("name", STEP_FAMILIES)
def test_previews_and_the_picture_have_the_size_asked_for(name: str, root: Path) -> None:
    model = adapter(name, stock(name, root))
    slot = model.begin(job(width=48, height=32, steps=3))[0]
    assert model.preview(slot).size == (48, 32)
    model.step([slot])
    first = model.preview(slot)
    assert first.size == (48, 32)
    latents = slot.latents.clone()
    model.step([slot])
    assert not torch.equal(slot.latents, latents)
    assert model.preview(slot).tobytes() != first.tobytes()
    model.step([slot])
    assert model.finish(slot).size == (48, 32)


def test_a_preview_changes_nothing_of_the_picture(root: Path) -> None:
    model = adapter("sdxl", stock("sdxl", root))
    slot = model.begin(job())[0]
    while slot.done < slot.steps:
        model.step([slot])
        model.preview(slot)
    assert torch.equal(slot.latents, run(model, job())[0].latents)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(
    "kind", [DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler]
)
def test_a_denoiser_that_is_right_is_believed(kind: Any, prediction: str) -> None:
    """A net that knew clean picture and noise exactly would have its picture estimated exactly, at any step."""
    scheduler = kind(**BETAS, prediction_type=prediction)
    scheduler.set_timesteps(5)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    timestep = scheduler.timesteps[2]
    scheduler.set_begin_index(2) if hasattr(scheduler, "set_begin_index") else None
    noisy = scheduler.add_noise(clean, noise, timestep[None])
    output = {"epsilon": noise, "sample": clean, "v_prediction": None}[prediction]
    if output is None:
        # d(noisy)/d(angle): in the variance-exploding parametrisation the picture is first scaled to unit variance.
        share = float(scheduler.alphas_cumprod[round(float(timestep))])
        if float(scheduler.init_noise_sigma) != 1:
            share = 1 / (float(scheduler.sigmas[2]) ** 2 + 1)
        output = share**0.5 * noise - (1 - share) ** 0.5 * clean
    assert_expected(scheduler, timestep, noisy, output, clean)


def test_flow_and_heun_are_believed_too() -> None:
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    flow.set_timesteps(5)
    flow.set_begin_index(2)
    noisy = flow.scale_noise(clean, flow.timesteps[2:3], noise)
    assert_expected(flow, flow.timesteps[2], noisy, noise - clean, clean)
    heun = HeunDiscreteScheduler(**BETAS)
    heun.set_timesteps(5)
    heun.set_begin_index(2)
    noisy = clean + heun.sigmas[2] * noise
    assert_expected(heun, heun.timesteps[2], noisy, noise, clean)


def assert_expected(scheduler: Any, timestep: Any, noisy: Any, output: Any, clean: Any) -> None:
    after = fork(scheduler)
    after.scale_model_input(noisy, timestep) if hasattr(after, "scale_model_input") else None
    after.step(output, timestep, noisy)
    estimate = expected(Seen(after, timestep, noisy, output))
    assert torch.allclose(estimate, clean, atol=2e-3), (estimate - clean).abs().max()


def test_without_room_the_picture_is_decoded_in_tiles(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = stock("sd", root)
    model = adapter("sd", pipe)
    slot = run(model, job(width=64, height=64))[0]
    at_once = np.asarray(model.finish(slot), dtype=int)
    tiled: list[bool] = []
    decode = pipe.vae.decode

    def decode_in_little_memory(*args: Any, **options: Any) -> Any:
        tiled.append(pipe.vae.use_tiling)
        if not pipe.vae.use_tiling:
            raise torch.OutOfMemoryError("no memory left")
        return decode(*args, **options)

    monkeypatch.setattr(pipe.vae, "decode", decode_in_little_memory)
    in_tiles = np.asarray(model.finish(slot), dtype=int)
    assert tiled == [False, True]
    assert not pipe.vae.use_tiling
    assert in_tiles.shape == at_once.shape
    assert abs(in_tiles - at_once).mean() < 20


def test_a_decoder_that_overflows_in_float16_is_widened_for_the_while(root: Path) -> None:
    pipe = stock("sdxl", root)
    model = adapter("sdxl", pipe)
    slot = run(model, job())[0]
    wide = model.finish(slot)
    pipe.vae.to(torch.float16)
    seen: list[torch.dtype] = []
    hook = pipe.vae.decoder.register_forward_pre_hook(lambda _module, args: seen.append(args[0].dtype))
    narrow = model.finish(slot)
    hook.remove()
    assert seen == [torch.float32]
    assert pipe.vae.dtype == torch.float16
    assert abs(np.asarray(wide, dtype=int) - np.asarray(narrow, dtype=int)).max() <= 2


def test_what_a_safety_checker_finds_comes_out_black_previews_too(root: Path) -> None:
    model = adapter("sd", stock("sd", root))
    slot = run(model, job())[0]
    assert model.finish(slot).getextrema() != ((0, 0),) * 3
    model._from_text.run_safety_checker = lambda pixels, _device, _dtype: (torch.zeros_like(pixels), [True])
    assert model.finish(slot).getextrema() == ((0, 0),) * 3
    assert model.preview(slot).getextrema() == ((0, 0),) * 3


def test_what_a_mask_keeps_is_kept_in_the_latents(root: Path) -> None:
    model = adapter("sd", stock("sd", root))
    wanted = job(task="edit", images=(picture(),), mask=left_half())
    slot = run(model, wanted)[0]
    assert slot.kept is not None
    assert torch.equal(slot.latents[..., 8:], slot.kept.latents[..., 8:])
    assert not torch.equal(slot.latents[..., :8], slot.kept.latents[..., :8])


def test_an_edit_of_little_strength_takes_few_steps_but_one(root: Path) -> None:
    for name in STEP_FAMILIES:
        model = adapter(name, stock(name, root))
        steps = [
            model.begin(job(task="edit", images=(picture(),), strength=strength, steps=20))[0].steps
            for strength in (1.0, 0.5, 0.01)
        ]
        assert steps[0] == 20
        assert steps[1] == 10
        assert 1 <= steps[2] <= 2


def test_the_prompt_counts_in_tokens(root: Path) -> None:
    model = adapter("sd", stock("sd", root))
    assert model.count_tokens("a b") == 4  # with the marks of begin and end
    assert model.count_tokens("a " * 100) == 16
