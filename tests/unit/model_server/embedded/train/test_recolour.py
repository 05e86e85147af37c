from __future__ import annotations

import colorsys

import numpy as np
import pytest

from model_server.embedded.train.recolour import COLOURS, recoloured


def sprite(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A square of that colour with white and black eyes."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[4:28, 4:28] = (*colour, 255)
    pixels[8:12, 8:12] = (255, 255, 255, 255)
    pixels[8:12, 20:24] = (0, 0, 0, 255)
    return pixels


@pytest.mark.parametrize("colour", list(COLOURS))
def test_the_main_colour_becomes_the_one_named(colour: str) -> None:
    changed = recoloured(sprite((220, 40, 40)), colour)
    assert changed is not None
    hue, saturation, _value = colorsys.rgb_to_hsv(*(changed[20, 20, :3] / 255))
    assert abs((hue * 360 - COLOURS[colour] + 180) % 360 - 180) < 12
    assert saturation > 0.4


def test_eyes_and_outline_stay() -> None:
    before = sprite((220, 40, 40))
    changed = recoloured(before, "blue")
    assert changed is not None
    assert np.array_equal(changed[8:12, 8:12], before[8:12, 8:12])
    assert np.array_equal(changed[8:12, 20:24], before[8:12, 20:24])
    assert np.array_equal(changed[..., 3], before[..., 3])


@pytest.mark.parametrize("colour", [(240, 240, 240), (20, 20, 20), (128, 128, 130)])
def test_a_thing_without_a_vivid_colour_is_left_alone(colour: tuple[int, int, int]) -> None:
    assert recoloured(sprite(colour), "red") is None
