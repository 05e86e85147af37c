"""Opening a store: what must agree before a single record may be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from audit.checkpoint import Checkpoint
from audit.errors import KeyRefused, SnapshotRefused, StoreDamaged
from audit.keys.ring import KeyRing
from audit.note import NoteSigner
from audit.record import Phase
from audit.row import Row
from audit.settings import AuditSettings
from audit.store.authenticity import RowAuthenticator
from audit.store.credentials import check_new, open_keys, open_signer, rolled_back, witnessed
from audit.store.disk import Disk
from audit.store.files.day_file import DayReader
from audit.store.files.layout import Identity, Layout
from audit.store.files.recovery import read_new_rows
from audit.store.files.tree_file import TreeFile
from audit.store.heads import check_newest, root_matches
from audit.store.purges import purges_of_day
from audit.store.queue import ticket_of
from audit.tickets import OpenTickets
from audit.tiles import TileTree


@dataclass(slots=True, kw_only=True)
class OpenedStore:
    """A store that was found in order."""

    identity: Identity
    signer: NoteSigner | None
    ring: KeyRing
    tree: TreeFile
    latest: tuple[Checkpoint, datetime] | None
    is_witnessed: bool  # does the witness hold the newest checkpoint? A crash may have come between
    tickets: OpenTickets
    new_rows: list[Row]  # durable, but not in the tree yet
    next_seq: int
    authenticate: RowAuthenticator


def open_store(
    settings: AuditSettings, layout: Layout, disk: Disk, clock: Callable[[], datetime], *, read_snapshot: bool
) -> OpenedStore:
    """Check keys, tree, checkpoints and witness against each other. The caller holds the store's lock.

    Raises ``KeyRefused``, ``SnapshotRefused``, ``StoreRolledBack`` or ``StoreDamaged``. Nothing is repaired: what is
    merely behind (the tree after a crash) is caught up, what contradicts is for a person with ``verify``.
    """
    is_new = not layout.identity.exists()
    if is_new and layout.days():
        raise StoreDamaged(f"{layout.directory} holds day files but no {layout.identity.name}")
    is_snapshot = not is_new and Identity.read(layout.identity).snapshot_taken_at is not None
    if is_snapshot != read_snapshot:
        what = "is a snapshot: going on with it would fork the log" if is_snapshot else "is no snapshot"
        raise SnapshotRefused(f"{layout.directory} {what}")
    kek = open_keys(settings, disk, is_new=is_new)
    signer = None if is_snapshot else open_signer(settings, disk, is_new=is_new)
    if settings.witness_path is not None:
        settings.witness_path.parent.mkdir(parents=True, exist_ok=True)
    if is_new and signer is not None:
        _create(settings, layout, disk, clock, signer)
    identity = Identity.read(layout.identity)
    if signer is not None and identity.verifier_key != signer.verifier_key:  # the key's name is the origin
        raise KeyRefused(f"{layout.directory} belongs to another origin or signing key than the settings name")
    ring = KeyRing(layout.keys_folder, kek, disk)
    try:
        tree = TreeFile(layout.tree, disk, create=False)
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{layout.tree.name} cannot be read") from error
    try:
        return _check(settings, layout, identity, signer, ring, tree)
    except sqlite3.DatabaseError as error:
        tree.close()
        raise StoreDamaged("a file of the store cannot be read") from error
    except BaseException:
        tree.close()
        raise


def _create(
    settings: AuditSettings, layout: Layout, disk: Disk, clock: Callable[[], datetime], signer: NoteSigner
) -> None:
    check_new(settings, signer.verifier_key)
    TreeFile(layout.tree, disk, create=True).close()
    identity = Identity(origin=settings.origin, verifier_key=signer.verifier_key, created_at=clock())
    identity.write(layout.identity, disk)  # last: from here on it is a store


def _check(
    settings: AuditSettings,
    layout: Layout,
    identity: Identity,
    signer: NoteSigner | None,
    ring: KeyRing,
    tree: TreeFile,
) -> OpenedStore:
    size = tree.size()
    tiles = TileTree(tree.read_tile, size)
    latest = tree.newest_checkpoint(identity.origin)
    if latest is not None:
        check_newest(latest[0], tiles, identity.verifier_key)
    elif size:
        raise StoreDamaged("the tree holds records but no checkpoint")
    held = witnessed(settings, identity.verifier_key) if signer is not None else None
    if held is not None and (held.size > size or not root_matches(held, tiles)):
        raise rolled_back(held, size)
    days = layout.days()
    newest = -1
    purged: list[tuple[str, int]] = []
    for day in days:
        reader = DayReader(layout.day_path(day), day)
        newest = max(newest, reader.newest_seq())
        purged += purges_of_day(reader)
        reader.close()
    ring.destroyed.require(purged)
    if newest < size - 1:
        raise StoreDamaged(f"the day files end at record {newest}, but the tree holds {size}")
    authenticate = RowAuthenticator(ring)
    rows = read_new_rows(layout, days, size, authenticate)
    return OpenedStore(
        identity=identity,
        signer=signer,
        ring=ring,
        tree=tree,
        latest=latest,
        is_witnessed=latest is not None and held == latest[0],
        tickets=_open_tickets(tree, rows),
        new_rows=rows,
        next_seq=size + len(rows),
        authenticate=authenticate,
    )


def _open_tickets(tree: TreeFile, rows: list[Row]) -> OpenTickets:
    tickets = OpenTickets()
    for ticket in tree.open_tickets():
        tickets.opened(ticket)
    for row in rows:
        ticket = ticket_of(row)
        if row.phase == Phase.INTENT:
            tickets.opened(ticket)
        elif row.phase == Phase.OUTCOME:
            tickets.concluded(ticket.event_id)
    return tickets
