from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model_server.http.framing import frame_pictures, nearest_size

Sides = st.integers(1, 90)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def box_mask(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, box)
    return mask


def kept(picture: Image.Image, mask: Image.Image) -> np.ndarray:
    return np.asarray(picture)[np.asarray(mask) == 0]


@settings(max_examples=60, deadline=None)
@given(Sides, Sides, st.sampled_from([(16, 16), (64, 48), (48, 64)]), st.booleans(), st.data())
def test_whatever_the_sizes_unpainted_pixels_are_the_pictures_own_to_the_bit(
    width: int, height: int, canvas: tuple[int, int], asks_size: bool, data: st.DataObject
) -> None:
    picture = noise(width, height)
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = box_mask(width, height, (left, top, data.draw(st.integers(left + 1, width)), height))
    framed = frame_pictures(picture, [], mask, canvas, canvas if asks_size else None)
    assert [image.size for image in framed.images] == [canvas]
    assert framed.mask is not None
    assert framed.mask.size == canvas
    answer = framed.frame.restore(Image.new("RGB", canvas, (1, 2, 3)))
    assert framed.frame.mask is not None
    assert framed.frame.original is not None
    if asks_size:
        assert answer.size == canvas
    else:
        assert answer.size == (width, height)
        assert (kept(answer, mask) == kept(picture, mask)).all()
    assert (kept(answer, framed.frame.mask) == kept(framed.frame.original, framed.frame.mask)).all()


def test_the_middle_of_what_was_painted_is_all_new_and_its_edge_is_soft() -> None:
    picture, mask = Image.new("RGB", (100, 100), "white"), box_mask(100, 100, (20, 20, 80, 80))
    framed = frame_pictures(picture, [], mask, (100, 100), None)
    answer = framed.frame.restore(Image.new("RGB", (100, 100), "black"))
    assert answer.getpixel((50, 50)) == (0, 0, 0)
    edge = answer.getpixel((20, 50))
    assert isinstance(edge, tuple)
    assert 0 < edge[0] < 255
    assert answer.getpixel((19, 50)) == (255, 255, 255)


def test_a_wide_picture_lies_whole_in_a_square_canvas_with_its_edges_drawn_out() -> None:
    picture = Image.new("RGB", (80, 40), (200, 0, 0))
    picture.paste((0, 0, 200), (0, 20, 80, 40))
    framed = frame_pictures(picture, [], None, (16, 16), None)
    canvas = framed.images[0]
    assert framed.frame.place == (0, 4, 16, 12)
    assert [canvas.getpixel((8, y)) for y in (0, 3, 4, 11, 15)] == [
        (200, 0, 0),
        (200, 0, 0),
        (200, 0, 0),
        (0, 0, 200),
        (0, 0, 200),
    ]
    assert framed.frame.restore(canvas).size == (80, 40)


def test_what_the_model_leaves_alone_comes_back_where_it_was() -> None:
    picture = Image.new("RGB", (120, 60), "white")
    picture.paste((200, 0, 0), (0, 0, 30, 30))
    framed = frame_pictures(picture, [], None, (64, 64), None)
    answer = framed.frame.restore(framed.images[0])
    difference = np.abs(np.asarray(answer, int) - np.asarray(picture, int)).mean()
    assert answer.size == picture.size
    assert difference < 8


def test_a_size_of_another_shape_takes_the_middle() -> None:
    picture = Image.new("RGB", (90, 30), "white")
    picture.paste((200, 0, 0), (30, 0, 60, 30))
    framed = frame_pictures(picture, [], None, (32, 32), (32, 32))
    assert framed.images[0].getcolors() == [(32 * 32, (200, 0, 0))]
    assert framed.frame.restore(framed.images[0]).size == (32, 32)


def test_every_further_picture_is_fitted_into_the_same_canvas() -> None:
    framed = frame_pictures(noise(20, 20), [noise(50, 10), noise(3, 70)], None, (16, 32), None)
    assert {image.size for image in framed.images} == {(16, 32)}
    assert {image.mode for image in framed.images} == {"RGB"}


def test_a_thin_stroke_is_not_lost_when_the_mask_is_made_smaller() -> None:
    mask = box_mask(1000, 1000, (500, 100, 501, 900))
    framed = frame_pictures(noise(1000, 1000), [], mask, (16, 16), None)
    assert framed.mask is not None
    assert framed.mask.getbbox() is not None
    assert set(np.unique(np.asarray(framed.mask))) == {0, 255}


def test_nothing_outside_of_the_picture_is_to_be_painted() -> None:
    framed = frame_pictures(noise(40, 10), [], Image.new("L", (40, 10), 255), (16, 16), None)
    assert framed.mask is not None
    assert framed.mask.getbbox() == framed.frame.place


@pytest.mark.parametrize(
    ("picture", "nearest"),
    [
        ((1000, 1000), (1024, 1024)),
        ((300, 300), (256, 256)),
        ((3000, 2000), (1536, 1024)),
        ((200, 300), (1024, 1536)),
        ((10, 1000), (1024, 1536)),
    ],
)
def test_the_canvas_is_of_the_nearest_shape_and_then_area(picture: tuple[int, int], nearest: tuple[int, int]) -> None:
    assert nearest_size(picture, ((1024, 1024), (256, 256), (1536, 1024), (1024, 1536))) == nearest
