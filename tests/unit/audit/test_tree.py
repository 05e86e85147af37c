from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tiles import TileTree, first_kept_tile, fold, pruned_subtrees
from audit.tree import EMPTY_ROOT, RollingRoot, leaf_hash, verify_consistency, verify_inclusion


class Memory:
    """Tiles kept in a dictionary, the way a store keeps them in a table."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        return self.tiles[level, index]


def build(leaves: list[bytes]) -> TileTree:
    memory = Memory()
    tree = TileTree(memory.read, 0)
    tree.append(leaves)
    memory.tiles.update(tree.take_dirty())
    return TileTree(memory.read, len(leaves))  # everything it answers now comes from what was stored


def flip(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


@pytest.fixture
def published(vectors: Path) -> dict[str, Any]:
    return json.loads((vectors / "rfc6962-merkle.json").read_text())


def test_published_leaf_hashes_and_roots(published: dict[str, Any]) -> None:
    leaves = [leaf_hash(bytes.fromhex(text)) for text in published["leaf_inputs"]]
    assert [leaf.hex() for leaf in leaves] == published["leaf_hashes"]
    tree = build(leaves)
    assert [tree.root(size).hex() for size in range(9)] == published["roots"]
    assert EMPTY_ROOT.hex() == published["roots"][0]


def test_published_inclusion_paths(published: dict[str, Any]) -> None:
    leaves = [bytes.fromhex(text) for text in published["leaf_hashes"]]
    tree = build(leaves)
    for case in published["inclusion"]:
        path = tree.inclusion_path(case["index"], case["size"])
        assert [sibling.hex() for sibling in path] == case["path"]
        root = bytes.fromhex(published["roots"][case["size"]])
        assert verify_inclusion(case["index"], case["size"], leaves[case["index"]], path, root)


def test_published_consistency_paths(published: dict[str, Any]) -> None:
    tree = build([bytes.fromhex(text) for text in published["leaf_hashes"]])
    for case in published["consistency"]:
        path = tree.consistency_path(case["old"], case["new"])
        assert [sibling.hex() for sibling in path] == case["path"]
        old, new = (bytes.fromhex(published["roots"][case[which]]) for which in ("old", "new"))
        assert verify_consistency(case["old"], case["new"], old, new, path)


LEAVES = [leaf_hash(b"%d" % number) for number in range(1400)]
TREE = build(LEAVES)
ORACLE = pymerkle.InmemoryTree(algorithm="sha256")
for number in range(1400):
    ORACLE.append_entry(b"%d" % number)

sizes = st.integers(1, 1400)
edges = st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 1400])


@given(st.one_of(sizes, edges))
def test_root_equals_the_oracles(size: int) -> None:
    assert TREE.root(size) == ORACLE.get_root(size)
    rolling = RollingRoot()
    for leaf in LEAVES[:size]:
        rolling.append(leaf)
    assert rolling.root() == ORACLE.get_root(size)


@given(st.data(), st.one_of(sizes, edges))
def test_inclusion_path_equals_the_oracles_and_verifies(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = TREE.inclusion_path(index, size)
    theirs = [bytes.fromhex(item) for item in ORACLE.prove_inclusion(index + 1, size).serialize()["path"]]
    assert sorted([*path, LEAVES[index]]) == sorted(theirs)  # the oracle counts from one and lists the leaf too
    assert verify_inclusion(index, size, LEAVES[index], path, ORACLE.get_root(size))


@given(st.one_of(sizes, edges), st.integers(0, 8))
def test_a_root_from_subtrees_and_leaves_equals_the_oracles(size: int, bits: int) -> None:
    width = 1 << bits
    rolling = RollingRoot()
    while rolling.size + width <= size:
        rolling.append_subtree(fold(LEAVES[rolling.size : rolling.size + width]), width)
    for leaf in LEAVES[rolling.size : size]:
        rolling.append(leaf)
    assert (rolling.size, rolling.root()) == (size, ORACLE.get_root(size))


@pytest.mark.parametrize(("before", "width"), [(1, 2), (255, 256), (0, 3), (0, 0), (2, -2)])
def test_a_subtree_stands_only_where_the_tree_has_one(before: int, width: int) -> None:
    rolling = RollingRoot()
    for leaf in LEAVES[:before]:
        rolling.append(leaf)
    with pytest.raises(ValueError, match="cannot stand"):
        rolling.append_subtree(LEAVES[0], width)


@given(st.integers(0, 1400), st.data())
def test_a_pruned_tree_gives_what_the_specification_promises(minimum: int, data: st.DataObject) -> None:
    """C2SP tlog-tiles, "Pruning": entries, roots and proofs at or above the minimum index."""
    memory = Memory()
    whole = TileTree(memory.read, 0)
    whole.append(LEAVES)
    memory.tiles.update(whole.take_dirty())
    kept = {key: tile for key, tile in memory.tiles.items() if key[0] > 0 or key[1] >= first_kept_tile(minimum)}
    tree = TileTree(lambda level, index: kept[level, index], 1400)
    sizes_above = st.integers(max(minimum, 1), 1400)
    old, new = sorted((data.draw(sizes_above), data.draw(sizes_above)))
    assert tree.root(old) == ORACLE.get_root(old)
    assert verify_consistency(old, new, tree.root(old), tree.root(new), tree.consistency_path(old, new))
    if minimum < new:
        index = data.draw(st.integers(minimum, new - 1))
        path = tree.inclusion_path(index, new)
        assert verify_inclusion(index, new, tree.leaf(index), path, ORACLE.get_root(new))
    rolling = RollingRoot()
    for root in pruned_subtrees(lambda level, index: kept[level, index], minimum):
        rolling.append_subtree(root, 256)
    for leaf in LEAVES[rolling.size :]:
        rolling.append(leaf)
    assert rolling.root() == ORACLE.get_root(1400)


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def subproof(m: int, leaves: list[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2, word by word."""
    n = len(leaves)
    if m == n:
        return [] if complete else [mth(leaves)]
    k = 1 << ((n - 1).bit_length() - 1)
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@settings(max_examples=60)
@given(st.data(), st.integers(1, 300))
def test_consistency_path_equals_the_definition(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    assert TREE.consistency_path(old, new) == subproof(old, LEAVES[:new], True)


@given(st.data(), st.one_of(sizes, edges))
def test_consistency_between_the_oracles_roots_verifies(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    path = TREE.consistency_path(old, new)
    assert verify_consistency(old, new, ORACLE.get_root(old), ORACLE.get_root(new), path)


@settings(max_examples=60)
@given(st.data(), st.one_of(sizes, edges))
def test_no_mutated_inclusion_proof_verifies(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, leaf = TREE.root(size), LEAVES[index]
    path = TREE.inclusion_path(index, size)
    wrong = [
        (index, size, flip(leaf), path, root),
        (index, size, leaf, path, flip(root)),
        (index, size, leaf, [*path, leaf], root),
        (index, size, leaf, path[:-1], root) if path else (index, size + 1, leaf, path, root),
        (size, size, leaf, path, root),
        (-1, size, leaf, path, root),
        (index, size, leaf[:-1], path, root),
        (index, 0, leaf, path, root),
    ]
    wrong += [(index, size, leaf, [*path[:at], flip(path[at]), *path[at + 1 :]], root) for at in range(len(path))]
    wrong += [(other, size, leaf, path, root) for other in {0, size // 2, size - 1} - {index}]
    for case in wrong:
        assert not verify_inclusion(*case)


@settings(max_examples=60)
@given(st.data(), st.integers(2, 1400))
def test_no_mutated_consistency_proof_verifies(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new - 1))
    old_root, new_root = TREE.root(old), TREE.root(new)
    path = TREE.consistency_path(old, new)
    wrong = [
        (old, new, flip(old_root), new_root, path),
        (old, new, old_root, flip(new_root), path),
        (old, new, old_root, new_root, [*path, new_root]),
        (old, new, old_root, new_root, path[:-1]),
        (old, new, old_root, new_root, []),
        (new, old, new_root, old_root, path),
        (old, old, old_root, new_root, []),
        (0, new, old_root, new_root, []),
        (old, new, old_root[:-1], new_root, path),
    ]
    wrong += [(old, new, old_root, new_root, [*path[:at], flip(path[at]), *path[at + 1 :]]) for at in range(len(path))]
    for case in wrong:
        assert not verify_consistency(*case)


def test_the_empty_tree_is_consistent_with_every_tree() -> None:
    assert verify_consistency(0, 5, EMPTY_ROOT, TREE.root(5), [])
    assert TREE.consistency_path(0, 5) == TREE.consistency_path(5, 5) == []


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_a_tree_grown_in_pieces_and_reopened_between_is_the_same(pieces: list[int]) -> None:
    memory = Memory()
    size = 0
    for piece in pieces:
        tree = TileTree(memory.read, size)  # as after a restart
        tree.append(LEAVES[size : size + piece][: 1400 - size])
        memory.tiles.update(tree.take_dirty())
        size = tree.size
        assert tree.root() == ORACLE.get_root(size)
        assert tree.leaf(size - 1) == LEAVES[size - 1]


def test_tiles_are_laid_out_as_the_specification_says() -> None:
    """C2SP tlog-tiles: the partial tile of a level has floor(size / 256**level) mod 256 hashes."""
    memory = Memory()
    tree = TileTree(memory.read, 0)
    tree.append(LEAVES[:1281])
    dirty = tree.take_dirty()
    assert {key: len(tile) // 32 for key, tile in dirty.items()} == {
        **{(0, index): 256 for index in range(5)},
        (0, 5): 1,
        (1, 0): 5,
    }
    assert tree.take_dirty() == {}


def test_sizes_and_indexes_beyond_the_tree_are_refused() -> None:
    for wrong in (
        lambda: TREE.root(1401),
        lambda: TREE.inclusion_path(5, 5),
        lambda: TREE.inclusion_path(0, 1401),
        lambda: TREE.consistency_path(6, 5),
    ):
        with pytest.raises(ValueError, match="out of range"):
            wrong()


def test_a_tile_that_was_cut_short_is_noticed() -> None:
    memory = Memory()
    tree = TileTree(memory.read, 0)
    tree.append(LEAVES[:300])
    memory.tiles.update(tree.take_dirty())
    memory.tiles[0, 1] = memory.tiles[0, 1][:-32]
    with pytest.raises(ValueError, match="too short"):
        TileTree(memory.read, 300).root()
