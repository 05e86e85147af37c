"""A listed picture is found when its edges were cut away, anywhere; pictures that are others are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from gateway.prints import window_list, windows
from gateway.prints.block_list import Blocked, BlockList
from gateway.prints.fingerprint import fingerprint
from gateway.prints.fingerprint import turned as laid
from gateway.prints.window_list import MARK, NEAR, STEADY_NEAR, WindowList, written
from gateway.prints.windows import NEARBY, NONE, WORDS, Prints, around, asked, by_mirror, listed, mirrored, transposed
from tests.unit.provenance.pictures import Pixels, decoded, encoded, made

PICTURES = [made(kind, 500, 256) for kind in ("shapes on white", "clouds", "texture", "text")]
ONE_BIT_EACH = np.packbits(np.eye(256, dtype=np.uint8), axis=1).view(np.uint64)
"""Fingerprints of one bit each."""
TURNS: dict[str, Callable[[Pixels], Pixels]] = {
    "upright": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "turned round": lambda pixels: pixels[::-1, ::-1],
    "along the diagonal": lambda pixels: pixels.transpose(1, 0, 2),
    "a quarter": np.rot90,
    "three quarters": lambda pixels: np.rot90(pixels, 3),
    "along the other diagonal": lambda pixels: np.rot90(pixels[:, ::-1]),
}


@cache
def known() -> WindowList:
    """A list with all of PICTURES, by number."""
    return WindowList.read("".join(written(listed(pixels), str(n)) for n, pixels in enumerate(PICTURES)))


def found(pixels: Pixels) -> str | None:
    near = known().match(asked(np.ascontiguousarray(pixels)))
    return None if near is None else near[0]


def cut(pixels: Pixels, down: float, across: float, top: float, left: float) -> Pixels:
    """So much of height and width is cut away, that share of it above and on the left."""
    height, width = pixels.shape[:2]
    rows, columns = round(height * down), round(width * across)
    upper, leftmost = round(rows * top), round(columns * left)
    return pixels[upper : upper + height - rows, leftmost : leftmost + width - columns]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_cut_anywhere_is_found_saved_again_and_mirrored(share: float) -> None:
    """Nine of ten at least: small letters and fine grain are hard."""
    missed = []
    for place in ((0.5, 0.5), (0, 0), (0.3, 0.8), (1, 0.6), (0.13, 0.37)):
        for number, pixels in enumerate(PICTURES):
            left = cut(pixels, share, share, *place)[:, ::-1]
            said = found(decoded(encoded(left, "JPEG", quality=60)))
            assert said in (None, str(number))
            if said is None:
                missed.append((number, place))
    assert len(missed) <= 2, missed


@pytest.mark.parametrize(("down", "across"), [(0.2, 0), (0, 0.2), (0.05, 0.2)])
def test_sides_may_be_cut_unlike(down: float, across: float) -> None:
    for number, pixels in enumerate(PICTURES):
        assert found(cut(pixels, down, across, 0.7, 0.4)) == str(number)


@pytest.mark.parametrize("turn", TURNS)
def test_a_cut_picture_is_found_however_it_lies(turn: str) -> None:
    for number, pixels in enumerate(PICTURES):
        assert found(TURNS[turn](cut(pixels, 0.1, 0.1, 0.7, 0.2))) == str(number)


def test_one_fingerprint_of_the_whole_does_not_find_a_cut_picture() -> None:
    """Else there would be no need for windows."""
    lists = [BlockList([Blocked(fingerprint(whole), "x")]) for whole in PICTURES]
    assert [one.match(laid(cut(whole, 0.2, 0.2, 0, 0))) for one, whole in zip(lists, PICTURES, strict=True)] == [
        None
    ] * len(PICTURES)


def test_other_pictures_are_not_found() -> None:
    others = [made(kind, 700 + n, 256) for kind in ("shapes on white", "clouds", "texture", "text") for n in range(6)]
    assert [found(pixels) for pixels in others] == [None] * len(others)


def test_what_is_flat_has_no_windows() -> None:
    grey = np.full((200, 300, 3), 128, np.uint8)
    slope = np.broadcast_to(np.linspace(90, 140, 300, dtype=np.uint8)[None, :, None], (200, 300, 3))
    for pixels in (grey, np.ascontiguousarray(slope), np.zeros((3, 3, 3), np.uint8)):
        assert (len(listed(pixels)), len(asked(pixels))) == (0, 0)
    assert known().match(NONE) is None


def strip(count: int, seed: int = 800) -> Pixels:
    """A long picture, so many times as wide as it is high."""
    kinds = ("clouds", "shapes on white", "texture")
    return np.concatenate([made(kinds[n % 3], seed + n, 200) for n in range(count)], 1)


@pytest.mark.parametrize("turn", ["upright", "mirrored", "a quarter"])
@pytest.mark.parametrize("count", [3, 7, 14])
def test_what_was_cut_out_of_a_long_picture_is_found_wherever_it_stood(count: int, turn: str) -> None:
    whole = strip(count)
    known = WindowList(listed(whole), ("long",) * len(listed(whole)))
    others = strip(count, 900)
    for begin in (0.0, 0.4, 0.66):
        left = round(whole.shape[1] * begin)
        part = slice(left, left + whole.shape[1] // 3)
        for pixels, expected in ((whole, "long"), (others, None)):
            cut_out = decoded(encoded(TURNS[turn](pixels[10:190, part]), "JPEG", quality=60))
            said = known.match(asked(cut_out))
            assert (None if said is None else said[0]) == expected, begin


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("turn", ["upright", "mirrored", "a quarter"])
def test_a_listed_picture_is_found_between_others_that_stand_beside_it(place: int, turn: str) -> None:
    kinds = ("clouds", "texture", "shapes on white", "clouds")
    beside = [made(kind, 820 + n, 256) for n, kind in enumerate(kinds)]
    for number, pixels in enumerate(PICTURES[:3]):
        row = np.concatenate([*beside[:place], pixels, *beside[place:]], 1)
        assert found(TURNS[turn](row)) == str(number)
    assert found(TURNS[turn](np.concatenate(beside, 1))) is None


def test_a_long_picture_is_known_by_its_castle_and_not_by_its_sky() -> None:
    """Its middle is empty, as that of many a panorama."""
    sky = np.full((200, 900, 3), 200, np.uint8)
    whole = np.concatenate([sky, made("clouds", 850, 200)], 1)
    known = WindowList(listed(whole), ("castle",) * len(listed(whole)))
    said = known.match(asked(whole[20:, 200:]))
    assert said is not None


def test_a_strip_has_no_more_windows_than_may_be_kept() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (20, 4_000, 3), np.uint8)
    assert 0 < len(listed(noise)) <= 5 * 10 * windows.LONGEST
    assert len(asked(noise)) < 1_000


def spread_out(prints: Prints) -> np.ndarray:
    """A window a row, 16 x 16 bits, down and across, from the order that a list is written in."""
    low = [(down, across) for down in range(16) for across in range(16) if max(down, across) < 8]
    high = [(down, across) for down in range(16) for across in range(16) if max(down, across) >= 8]
    grids = np.empty((len(prints), 16, 16), np.uint8)
    down, across = zip(*low, *high, strict=True)
    grids[:, down, across] = np.unpackbits(prints.view(np.uint8), axis=1)
    return grids


def in_eight_ways(grids: np.ndarray) -> list[np.ndarray]:
    """Mirrored, a wave with an odd number changes its sign; the first wave is number one."""
    odd = np.tile(np.array([1, 0], np.uint8), 8)
    down, across = odd[:, None], odd[None, :]
    laid = [grids, grids ^ down, grids ^ across, grids ^ down ^ across]
    return [*laid, *(one.transpose(0, 2, 1) for one in laid)]


def test_fingerprints_in_eight_ways_are_those_of_the_picture_laid_down_so() -> None:
    """To the bit, but for values so near to nothing that their sign is anybody's."""
    laid = in_eight_ways(spread_out(listed(PICTURES[1])))
    names = ("upright", "upside down", "mirrored", "turned round", "along the diagonal")
    for arranged, turn in zip(laid, names, strict=False):
        expected = spread_out(listed(np.ascontiguousarray(TURNS[turn](PICTURES[1]))))
        apart = (arranged[:, None] ^ expected[None]).sum((2, 3)).min(1)
        assert apart.max() <= 6, turn


