"""Does a stored tree have the root that a checkpoint says?"""

from __future__ import annotations

from audit.checkpoint import Checkpoint
from audit.errors import StoreDamaged
from audit.note import VerifierKey
from audit.tiles import TileTree
from audit.tree import EMPTY_ROOT


def check_newest(checkpoint: Checkpoint, tiles: TileTree, key: VerifierKey) -> None:
    """Raises ``StoreDamaged`` unless the store's newest checkpoint is the log's own and the tree has its root."""
    if not checkpoint.is_signed_by(key):
        raise StoreDamaged("the newest checkpoint is not signed by the log's key")
    if checkpoint.size > tiles.size:
        raise StoreDamaged(f"the tree ends at {tiles.size}, below its checkpoint of {checkpoint.size}")
    if not root_matches(checkpoint, tiles):
        raise StoreDamaged(f"the tree does not have the root of its checkpoint of {checkpoint.size}")


def root_matches(checkpoint: Checkpoint, tiles: TileTree) -> bool:
    """Raises ``StoreDamaged`` if the tree lacks what the root is made of."""
    try:
        root = tiles.root(checkpoint.size) if checkpoint.size else EMPTY_ROOT
    except ValueError as error:
        raise StoreDamaged("a tile of the tree is cut short") from error
    return root == checkpoint.root
