"""What an administrator who knows the format can compute without a key: digests, commitments, leaves, tiles, roots."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from audit.row import Row, index_commitment, leaf_of
from audit.tiles import TileTree
from tests.dba.victim import CHECKPOINTS, Victim


def with_leaf(row: Row) -> Row:
    """The row with the leaf that its fields give."""
    return row._replace(leaf=leaf_of(row))


def with_hashes(row: Row) -> Row:
    """The row with every digest and commitment that needs no key, and the leaf of them."""
    if row.subject is not None and row.content is not None:
        row = row._replace(
            subject_digest=hashlib.sha256(row.subject).digest(), content_digest=hashlib.sha256(row.content).digest()
        )
    if row.index_salt is not None and row.terms is not None:
        row = row._replace(index_commitment=index_commitment(row.index_salt, row.terms))
    return with_leaf(row)


def renumbered(rows: Sequence[Row]) -> list[Row]:
    """The rows in the order given, under dense numbers; outcomes still point to their intents."""
    places = {row.seq: place for place, row in enumerate(rows)}
    return [row._replace(seq=at, head_seq=places.get(row.head_seq, row.head_seq)) for at, row in enumerate(rows)]


def recounted(rows: Sequence[Row]) -> list[Row]:
    """The rows with counters that rise within each run of a process."""
    seen: Counter[str] = Counter()
    counted = []
    for row in rows:
        seen[row.boot] += 1
        counted.append(row._replace(counter=seen[row.boot]))
    return counted


def checkpoint_before(seq: int) -> int:
    """Size of the newest checkpoint that does not cover a record."""
    return max(size for size in CHECKPOINTS if size <= seq)


def rebuild_tree(victim: Victim, rows: Sequence[Row], keep_checkpoints: int = CHECKPOINTS[-1]) -> bytes:
    """Put the tree of these rows in the place of the other; returns its root."""
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(lambda level, at: tiles[level, at], 0)
    tree.append(row.leaf for row in rows)
    tiles.update(tree.take_dirty())
    victim.put_tree(tree.size, tree.root(), tiles, keep_checkpoints)
    return tree.root()


def recompute_all(victim: Victim) -> list[Row]:
    """Make the store agree with itself again: numbers, counters, hashes, search tables, tree; returns the rows."""
    rows = [with_hashes(row) for row in recounted(renumbered(victim.rows()))]
    victim.put(rows)
    rebuild_tree(victim, rows)
    return rows
