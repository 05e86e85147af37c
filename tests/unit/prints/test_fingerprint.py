"""Fingerprints: the reference's own values, near for the same picture and far for another."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from PIL import Image

from gateway.prints.block_list import Blocked, BlockList
from gateway.prints.fingerprint import ALIKE, Fingerprint, fingerprint, turned
from gateway.provenance.watermark import Watermark
from tests.unit.provenance.pictures import ATTACKS, ROOT, made

VECTORS = json.loads((ROOT / "tests/vectors/pdq/pdqhash-0.2.8.json").read_text("utf-8"))["parts"]
SAME = ("JPEG 75", "WebP 80", "resized to 256", "resized to 1024", "brighter by 20", "blurred by 1", "noise of 5")


@cache
def _document(name: str) -> np.ndarray:
    return np.asarray(Image.open(ROOT / "docs" / "images" / f"{name}.png").convert("RGB"))


def _part(vector: dict) -> np.ndarray:
    top, left = vector["top"], vector["left"]
    return _document(vector["picture"])[top : top + vector["height"], left : left + vector["width"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['picture']}-{v['width']}x{v['height']}")
def test_it_is_the_reference_s_own_value(vector: dict) -> None:
    own = fingerprint(_part(vector))
    assert (str(own), own.quality) == (vector["bits"], vector["quality"])
    assert sorted(map(str, turned(_part(vector)))) == vector["turned"]


@pytest.mark.parametrize("kind", ["shapes", "clouds", "texture"])
@pytest.mark.parametrize("attack", SAME)
def test_the_same_picture_stays_near(kind: str, attack: str) -> None:
    pixels = made(kind, 3)
    assert fingerprint(pixels).distance(fingerprint(ATTACKS[attack](pixels))) <= ALIKE


@pytest.mark.parametrize("kind", ["shapes", "clouds", "texture"])
def test_the_watermark_moves_it_little(kind: str) -> None:
    pixels = made(kind, 3)
    marked = Watermark(b"k" * 32).mark(pixels, 1)
    assert fingerprint(pixels).distance(fingerprint(marked)) <= ALIKE // 2


def test_other_pictures_are_far() -> None:
    prints = [fingerprint(made(kind, seed)) for kind in ("shapes", "clouds", "texture") for seed in range(12)]
    apart = [one.distance(other) for place, one in enumerate(prints) for other in prints[:place]]
    assert min(apart) > 2 * ALIKE


@pytest.mark.parametrize("kind", ["plain", "gradient"])
def test_a_picture_with_little_in_it_says_so(kind: str) -> None:
    assert fingerprint(made(kind, 1)).quality < 50


@pytest.mark.parametrize("shape", [(1, 1), (4, 600), (5, 5), (1200, 7)])
def test_odd_shapes_have_one_too(shape: tuple[int, int]) -> None:
    assert fingerprint(np.zeros((*shape, 3), np.uint8)).quality == 0
    assert len(turned(np.zeros((*shape, 3), np.uint8))) == 8


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, " " + "a" * 63, "a" * 65, "-" + "1" * 63, "1_" * 32])
def test_only_64_digits_are_a_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Fingerprint.parse(text)


def test_a_blocked_picture_is_met_again_turned_and_mirrored() -> None:
    pixels = made("texture", 5)
    blocked = Blocked(fingerprint(pixels), "hash-list.test")
    listed = BlockList([Blocked(fingerprint(made("clouds", n)), "other") for n in range(20)]).with_(blocked)
    for changed in (pixels, pixels[::-1], np.rot90(pixels), np.rot90(pixels)[:, ::-1], ATTACKS["JPEG 50"](pixels)):
        match = listed.match(turned(np.ascontiguousarray(changed)))
        assert match is not None
        assert match.blocked == blocked
        assert match.distance <= ALIKE
    assert listed.match([fingerprint(pixels[::-1])]) is None, "upright only: the mirrored one is another"


def test_the_nearest_is_named_and_the_limit_holds() -> None:
    own = fingerprint(made("texture", 6))
    near, nearer = (Fingerprint(own.bits ^ ((1 << flipped) - 1), 100) for flipped in (ALIKE, 9))
    listed = BlockList([Blocked(near, "near"), Blocked(nearer, "nearer")])
    match = listed.match([own])
    assert match is not None
    assert (match.blocked.label, match.distance) == ("nearer", 9)
    assert listed.without(nearer).match([own]) is not None
    assert listed.without(nearer).match([own], most=ALIKE - 1) is None
    assert listed.without(nearer).without(near).match([own]) is None
    assert len(listed) == 2, "a list never changes"


def test_a_flat_picture_matches_nothing_and_cannot_be_blocked() -> None:
    flat = fingerprint(made("plain", 1))
    assert BlockList([Blocked(Fingerprint(flat.bits, 100), "x")]).match([flat]) is None
    with pytest.raises(ValueError, match="quality is 0"):
        BlockList().with_(Blocked(flat, "flat"))


def test_a_list_is_written_and_read() -> None:
    listed = BlockList(Blocked(Fingerprint(n, 100), f"list {n}") for n in (0, 7, (1 << 256) - 1))
    assert list(BlockList.read("# from the police\n\n" + listed.write())) == list(listed)


@pytest.mark.parametrize(
    ("text", "line"), [("abc x", 1), ("#\n" + "a" * 64, 2), ("a" * 64 + " x\n" + "b" * 63 + " y", 2)]
)
def test_a_broken_list_names_the_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}: expected"):
        BlockList.read(text)
