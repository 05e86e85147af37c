from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.card import model_card, notice
from model_server.embedded.train.compose import Composer
from model_server.embedded.train.data import SOURCES
from model_server.embedded.train.gates import Report, failing, nearest_colour, nearest_sprites
from tests.unit.model_server.support import PIECES, two_sprites

REPORT = Report(
    pictures=740,
    judge_held_out_accuracy=0.99,
    top1=0.81,
    top1_common=0.9,
    top1_other=0.7,
    nearest_sprite_top1=0.8,
    nearest_sprite_top1_common=0.9,
    background_accuracy=0.96,
    background_pictures=370,
    nearest_median_difference=0.1,
    near_copies=0.2,
    never_recognised=("helicopter",),
    always_recognised=90,
)


@pytest.mark.parametrize("name", list(BACKGROUNDS))
def test_each_named_colour_is_told_from_the_others(name: str) -> None:
    levels = torch.tensor(BACKGROUNDS[name]).view(3, 1, 1) / 127.5 - 1
    picture = levels.expand(3, 64, 64) + 0.05 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert nearest_colour(picture) == name


def test_the_nearest_sprite_of_a_composed_scene_is_its_own() -> None:
    composer = Composer(two_sprites(), Tokenizer(PIECES), 0, rows=[0, 1], pairs=False)
    batch = composer.batch(24)
    difference, nearest = nearest_sprites(batch.clean, two_sprites())
    assert torch.equal(nearest, batch.concepts)
    assert difference.max() < 0.25


def test_gates_that_are_missed_are_named() -> None:
    assert list(failing(REPORT)) == []
    assert len(failing(replace(REPORT, top1=0.79))) == 1
    assert len(failing(replace(REPORT, top1=0.1, background_accuracy=0.9))) == 2


def test_the_card_tells_the_measured_figures_and_the_failures() -> None:
    trained = {
        "shape": {"patch_pixels": 8, "size_pixels": 64, "width": 256, "layers": 8},
        "parameters": 10_700_000,
        "table_parameters": 3_500_000,
        "masked_share": 0.12,
        "minutes_planned": 92,
        "decay_minutes": 28,
        "pictures": 400_000,
        "steps": 8000,
        "batch": 48,
        "minutes": 92.0,
        "hardware": "two CPU cores, no GPU",
        "seed": 0,
    }
    card = model_card("small", "abc", trained, replace(REPORT, top1=0.5), "books")
    for part in (
        "50.0%",
        "helicopter",
        "books often look wrong",
        "two CPU cores, no GPU",
        "400,000",
        "Gates not met: top-1",
    ):
        assert part in card
    for source in SOURCES:
        assert source.spec in card
        assert source.attribution in notice()
