from __future__ import annotations

import random

import numpy as np

from model_server.embedded.train.sketches import paint


def thing() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    alpha = np.zeros((128, 128), np.float32)
    rows, columns = np.ogrid[:128, :128]
    alpha[(rows - 80) ** 2 + (columns - 40) ** 2 < 30**2] = 1
    return alpha


def test_people_paint_near_the_thing_in_many_ways() -> None:
    rng = random.Random(0)
    painted = [paint(thing(), rng) for _ in range(200)]
    true = thing().reshape(32, 4, 32, 4).mean((1, 3)) > 0.3
    near = np.zeros((32, 32), bool)
    near[9:31, 0:21] = True
    assert all(cells.any() and not (cells & ~near).any() for cells in painted)
    sizes = {int(cells.sum()) for cells in painted}
    assert len(sizes) > 30  # no two people paint alike
    assert min(sizes) < 0.5 * true.sum()  # a few strokes
    assert max(sizes) > true.sum()  # a box around


def test_the_same_seed_paints_the_same() -> None:
    first, again = (paint(thing(), random.Random(5)) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_thing_too_small_for_a_cell_is_no_error() -> None:
    alpha = np.zeros((128, 128), np.float32)
    alpha[5, 5] = 1
    for seed in range(20):
        assert paint(alpha, random.Random(seed)).shape == (32, 32)