@pytest.mark.parametrize("at_once", [1 << 16, 1_000, 40])
def test_a_look_up_answers_as_if_all_were_compared_in_eight_ways(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it leaves out early, and in however many steps it goes through the list."""
    monkeypatch.setattr(window_list, "_AT_ONCE", at_once)
    random = np.random.default_rng(7)
    prints = np.concatenate([listed(pixels) for pixels in PICTURES])
    known = WindowList(prints, tuple(map(str, range(len(prints)))))
    stored = spread_out(prints)
    answers = []
    for place, way in ((place, way) for place in (0, 31, len(prints) - 1) for way in range(8)):
        laid = in_eight_ways(stored[place : place + 1])[way][0]
        noisy = laid ^ (random.random((16, 16)) < random.uniform(0, 0.2))
        order = [(down, across) for down in range(16) for across in range(16)]
        order.sort(key=lambda at: max(at) >= 8)
        mine = np.packbits([noisy[at] for at in order]).view(np.uint64).reshape(1, WORDS)
        question = np.concatenate([random.integers(0, 1 << 64, (5, WORDS), np.uint64), mine])
        apart = np.stack([(noisy ^ one).sum((1, 2)) for one in in_eight_ways(stored)])
        least = int(apart.min())
        answers.append(least <= NEAR)
        said = known.match(question)
        assert (None if said is None else said[1]) == (least if least <= NEAR else None)
        if said is not None:
            assert apart[:, int(said[0])].min() == least
    assert {*answers} == {True, False}


def test_bits_are_told_apart_by_what_mirroring_changes() -> None:
    prints = listed(PICTURES[1])
    upright = by_mirror(prints)
    for place, changed in ((1, (1, 3)), (2, (2, 3)), (3, (1, 2))):
        grids = in_eight_ways(spread_out(prints))[place]
        order = sorted(((d, a) for d in range(16) for a in range(16)), key=lambda at: max(at) >= 8)
        again = np.packbits([[grid[at] for at in order] for grid in grids], axis=1).view(np.uint64)
        words = by_mirror(again) ^ upright
        assert {tuple(np.bitwise_count(row).tolist()) for row in words} == {
            tuple(64 if word in changed else 0 for word in range(WORDS))
        }
    assert (transposed(transposed(prints)) == prints).all()


def test_steady_bits_too_far_apart_are_left_out_first() -> None:
    """What a look-up of a long list spares is measured in `bench.pictures`."""
    prints = listed(PICTURES[1])[:1]
    known = WindowList(prints, ("fox",))
    steady = np.flatnonzero(np.unpackbits(by_mirror(ONE_BIT_EACH).view(np.uint8), axis=1)[:, :64].any(1))
    bits = np.unpackbits(prints.view(np.uint8))
    for count, expected in ((STEADY_NEAR, ("fox", STEADY_NEAR)), (STEADY_NEAR + 1, None)):
        changed = bits.copy()
        changed[steady[:count]] ^= 1
        assert known.match(np.packbits(changed).view(np.uint64).reshape(-1, WORDS)) == expected


def test_a_list_is_read_as_it_was_written_and_others_take_it_for_comments() -> None:
    prints = listed(PICTURES[1])
    text = f"# theirs\n{fingerprint(PICTURES[1])} fox\n{written(prints, 'fox')}"
    assert len(BlockList.read(text)) == 1
    read = WindowList.read(text)
    assert len(read) == len(prints)
    assert written(np.asarray(prints), "fox") in text
    assert read.match(prints[3:4]) == ("fox", 0)


@pytest.mark.parametrize(
    "line", [f"{MARK}", f"{MARK}12 fox", f"{MARK}{'0' * 64}", f"{MARK}{'g' * 64} fox", f"{MARK}{'٣' * 64} fox"]
)
def test_a_line_that_is_no_window_is_refused_and_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: expected 64"):
        WindowList.read(f"# theirs\n{line}\n")


def test_a_window_is_the_same_up_to_so_many_bits_and_no_further() -> None:
    prints = listed(PICTURES[1])[:1]
    known = WindowList.read(written(prints, "fox"))
    for bits, expected in ((NEAR, ("fox", NEAR)), (NEAR + 1, None)):
        changed = np.unpackbits(prints.view(np.uint8)).copy()
        changed[-bits:] ^= 1
        assert known.match(np.packbits(changed).view(np.uint64).reshape(-1, WORDS)) == expected


def test_what_is_around_the_middle_holds_what_lies_a_little_beside_it() -> None:
    """So that who lays the same thing down not quite alike meets its like."""
    pixels = PICTURES[1]
    (own, *_), shifted = around(pixels), around(np.ascontiguousarray(pixels[6:, 6:][:244, :244]))
    assert len(around(pixels)) == NEARBY
    apart = np.bitwise_count(shifted ^ own).sum(1)
    assert apart.min() < apart[0]
    assert apart.min() <= NEAR
    assert (around(np.full((96, 96, 3), 90, np.uint8)) == NONE).all()


def test_a_mirrored_print_is_that_of_the_mirrored_picture() -> None:
    pixels = PICTURES[1]
    apart = np.bitwise_count(mirrored(around(pixels))[0] ^ around(np.ascontiguousarray(pixels[:, ::-1]))[0]).sum()
    assert apart <= 6
    assert (mirrored(mirrored(around(pixels))) == around(pixels)).all()
