from __future__ import annotations

import numpy as np
import pytest

from model_server.embedded.conditions import (
    CELLS_PER_PATCH,
    LAYOUT_PATCHES,
    NOT_PAINTED,
    SOURCE_VALUES,
    blank_cells,
    label_vector,
    layout_values,
    paint_box,
    paint_stroke,
    source_values,
)

VECTORS = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)


def test_a_source_is_the_pictures_colours_and_a_flag() -> None:
    pixels = np.full((16, 16, 3), -1, np.float32)
    pixels[:2, :2] = (1, 0, 0.5)
    values = source_values(pixels)
    assert values.shape == (SOURCE_VALUES,)
    assert values[:3].tolist() == [1, 0, 0.5]
    assert set(values[3:-1].tolist()) == {-1.0}
    assert values[-1] == 1


def test_an_empty_layout_is_all_zeros() -> None:
    assert not layout_values(blank_cells(), VECTORS).any()


def test_a_patch_holds_its_labels_vector_and_which_cells_are_painted() -> None:
    cells = blank_cells()
    paint_box(cells, 1, (0.0, 0.0, 1 / 16, 1 / 16))  # the first 2 x 2 cells of the first patch
    values = layout_values(cells, VECTORS)
    assert values.shape == (LAYOUT_PATCHES, 2 + CELLS_PER_PATCH)
    assert values[0, :2].tolist() == [0, 2]
    assert np.flatnonzero(values[0, 2:]).tolist() == [0, 1, 4, 5]
    assert not values[1:].any()


def test_patches_are_counted_by_rows_like_the_nets_own() -> None:
    cells = blank_cells()
    paint_box(cells, 0, (7 / 8, 0.0, 1.0, 1 / 8))
    paint_box(cells, 0, (0.0, 1 / 8, 1 / 8, 2 / 8))
    assert np.flatnonzero(layout_values(cells, VECTORS).any(1)).tolist() == [7, 8]


def test_later_paint_covers_earlier() -> None:
    cells = blank_cells()
    paint_box(cells, 0, (0, 0, 1, 1))
    paint_box(cells, 1, (0, 0, 0.5, 1))
    assert (cells[:, :16] == 1).all()
    assert (cells[:, 16:] == 0).all()


def test_a_patch_under_two_labels_gets_a_share_of_each() -> None:
    cells = blank_cells()
    cells[:4, :2], cells[:4, 2:4] = 0, 1
    assert layout_values(cells, VECTORS)[0, :2].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.001, 0.001), (0.999, 0.999, 1.0, 1.0), (0.5, 0.5, 0.505, 0.9)])
def test_the_smallest_box_still_paints_a_cell(box: tuple[float, float, float, float]) -> None:
    cells = blank_cells()
    paint_box(cells, 0, box)
    assert (cells == 0).any()


def test_a_stroke_paints_along_its_points_as_wide_as_its_brush() -> None:
    cells = blank_cells()
    paint_stroke(cells, 0, [(0.25, 0.5), (0.75, 0.5)], 0.125)
    painted = cells != NOT_PAINTED
    assert painted[16, 8:24].all()
    assert painted[:, 16].sum() in (4, 5)
    assert not painted[:12].any()
    assert not painted[:, :5].any()


def test_a_single_thin_dot_paints_something() -> None:
    cells = blank_cells()
    paint_stroke(cells, 0, [(0.3, 0.3)], 0.001)
    assert (cells == 0).sum() >= 1


def test_a_label_is_the_mean_of_its_known_words() -> None:
    table = np.array([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    assert label_vector(table, [1, 2, 0, 0]).tolist() == [0.5, 0.5]
    assert label_vector(table, [0, 0]).tolist() == [0, 0]
