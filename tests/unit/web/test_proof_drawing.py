from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tree import leaf_hash, node_hash, verify_inclusion
from gateway.web.proof_drawing import HEIGHT, WIDTH, draw, neighbours


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root(leaves[:split]), root(leaves[split:]))


def path(seq: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if seq < split:
        return [*path(seq, leaves[:split]), root(leaves[split:])]
    return [*path(seq - split, leaves[split:]), root(leaves[:split])]


@st.composite
def trees(draw_: st.DrawFn) -> tuple[int, int]:
    size = draw_(st.integers(1, 400))
    return draw_(st.integers(0, size - 1)), size


@given(trees())
def test_each_neighbour_stands_for_exactly_the_records_whose_hash_it_is(tree):
    seq, size = tree
    leaves = [leaf_hash(bytes([n & 255, n >> 8])) for n in range(size)]
    hashes = path(seq, leaves)
    assert verify_inclusion(seq, size, leaves[seq], hashes, root(leaves))
    start, end = seq, seq + 1
    for neighbour in neighbours(seq, size, hashes):
        if neighbour.is_later:
            assert neighbour.hash == root(leaves[end : end + neighbour.records])
            end += neighbour.records
        else:
            start -= neighbour.records
            assert neighbour.hash == root(leaves[start : start + neighbour.records])
    assert (start, end) == (0, size)


@given(trees())
def test_everything_drawn_lies_inside_the_picture(tree):
    seq, size = tree
    count = len(path(seq, [leaf_hash(bytes([n & 255, n >> 8])) for n in range(size)]))
    drawing = draw(seq, size, [bytes(32)] * count)
    assert (drawing.before, drawing.later) == (seq, size - seq - 1)
    for step in drawing.steps:
        for x, y in (point.split(",") for point in step.points.split()):
            assert 0 <= float(x) <= WIDTH
            assert 14 <= float(y) <= HEIGHT - 14
        assert step.joins <= drawing.head_x + 0.01


def test_a_record_in_a_log_of_ten_million_is_still_drawn():
    drawing = draw(9_999_998, 10_000_000, [bytes(32)] * len(_spans(9_999_998, 10_000_000)))
    assert len(drawing.steps) > 10


def _spans(seq: int, size: int) -> list[int]:
    found, start, end = [], 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        found.append(1)
        start, end = (start, split) if seq < split else (split, end)
    return found


@pytest.mark.parametrize(("seq", "size", "length"), [(0, 8, 2), (0, 8, 4), (8, 8, 3), (-1, 8, 3), (0, 1, 1), (0, 0, 0)])
def test_a_proof_of_the_wrong_size_is_not_drawn_as_if_it_held(seq, size, length):
    with pytest.raises(ValueError, match="wrong size"):
        neighbours(seq, size, [bytes(32)] * length)


def test_a_log_of_one_record_is_its_own_head():
    drawing = draw(0, 1, [])
    assert drawing.steps == ()
    assert drawing.leaf_x < drawing.head_x
