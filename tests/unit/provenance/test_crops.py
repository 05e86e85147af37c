"""A listed picture is found when its edges were cut away, and pictures that have nothing to do with it are not."""

from __future__ import annotations

from functools import cache

import pytest

from gateway.provenance.crops import APART, crops
from gateway.provenance.fingerprint import LEAST_QUALITY, Blocked, BlockList, fingerprint, turned
from tests.unit.provenance.pictures import Pixels, made

PICTURES = [made(kind, 500) for kind in ("shapes on white", "clouds")]  # with enough in them, cut too


@cache
def listed(number: int) -> BlockList:
    """A list with this one of PICTURES."""
    pixels = PICTURES[number]
    return BlockList(Blocked(mark, "x") for mark in (fingerprint(pixels), *crops(pixels)))


def cut(pixels: Pixels, share: float, down: float, across: float) -> Pixels:
    height, width = pixels.shape[:2]
    rows, columns = round(height * share), round(width * share)
    top, left = round(rows * down), round(columns * across)
    return pixels[top : top + height - rows, left : left + width - columns]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.2])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1), (0, 0.5)])
def test_middle_corners_and_sides_are_found_mirrored_too(share: float, place: tuple[float, float]) -> None:
    for number, pixels in enumerate(PICTURES):
        left = cut(pixels, share, *place)[:, ::-1]
        assert listed(number).match(turned(left)) is not None


def test_without_crops_a_list_does_not_find_a_cut_picture() -> None:
    """Else there would be no need for them."""
    found = [BlockList([Blocked(fingerprint(whole), "x")]).match(turned(cut(whole, 0.2, 0, 0))) for whole in PICTURES]
    assert found == [None] * len(PICTURES)


def test_other_pictures_are_not_found() -> None:
    for number in range(len(PICTURES)):
        others = [other for place, other in enumerate(PICTURES) if place != number]
        assert not any(listed(number).match(turned(other)) for other in others)


def test_crops_differ_from_the_picture_and_from_each_other_and_say_something() -> None:
    for number in range(len(PICTURES)):
        marks = [blocked.fingerprint for blocked in listed(number)]
        assert 1 < len(marks) <= 61
        apart = [one.distance(two) for place, one in enumerate(marks) for two in marks[:place]]
        assert min(apart) >= APART
    assert all(mark.quality >= LEAST_QUALITY for pixels in PICTURES for mark in crops(pixels))
