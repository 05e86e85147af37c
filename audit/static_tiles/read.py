"""A folder of static files as a tree. Trusts nothing but the public key; reads no more than it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import StoreDamaged
from audit.note import MAX_NOTE_BYTES, VerifierKey
from audit.static_tiles.paths import CHECKPOINT, MAX_ENTRY_BYTES, bundle_path, decode_bundle, tile_path
from audit.tiles import LEVEL_BITS, TILE_WIDTH, TileTree
from audit.tree import HASH_BYTES


class TileReader:
    """The tree of the folder's checkpoint. ``note`` is that checkpoint as it is signed, cosignatures included."""

    def __init__(self, folder: Path, key: VerifierKey) -> None:
        """Raises ``StoreDamaged`` if the folder holds no tiled log, ``NoteRefused`` if its checkpoint is not signed by
        ``key``."""
        self.folder = folder
        self.note = read_checkpoint_note(folder)
        self.checkpoint: Checkpoint = parse_checkpoint(self.note, key)

    def tree(self) -> TileTree:
        """For roots and proofs. Its methods raise ``StoreDamaged`` for a tile that is missing or cut short."""
        return TileTree(self.read_tile, self.checkpoint.size)

    def read_tile(self, level: int, index: int) -> bytes:
        """Hashes of a tile, as wide as the checkpoint's tree has it. Raises ``StoreDamaged``."""
        width = width_of(self.checkpoint.size, level, index)
        data = self._read(tile_path(level, index, width), tile_path(level, index), TILE_WIDTH * HASH_BYTES)
        if len(data) < width * HASH_BYTES or len(data) % HASH_BYTES:
            raise StoreDamaged(f"tile {level}/{index} is cut short: expected {width} hashes, got {len(data)} bytes")
        return data[: width * HASH_BYTES]

    def read_bundle(self, index: int) -> list[bytes]:
        """Entries of a bundle, as many as the checkpoint's tree has. Raises ``StoreDamaged``."""
        width = width_of(self.checkpoint.size, 0, index)
        longest = TILE_WIDTH * (MAX_ENTRY_BYTES + 2)
        data = self._read(bundle_path(index, width), bundle_path(index), longest)
        try:
            entries = decode_bundle(data)
        except ValueError as error:
            raise StoreDamaged(f"bundle {index}: {error}") from None
        if len(entries) < width:
            raise StoreDamaged(f"bundle {index} is cut short: expected {width} entries, got {len(entries)}")
        return entries[:width]

    def has_bundle(self, index: int) -> bool:
        width = width_of(self.checkpoint.size, 0, index)
        return any((self.folder / path).exists() for path in (bundle_path(index, width), bundle_path(index)))

    def first_bundle(self) -> int:
        """The first bundle that is there: what lies before it was pruned, or is missing."""
        count = -(-self.checkpoint.size // TILE_WIDTH)
        return next((index for index in range(count) if self.has_bundle(index)), count)

    def entries(self, first_bundle: int = 0) -> Iterator[tuple[int, bytes]]:
        """Number and data of each entry from a bundle on."""
        for index in range(first_bundle, -(-self.checkpoint.size // TILE_WIDTH)):
            for offset, entry in enumerate(self.read_bundle(index)):
                yield index * TILE_WIDTH + offset, entry

    def _read(self, path: str, full_path: str, longest: int) -> bytes:
        """A partial file, or the full one that took its place when the log went on."""
        for name in dict.fromkeys((path, full_path)):
            try:
                with (self.folder / name).open("rb") as file:
                    data = file.read(longest + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreDamaged(f"{name} cannot be read: {error.strerror}") from None
            if len(data) > longest:
                raise StoreDamaged(f"{name} is too long")
            return data
        raise StoreDamaged(f"{path} is missing")


def width_of(size: int, level: int, index: int) -> int:
    """Hashes of a tile in a tree of ``size``. Raises ``ValueError`` if the tree has no such tile."""
    width = min(TILE_WIDTH, (size >> (LEVEL_BITS * level)) - index * TILE_WIDTH)
    if width < 1:
        raise ValueError(f"a tree of {size} has no tile {level}/{index}")
    return width


def read_checkpoint_note(folder: Path) -> str:
    """The folder's checkpoint, not verified. Raises ``StoreDamaged``."""
    try:
        with (folder / CHECKPOINT).open("rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
        return data.decode()
    except FileNotFoundError:
        raise StoreDamaged(f"{folder} holds no tiled log: it has no file {CHECKPOINT}") from None
    except (OSError, UnicodeDecodeError):
        raise StoreDamaged(f"{folder / CHECKPOINT} cannot be read") from None
