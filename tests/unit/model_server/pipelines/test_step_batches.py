"""Slots that share their steps: equal up to rounding, or to the bit when padded; and nothing moves when one fails."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, PNDMScheduler
from torch import Tensor

from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.latent_slot import LatentSlot
from model_server.pipelines.port import Job, StepModel
from tests.unit.model_server.pipelines.families import BETAS, STEP_FAMILIES
from tests.unit.model_server.pipelines.step_models import adapter, job, left_half, picture, run, run_together, stock

LARGEST_DIFFERENCE = 3e-6
"""In float32, of the largest latent: another number of rows may mean another order of sums."""
ROWS = 8


def crowd() -> list[Job]:
    """Jobs of one size that differ in all else: words, steps, guidance, seed, task."""
    edit = {"task": "edit", "images": (picture(),)}
    return [
        job(prompt="a", steps=4, guidance=7.5, seed=1),
        job(prompt="b c", steps=9, guidance=3.0, seed=2, negative_prompt=""),
        job(prompt="d e f", steps=6, guidance=1.0, seed=3),
        job(prompt="g", steps=8, strength=0.6, seed=4, **edit),
        job(prompt="h", steps=5, strength=1.0, seed=5, mask=left_half(), **edit),
        job(prompt="", steps=7, strength=0.5, seed=6, task="vary", images=(picture(2),)),
    ]


@pytest.fixture(scope="module", params=STEP_FAMILIES)
def model(request: pytest.FixtureRequest, root: Path) -> LatentStepModel:
    return adapter(request.param, stock(request.param, root))


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def test_a_mixed_batch_equals_each_alone_up_to_rounding(model: LatentStepModel) -> None:
    jobs = crowd()
    together = run_together(model, jobs, joins=[0, 1, 3, 0, 2, 5])
    for wanted, latents in zip(jobs, together, strict=True):
        assert apart(latents, run(model, wanted)[0].latents) < LARGEST_DIFFERENCE


def test_padded_to_fixed_rows_company_and_time_of_joining_change_no_bit(model: LatentStepModel) -> None:
    jobs = crowd()
    alone = [run(model, wanted, ROWS)[0].latents for wanted in jobs]
    for joins in ([0, 1, 3, 0, 2, 5], [4, 0, 0, 2, 7, 1]):
        together = run_together(model, jobs, joins, ROWS)
        assert [torch.equal(*pair) for pair in zip(together, alone, strict=True)] == [True] * len(jobs)


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerAncestralDiscreteScheduler(**BETAS),
        DPMSolverMultistepScheduler(**BETAS, algorithm_type="sde-dpmsolver++"),
        PNDMScheduler(**BETAS, steps_offset=1),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_schedulers_that_draw_noise_or_remember_keep_apart_in_a_batch(scheduler: Any, root: Path) -> None:
    model = adapter("sd", stock("sd", root, scheduler))
    jobs = crowd()
    alone = [run(model, wanted, ROWS)[0].latents for wanted in jobs]
    together = run_together(model, jobs, [2, 0, 4, 1, 0, 3], ROWS)
    assert [torch.equal(*pair) for pair in zip(together, alone, strict=True)] == [True] * len(jobs)


def test_jobs_of_one_size_may_share_a_step(model: LatentStepModel) -> None:
    assert isinstance(model, StepModel)
    assert len({model.shape(wanted) for wanted in crowd()}) == 1
    assert model.shape(job(width=64)) != model.shape(job())


@pytest.mark.parametrize("fails_in", ["denoiser", "scheduler"])
@pytest.mark.parametrize(
    "scheduler",
    [
        # They keep what they saw, in a list and in a sum, and one draws noise: a step taken by half would show.
        DPMSolverMultistepScheduler(**BETAS, algorithm_type="sde-dpmsolver++"),
        PNDMScheduler(**BETAS, steps_offset=1),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_a_step_that_fails_moves_no_slot_and_can_be_taken_again(fails_in: str, scheduler: Any, root: Path) -> None:
    model = adapter("sd", stock("sd", root, copy.deepcopy(scheduler)))
    slots = [model.begin(wanted)[0] for wanted in crowd()[:3]]
    model.step(slots, ROWS)
    before = [(slot.done, slot.latents, slot.scheduler, slot.generator.get_state()) for slot in slots]
    restore = make_fail(model, slots, fails_in)
    with pytest.raises(torch.OutOfMemoryError):
        model.step(slots, ROWS)
    for slot, (done, latents, scheduler, noise) in zip(slots, before, strict=True):
        assert (slot.done, slot.latents, slot.scheduler) == (done, latents, scheduler)
        assert torch.equal(slot.generator.get_state(), noise)
    restore()
    while working := [slot for slot in slots if slot.done < slot.steps]:
        model.step(working, ROWS)
    for slot, wanted in zip(slots, crowd(), strict=False):
        assert torch.equal(slot.latents, run(model, wanted, ROWS)[0].latents)


def make_fail(model: LatentStepModel, slots: list[LatentSlot], place: str) -> Callable[[], None]:
    """Let the model run out of memory: in the denoiser, or once the first slots have had their noise drawn."""

    def fail(*_args: Any, **_options: Any) -> Any:
        raise torch.OutOfMemoryError("no memory left")

    if place == "denoiser":
        denoiser = model._denoiser
        original, denoiser.forward = denoiser.forward, fail
        return lambda: setattr(denoiser, "forward", original)
    scheduler = slots[-1].scheduler
    scheduler.step = fail
    return lambda: delattr(scheduler, "step")
