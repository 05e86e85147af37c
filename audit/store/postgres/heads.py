"""The tree of the database, its newest checkpoint and the witness: do they agree?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit.checkpoint import Checkpoint
from audit.errors import StoreDamaged
from audit.note import VerifierKey
from audit.settings import AuditSettings
from audit.store.credentials import rolled_back, witnessed
from audit.store.heads import check_newest, root_matches
from audit.store.postgres.connection import Connection
from audit.store.postgres.tree_table import TreeHead, newest_checkpoint, read_head
from audit.tiles import ReadTile, TileTree


@dataclass(frozen=True, slots=True)
class CheckedHeads:
    """A tree that may be gone on with."""

    head: TreeHead
    tree: TileTree
    latest: tuple[Checkpoint, datetime] | None
    is_witnessed: bool  # does the witness hold the newest checkpoint? A crash may have come between


def check_heads(connection: Connection, settings: AuditSettings, key: VerifierKey, read_tile: ReadTile) -> CheckedHeads:
    """Asked when a process opens the log, and again when it becomes the one that signs.

    Raises ``StoreRolledBack`` or ``StoreDamaged``; nothing is repaired.
    """
    # The witness first: it hears of a checkpoint after it is stored, so what is read from the database later is at
    # least as new, while somebody else may be signing at this very moment.
    held = witnessed(settings, key)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        head = read_head(connection)
        latest = newest_checkpoint(connection, key.name)
        tree = TileTree(read_tile, head.size)
        if latest is not None:
            check_newest(latest[0], tree, key)
            if (latest[0].size, latest[0].root) != (head.size, head.root):
                raise StoreDamaged(f"the tree says {head.size}, its newest checkpoint {latest[0].size}")
        elif head.size:
            raise StoreDamaged("the tree holds records but no checkpoint")
        if held is not None and (held.size > head.size or not root_matches(held, tree)):
            raise rolled_back(held, head.size)
    return CheckedHeads(head, tree, latest, latest is not None and held == latest[0])
