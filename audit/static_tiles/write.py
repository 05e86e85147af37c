"""Publishing a log as static files: atomic, resumable, never against what was published before.

Files get their names only when they are whole and fsynced; the checkpoint comes last, when all that it needs is there.
A run that was cut short goes on where it stopped: what the published checkpoint covers is kept, the rest is written
again. A folder whose checkpoint the store contradicts is left alone: somebody would have seen two histories.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import StoreDamaged, StoreError
from audit.note import VerifierKey
from audit.row import Row, leaf_data
from audit.static_tiles.paths import CHECKPOINT, bundle_path, encode_bundle, tile_path, tiles_of
from audit.static_tiles.read import read_checkpoint_note
from audit.store.disk import Disk
from audit.store.moment import MomentPort
from audit.tiles import LEVEL_BITS, TILE_WIDTH, TileTree, first_kept_tile, split_hashes
from audit.tree import HASH_BYTES

Progress = Callable[[int, int], None]  # records done, records in all
_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a run did."""

    checkpoint: Checkpoint
    first_entry: int  # entries before it were pruned
    files_written: int
    files_kept: int


def write_static(
    moment: MomentPort,
    folder: Path,
    *,
    note: str | None = None,
    disk: Disk | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Published:
    """Publish the newest checkpoint of a store. ``note``: its signed note with cosignatures, if witnesses gave some.

    Raises ``StoreError`` if there is no checkpoint yet, ``StoreDamaged`` if the store's records do not give its tree,
    or contradict what the folder published; ``NoteRefused`` if the folder's checkpoint is of another log.
    """
    key = moment.identity.verifier_key
    tree = TileTree(moment.tree.read_tile, moment.tree.size)
    checkpoint = _newest(moment, key, note)
    if tree.root(checkpoint.size) != checkpoint.root:
        raise StoreDamaged(f"the tree does not have the root of its checkpoint of {checkpoint.size}; run verify")
    published = _published(folder, key, tree, checkpoint.size)
    writer = _Writer(folder, disk or Disk(), published)
    first = first_kept_tile(moment.tree.minimum_index)
    for level, index, width in tiles_of(checkpoint.size):
        path = tile_path(level, index, width)
        if (level > 0 or index >= first) and not writer.keeps(level, index, width, path):
            writer.put(path, _tile(moment, level, index, width))
    first_bundle = -(-moment.tree.minimum_index // TILE_WIDTH)
    _write_bundles(moment, writer, first_bundle, checkpoint.size, progress)
    writer.finish()
    (folder / "tile").mkdir(parents=True, exist_ok=True)  # an empty log has none
    writer.disk.write_whole(folder / CHECKPOINT, (note or checkpoint.note(key)).encode(), _MODE)
    return Published(
        checkpoint=checkpoint,
        first_entry=first_bundle * TILE_WIDTH,
        files_written=writer.written,
        files_kept=writer.kept,
    )


def _newest(moment: MomentPort, key: VerifierKey, note: str | None) -> Checkpoint:
    if note is not None:
        checkpoint = parse_checkpoint(note, key)
        if checkpoint.size > moment.tree.size:
            raise StoreError(f"the note is of size {checkpoint.size}, the store has only {moment.tree.size}")
        return checkpoint
    checkpoints = moment.tree.checkpoints(key.name)
    if not checkpoints:
        raise StoreError("the log has no checkpoint yet; it is signed within a second, or at the next start")
    return checkpoints[-1][0]


def _published(folder: Path, key: VerifierKey, tree: TileTree, new_size: int) -> int:
    """Size that the folder has published; 0 for a fresh one."""
    if not (folder / CHECKPOINT).exists():
        return 0
    old = parse_checkpoint(read_checkpoint_note(folder), key)
    if old.size > new_size:
        raise StoreDamaged(f"{folder} has published {old.size} records, the store has signed only {new_size}")
    try:
        root = tree.root(old.size)
    except StoreDamaged:  # pruned since; the tree's own checkpoints were compared when it was pruned
        return old.size
    if root != old.root:
        raise StoreDamaged(f"{folder} has published another history: its root at {old.size} is not the store's")
    return old.size


def _tile(moment: MomentPort, level: int, index: int, width: int) -> bytes:
    data = moment.tree.read_tile(level, index)[: width * HASH_BYTES]
    if len(data) < width * HASH_BYTES:
        raise StoreDamaged(f"tile {level}/{index} is cut short; run verify")
    return data


def _write_bundles(moment: MomentPort, writer: _Writer, first: int, size: int, progress: Progress) -> None:
    count = -(-size // TILE_WIDTH)
    while first < count:
        width = min(TILE_WIDTH, size - first * TILE_WIDTH)
        if not writer.keeps(0, first, width, bundle_path(first, width)):
            break
        first += 1
    rows = heapq.merge(*(day.rows(first * TILE_WIDTH) for day in moment.days), key=lambda row: row.seq)
    for index in range(first, count):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        entries = list(_entries(rows, index * TILE_WIDTH, width))
        leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
        if leaves != split_hashes(_tile(moment, 0, index, width)):
            raise StoreDamaged(f"records {index * TILE_WIDTH} and on do not give the log's tree; run verify")
        path = bundle_path(index, width)
        if not writer.keeps(0, index, width, path):
            writer.put(path, encode_bundle(entries))
        progress(index * TILE_WIDTH + width, size)


def _entries(rows: Iterator[Row], first: int, width: int) -> Iterator[bytes]:
    for place, row in enumerate(islice(rows, width), first):
        if row.seq != place:
            raise StoreDamaged(f"record {place} is missing from the store; run verify")
        yield leaf_data(row)


class _Writer:
    """Writes files whole, and folders through to the disk once."""

    def __init__(self, folder: Path, disk: Disk, published: int) -> None:
        self._folder = folder
        self.disk = disk
        self._published = published  # what lies wholly below this many records is never written again
        self._folders: set[Path] = set()
        self.written = 0
        self.kept = 0

    def keeps(self, level: int, index: int, width: int, path: str) -> bool:
        """Was this tile or bundle published before? Then it stays as it is."""
        end = (index * TILE_WIDTH + width) << (LEVEL_BITS * level)
        if end > self._published or not (self._folder / path).exists():
            return False
        self.kept += 1
        return True

    def put(self, path: str, data: bytes) -> None:
        target = self._folder / path
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Each folder up to the top: the name of a new one is in the one above it.
            above = [parent for parent in target.parents if parent.is_relative_to(self._folder)]
            self._folders.update(above)
        fresh = target.with_name(target.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        self.written += 1

    def finish(self) -> None:
        for folder in sorted(self._folders):
            self.disk.sync_folder(folder)
