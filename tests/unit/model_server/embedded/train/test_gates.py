from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.compose import Composer
from model_server.embedded.train.drawing import box_mask
from model_server.embedded.train.gates import Report, failing, nearest_colour, nearest_sprites
from model_server.embedded.train.jobs import JobReport, failing_jobs, placed, step_across
from tests.unit.model_server.support import PIECES, two_sprites

REPORT = Report(
    pictures=740,
    judge_held_out_accuracy=0.99,
    top1=0.81,
    top1_common=0.9,
    top1_other=0.7,
    top1_later=0.6,
    nearest_sprite_top1=0.8,
    nearest_sprite_top1_common=0.9,
    background_accuracy=0.96,
    background_pictures=370,
    nearest_median_difference=0.1,
    near_copies=0.2,
    never_recognised=("helicopter",),
    always_recognised=90,
)

JOBS = JobReport(
    each=93,
    completed_top1=0.9,
    replaced_top1=0.9,
    seam=0.01,
    varied_top1=0.9,
    varied_copies=0.05,
    sketched_top1=0.8,
    sketched_inside=0.9,
    sketched_overlap=0.7,
)


@pytest.mark.parametrize("name", list(BACKGROUNDS))
def test_each_named_colour_is_told_from_the_others(name: str) -> None:
    levels = torch.tensor(BACKGROUNDS[name]).view(3, 1, 1) / 127.5 - 1
    picture = levels.expand(3, 64, 64) + 0.05 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert nearest_colour(picture) == name


def test_the_nearest_sprite_of_a_composed_scene_is_its_own() -> None:
    composer = Composer(two_sprites(), Tokenizer(PIECES), torch.zeros(len(PIECES), 8), 0, rows=[0, 1], plain=True)
    batch = composer.batch(24)
    difference, nearest = nearest_sprites(batch.clean, two_sprites())
    assert torch.equal(nearest, batch.concepts)
    assert difference.max() < 0.25


def test_gates_that_are_missed_are_named_with_the_distance() -> None:
    assert list(failing(REPORT)) == []
    assert list(failing(replace(REPORT, top1=0.79))) == ["top-1 >= 80 % (short by 1.0 points)"]
    assert len(failing(replace(REPORT, top1=0.1, background_accuracy=0.9))) == 2
    assert list(failing_jobs(JOBS)) == []
    assert "short by 10.0 points" in failing_jobs(replace(JOBS, sketched_top1=0.7))[0]
    assert "no copies" in failing_jobs(replace(JOBS, varied_copies=0.2))[0]


def thing(box: tuple[float, float, float, float]) -> torch.Tensor:
    """A red thing in that box on white."""
    mask = box_mask(64, box)
    return torch.ones(3, 64, 64) * (1 - mask) + torch.tensor([1.0, -1, -1]).view(3, 1, 1) * mask


def test_a_thing_in_its_box_is_inside_and_one_beside_it_is_not() -> None:
    box = (0.25, 0.25, 0.5, 0.75)
    assert placed(thing(box), box) == (1.0, 1.0)
    inside, overlap = placed(thing((0.5, 0.25, 0.75, 0.75)), box)
    assert inside == pytest.approx(2 / 16)  # the slack of one cell
    assert overlap == 0
    assert placed(torch.ones(3, 64, 64), box) == (0.0, 0.0)


def test_a_thing_twice_as_large_as_its_box_overlaps_by_half() -> None:
    inside, overlap = placed(thing((0.25, 0.25, 0.75, 0.75)), (0.25, 0.25, 0.5, 0.75))
    assert overlap == pytest.approx(0.5)
    assert 0.5 <= inside < 0.6


@pytest.mark.parametrize("half", [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5)])
def test_a_seam_is_a_step_in_colour_across_the_edge_of_the_half(half: tuple[float, float, float, float]) -> None:
    mask = box_mask(64, half)
    assert step_across(torch.zeros(3, 64, 64), half) == 0
    assert step_across((mask * 0.5).expand(3, 64, 64), half) == pytest.approx(0.25)
    other = half[3] - half[1] == 1.0
    across = box_mask(64, (0.0, 0.0, 1.0, 0.5) if other else (0.0, 0.0, 0.5, 1.0))
    assert step_across(across.expand(3, 64, 64), half) == 0
