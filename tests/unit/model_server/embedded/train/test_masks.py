from __future__ import annotations

import random

import numpy as np
import pytest

from model_server.embedded.train.masks import box_mask, box_of, everything, grown, random_mask, widened

SIZE = 64


def disc() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return ((rows - 40) ** 2 + (columns - 20) ** 2 < 100).astype(np.float32)


def test_masks_come_in_every_kind_and_never_empty() -> None:
    rng = random.Random(0)
    masks = [random_mask(rng, SIZE, disc()) for _ in range(200)]
    assert all(mask.shape == (SIZE, SIZE) and set(np.unique(mask)) <= {0.0, 1.0} for mask in masks)
    assert all(mask.any() for mask in masks)
    shares = [mask.mean() for mask in masks]
    assert min(shares) < 0.08  # thin strokes
    assert max(shares) > 0.85  # everything but the object
    assert shares.count(0.5) > 5  # halves


def test_everything_but_the_object_leaves_the_object_known() -> None:
    rng = random.Random(1)
    masks = [random_mask(rng, SIZE, disc()) for _ in range(100)]
    assert sum(mask.mean() > 0.8 and not mask[disc() > 0].any() for mask in masks) > 5


def test_the_box_of_a_thing_is_the_smallest_around_it() -> None:
    assert box_of(disc()) == (11, 31, 30, 50)
    assert box_of(np.zeros((SIZE, SIZE), np.float32)) == (0, 0, SIZE, SIZE)
    left, top, right, bottom = widened(box_of(disc()), random.Random(0), SIZE)
    assert max(left - 11, top - 31, 30 - right, 50 - bottom) <= 0


@pytest.mark.parametrize("by", [0, 1, 3])
def test_an_area_grows_by_so_many_pixels(by: int) -> None:
    dot = np.zeros((9, 9), bool)
    dot[4, 4] = True
    assert grown(dot, by).sum() == (2 * by + 1) ** 2


def test_growing_stops_at_the_pictures_edge() -> None:
    corner = np.zeros((9, 9), bool)
    corner[0, 8] = True
    assert grown(corner, 2)[:3, 6:].all()
    assert grown(corner, 2).sum() == 9


def test_a_box_and_everything() -> None:
    assert box_mask((1, 2, 4, 8), 16).sum() == 18
    assert everything(16).all()
