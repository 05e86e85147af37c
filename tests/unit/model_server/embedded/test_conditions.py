from __future__ import annotations

import numpy as np
import pytest

from model_server.embedded.conditions import (
    CELLS_PER_PATCH,
    LAYOUT_PATCHES,
    LAYOUT_VALUES,
    NOT_PAINTED,
    SOURCE_VALUES,
    blank_cells,
    label_vector,
    layout_values,
    paint_box,
    paint_stroke,
    sketch_prompt,
    source_values,
)

VECTORS = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)


def cells_of(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return values[:, 2 : 2 + CELLS_PER_PATCH]


def places_of(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return values[:, 2 + CELLS_PER_PATCH : 2 + CELLS_PER_PATCH + LAYOUT_PATCHES]


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
    assert values.shape == (LAYOUT_PATCHES, 2 + LAYOUT_VALUES)
    assert values[0, :2].tolist() == [0, 2]
    assert np.flatnonzero(cells_of(values)[0]).tolist() == [0, 1, 4, 5]
    assert not values[1:].any()


def test_patches_are_counted_by_rows_like_the_nets_own() -> None:
    cells = blank_cells()
    paint_box(cells, 0, (7 / 8, 0.0, 1.0, 1 / 8))
    paint_box(cells, 0, (0.0, 1 / 8, 1 / 8, 2 / 8))
    assert np.flatnonzero(cells_of(layout_values(cells, VECTORS)).any(1)).tolist() == [7, 8]


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


def test_a_region_as_large_as_a_single_thing_has_the_places_of_the_picture_itself() -> None:
    cells = blank_cells()
    paint_box(cells, 0, (0.1, 0.1, 0.9, 0.9))
    places = places_of(layout_values(cells, VECTORS))
    assert np.array_equal(places.argmax(1), np.arange(LAYOUT_PATCHES))
    assert places.diagonal().min() > 0.75


def test_a_small_region_has_the_places_of_the_whole_thing_within_its_box() -> None:
    cells = blank_cells()
    paint_box(cells, 1, (0.5, 0.5, 1.0, 1.0))
    values = layout_values(cells, VECTORS)
    places = places_of(values).reshape(8, 8, 8, 8)
    assert places[4, 4].sum() == pytest.approx(1)
    rows, columns = np.unravel_index(places[4:, 4:].reshape(16, 64).argmax(1), (8, 8))
    assert rows.reshape(4, 4)[:, 1].tolist() == [1, 3, 4, 6]
    assert columns.reshape(4, 4)[1].tolist() == [1, 3, 4, 6]
    assert not places[:3, :3].any()
    assert values[-1, -4:].tolist() == [0.75, 0.75, 0.5, 0.5]


def test_gaps_between_strokes_have_a_place_too_and_each_region_its_own() -> None:
    cells = blank_cells()
    paint_stroke(cells, 0, [(0.1, 0.1), (0.9, 0.1)], 0.05)
    paint_stroke(cells, 0, [(0.1, 0.9), (0.9, 0.9)], 0.05)
    places = places_of(layout_values(cells, VECTORS)).reshape(8, 8, 64)
    assert places[4, 4].any()
    assert not cells_of(layout_values(cells, VECTORS)).reshape(8, 8, -1)[4, 4].any()
    alone = places[0, 7].copy()
    paint_box(cells, 1, (0.875, 0.0, 1.0, 0.125))
    assert not np.allclose(places_of(layout_values(cells, VECTORS)).reshape(8, 8, 64)[0, 7], alone)


def test_labels_that_the_prompt_does_not_name_are_said_first() -> None:
    assert sketch_prompt("on blue", ["fox", "tree", "fox", ""]) == "fox and tree on blue"
    assert sketch_prompt("a Fox on blue", ["fox"]) == "a Fox on blue"
    assert sketch_prompt("", ["owl"]) == "owl"
    assert sketch_prompt("an apple", []) == "an apple"
