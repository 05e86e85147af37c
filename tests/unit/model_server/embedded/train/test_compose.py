from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import torch

from model_server.embedded.conditions import CELLS_PER_PATCH, LAYOUT_PATCHES, LAYOUT_VALUES, SOURCE_VALUES
from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS, caption, name_of, together, where
from model_server.embedded.train.compose import Composer, Scene
from model_server.embedded.train.concepts import COMMON, CONCEPTS
from model_server.embedded.train.data import STYLES
from tests.unit.model_server.support import PIECES, two_sprites

TOKENIZER = Tokenizer(PIECES)
TABLE = torch.randn(len(PIECES), 8, generator=torch.Generator().manual_seed(0))


def composer(seed: int = 0, **options: object) -> Composer:
    return Composer(two_sprites(), TOKENIZER, TABLE, seed, rows=[0, 1], **options)  # type: ignore[arg-type]


def test_the_same_seed_composes_the_same_scenes() -> None:
    first, again, other = (composer(seed).batch(6) for seed in (1, 1, 2))
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.mask, again.mask)
    assert torch.equal(first.source, again.source)
    assert torch.equal(first.layout, again.layout)
    assert not torch.equal(first.clean, other.clean)


def test_pixels_masks_and_conditions_are_in_range_and_of_one_shape() -> None:
    batch = composer().batch(64)
    assert batch.clean.shape == (64, 3, 128, 128)
    assert batch.mask.shape == (64, 1, 128, 128)
    assert batch.source.shape == (64, SOURCE_VALUES)
    assert batch.layout.shape == (64, LAYOUT_PATCHES, 8 + LAYOUT_VALUES)
    assert batch.clean.min() >= -1
    assert batch.clean.max() <= 1
    assert batch.source.abs().max() <= 1
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}


def test_each_kind_of_job_has_its_share_of_the_scenes() -> None:
    source = composer()
    scenes = [source.scene() for _ in range(600)]
    assert 0.18 < np.mean([not scene.mask.all() for scene in scenes]) < 0.32
    assert 0.15 < np.mean([scene.source[-1] for scene in scenes]) < 0.28
    assert 0.17 < np.mean([scene.layout.any() for scene in scenes]) < 0.32
    assert 0.12 < np.mean([not scene.prompt for scene in scenes]) < 0.35


def test_a_plain_composer_shows_single_things_with_nothing_but_a_caption() -> None:
    batch = composer(plain=True).batch(100)
    assert batch.mask.all()
    assert not batch.source.any()
    assert not batch.layout.any()


def test_a_scene_shows_its_concept_on_its_background() -> None:
    scenes = [composer(seed, plain=True).scene() for seed in range(20)]
    for scene in scenes:
        corner = scene.pixels[0, 0] * 255
        assert np.abs(corner - np.array(BACKGROUNDS[scene.background])).max() < 30
        middle = scene.pixels[56:72, 56:72].mean((0, 1))
        wanted = (1.0, 0.0, 0.0) if scene.concept == 0 else (0.0, 0.0, 1.0)
        assert np.allclose(middle, wanted, atol=0.05)


def scenes_with(seed: int, wanted: Callable[[Scene], bool], count: int = 20) -> list[Scene]:
    source = composer(seed)
    return list(islice(filter(wanted, (source.scene() for _ in range(4000))), count))


def test_what_a_layout_paints_is_where_the_thing_stands() -> None:
    sketched = scenes_with(1, lambda scene: bool(scene.layout.any()) and bool(scene.mask.all()))
    for scene in sketched:
        painted = scene.layout[:, 8 : 8 + CELLS_PER_PATCH].reshape(8, 8, 4, 4).swapaxes(1, 2).reshape(32, 32) > 0
        background = np.array(BACKGROUNDS[scene.background]) / 255
        drawn = np.abs(scene.pixels - background).max(-1) > 0.2
        drawn_cells = drawn.reshape(32, 4, 32, 4).mean((1, 3)) > 0.5
        assert painted.any()
        assert (painted & drawn_cells).sum() > 0.5 * painted.sum()


def test_a_source_has_the_colour_of_its_scenes_thing_at_its_middle() -> None:
    told = scenes_with(2, lambda scene: scene.source[-1] == 1 and not scene.prompt)
    assert len(told) == 20
    for scene in told:
        red, _green, blue = scene.source[:-1].reshape(8, 8, 3)[3:5, 3:5].mean((0, 1))
        thing = scene.pixels[56:72, 56:72].mean((0, 1))
        assert (red > blue) == (thing[0] > thing[2])


def test_a_local_edit_masks_the_thing_that_its_prompt_names() -> None:
    """Of a few things in the picture the caption names the masked one alone, so that it is painted there."""
    fox, owl = (CONCEPTS[row].name for row in (0, 1))
    edits = scenes_with(3, lambda scene: 0 < scene.mask.mean() < 0.4 and scene.prompt in (fox, owl), 8)
    for scene in edits:
        inside = scene.pixels[scene.mask > 0]
        wanted = inside[:, 0] - inside[:, 2] if scene.prompt == fox else inside[:, 2] - inside[:, 0]
        assert (wanted > 0.5).mean() > 0.3


@pytest.mark.parametrize("style", STYLES)
def test_a_caption_names_the_subject_or_says_nothing(style: str) -> None:
    rng = random.Random(1)
    captions = [caption("fox", style, "blue", rng, colour_shown=True) for _ in range(300)]
    empty = sum(not text for text in captions)
    assert 10 < empty < 60  # guidance needs the empty prompt
    assert all("fox" in text for text in captions if text)
    others = {word for word in STYLES if word != style}
    assert not any(word in text.split() for text in captions for word in others)
    assert not any(colour in text for text in captions for colour in ("purple", "teal"))


def test_a_concept_is_called_mostly_by_its_name_and_sometimes_by_another_word() -> None:
    rng = random.Random(1)
    dog = CONCEPTS[0]
    names = [name_of(dog, ("pet",), rng) for _ in range(300)]
    assert names.count("dog") > 200
    assert "puppy" in names
    assert "pet dog" in names


def test_every_concept_has_a_name_of_its_own() -> None:
    names = [concept.name for concept in CONCEPTS]
    labels = [concept.label for concept in CONCEPTS]
    assert len(set(names)) == len(names)
    assert len(set(labels)) == len(labels)
    assert 250 <= len(CONCEPTS) <= 300
    assert len(COMMON) >= 60


def test_a_place_is_said_as_a_person_would() -> None:
    rng = random.Random(2)
    assert {where("fox", 0.5, 0.5, rng) for _ in range(20)} == {"fox"}
    corner = {where("fox", 0.1, 0.9, rng) for _ in range(60)}
    assert {"fox", "fox in bottom left corner"} <= corner
    assert not any("right" in said or "top" in said for said in corner)


def test_two_things_are_related_the_right_way_round() -> None:
    rng = random.Random(3)
    beside = {together(["fox", "owl"], [(0.8, 0.5), (0.2, 0.5)], rng) for _ in range(80)}
    assert beside == {
        "fox and owl",
        "owl left of fox",
        "fox right of owl",
        "owl on left fox on right",
        "owl next to fox",
    }
    stacked = {together(["fox", "owl"], [(0.5, 0.2), (0.5, 0.8)], rng) for _ in range(80)}
    assert {"fox above owl", "owl below fox"} <= stacked
    assert "owl above fox" not in stacked
    assert together(["fox", "owl", "cat"], [(0, 0)] * 3, rng) == "fox and owl and cat"
