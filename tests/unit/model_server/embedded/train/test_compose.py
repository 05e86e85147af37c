from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.captions import BACKGROUNDS, caption, name_of
from model_server.embedded.train.compose import Composer
from model_server.embedded.train.concepts import COMMON, CONCEPTS
from model_server.embedded.train.data import STYLES
from tests.unit.model_server.support import PIECES, two_sprites


def composer(seed: int = 0, **options: object) -> Composer:
    return Composer(two_sprites(), Tokenizer(PIECES), seed, rows=[0, 1], **options)  # type: ignore[arg-type]


def test_the_same_seed_composes_the_same_scenes() -> None:
    first, again, other = (composer(seed).batch(6) for seed in (1, 1, 2))
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.clean, other.clean)


def test_pixels_and_masks_are_in_range_and_of_one_shape() -> None:
    batch = composer().batch(64)
    assert batch.clean.shape == (64, 3, 64, 64)
    assert batch.mask.shape == (64, 1, 64, 64)
    assert batch.clean.min() >= -1
    assert batch.clean.max() <= 1
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
    assert all(mask.any() for mask in batch.mask)


def test_most_scenes_are_painted_whole_and_some_are_edits() -> None:
    masks = composer().batch(400).mask.flatten(1)
    whole = masks.all(1).float().mean()
    assert 0.8 < whole < 0.95


def test_a_scene_shows_its_concept_on_its_background() -> None:
    scenes = [composer(seed, pairs=False).scene() for seed in range(20)]
    for scene in scenes:
        corner = scene.pixels[0, 0] * 255
        assert np.abs(corner - np.array(BACKGROUNDS[scene.background])).max() < 30
        middle = scene.pixels[28:36, 28:36].mean((0, 1))
        wanted = (1.0, 0.0, 0.0) if scene.concept == 0 else (0.0, 0.0, 1.0)
        assert np.allclose(middle, wanted, atol=0.05)


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
    assert 150 <= len(CONCEPTS) <= 250
    assert len(COMMON) >= 60
