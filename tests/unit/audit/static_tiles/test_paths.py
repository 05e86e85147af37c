from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.static_tiles.paths import bundle_path, decode_bundle, encode_bundle, tile_path, tiles_of


@pytest.fixture
def published(vectors: Path) -> dict[str, Any]:
    return json.loads((vectors / "c2sp-tlog-tiles.json").read_text())


def test_published_paths(published: dict[str, Any]) -> None:
    for case in published["paths"]:
        assert tile_path(case["level"], case["index"], case["width"]) == case["path"]
    for case in published["bundles"]:
        assert bundle_path(case["index"], case["width"]) == case["path"]


def test_published_trees(published: dict[str, Any]) -> None:
    """The specification's examples: which tiles trees of 256 and of 70,000 leaves have."""
    for case in published["trees"]:
        widths: dict[str, dict[str, int]] = {}
        for level, _, width in tiles_of(case["size"]):
            counts = widths.setdefault(str(level), {})
            counts[str(width)] = counts.get(str(width), 0) + 1
        assert widths == case["tiles"]


@given(st.integers(0, 10**15))
def test_an_index_comes_back_and_names_no_folder_as_a_file(index: int) -> None:
    path = tile_path(3, index)
    groups = path.removeprefix("tile/3/").split("/")
    assert int("".join(group.removeprefix("x") for group in groups)) == index
    assert all(group.startswith("x") for group in groups[:-1])
    assert not groups[-1].startswith("x")
    assert all(len(group.removeprefix("x")) == 3 for group in groups)


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_paths_outside_the_format_are_refused(level: int, index: int, width: int) -> None:
    with pytest.raises(ValueError, match=r"out of range|negative"):
        tile_path(level, index, width)


@given(st.integers(0, 3_000_000))
def test_a_tree_has_the_tiles_that_its_size_says(size: int) -> None:
    """C2SP tlog-tiles: floor(s / 256**l) hashes at level l, at most the last tile of a level partial."""
    counts: dict[int, int] = {}
    for level, index, width in tiles_of(size):
        assert counts.get(level, 0) == index * 256
        counts[level] = counts.get(level, 0) + width
    assert counts == {level: size >> 8 * level for level in range(4) if size >> 8 * level}


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries)) == entries


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.data())
def test_a_bundle_cut_anywhere_is_noticed_or_shorter(entries: list[bytes], data: st.DataObject) -> None:
    whole = encode_bundle(entries)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = decode_bundle(cut)
    except ValueError:
        return
    assert found == entries[: len(found)]
    assert len(found) < len(entries)


def test_bundles_outside_the_format_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode_bundle([b"x" * 65_536])
    with pytest.raises(ValueError, match="more than 256"):
        decode_bundle(b"\0\0" * 257)
