"""The stored tree: 256-wide tiles as in C2SP tlog-tiles.

Tile ``(level, index)`` holds up to 256 hashes; each hash of a level above 0 is the root of one full tile below. Only
the rightmost tile of a level is ever partial, so appending touches one tile a level, and a proof reads a few tiles
however large the tree is (32 bytes a leaf are kept, and about 1/255 more).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from audit.tree import EMPTY_ROOT, HASH_BYTES, node_hash, split_point

TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVEL_BITS = 8
_CACHED_TILES = 512  # 4 MiB

TileKey = tuple[int, int]
ReadTile = Callable[[int, int], bytes]


class TileTree:
    """A tree over tiles that ``read_tile(level, index)`` loads. Not safe for several threads: the owner locks."""

    def __init__(self, read_tile: ReadTile, size: int) -> None:
        self._read_tile = read_tile
        self._edge: dict[int, tuple[int, bytearray]] = {}  # level -> index and hashes of its rightmost tile
        self._cache: dict[TileKey, bytes] = {}
        self._dirty: dict[TileKey, bytearray] = {}
        self.size = size

    def append(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes. What changed is in ``take_dirty`` until the owner has stored it."""
        for leaf in leaves:
            self._push(0, leaf)
            self.size += 1

    def take_dirty(self) -> dict[TileKey, bytes]:
        """Tiles that changed since the last call, ready to be stored."""
        changed = {key: bytes(hashes) for key, hashes in self._dirty.items()}
        self._dirty.clear()
        return changed

    def root(self, size: int | None = None) -> bytes:
        """Root of the first ``size`` leaves (all by default)."""
        size = self.size if size is None else size
        self._check(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def subtrees(self, size: int) -> list[bytes]:
        """Roots of the full subtrees that the first ``size`` leaves fall into, the largest first: one for each bit of
        ``size``. They give every root above; of a pruned log they are what is left of the records before it begins."""
        self._check(size)
        roots: list[bytes] = []
        low = 0
        while low < size:
            width = 1 << ((size - low).bit_length() - 1)
            roots.append(self._range(low, low + width))
            low += width
        return roots

    def leaf(self, index: int) -> bytes:
        """Leaf hash number ``index``."""
        self._check(index + 1)
        return self._hashes(0, index, 1)[0]

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """Audit path (RFC 6962, section 2.1.1), from the leaf's sibling up."""
        self._check(size)
        if not 0 <= index < size:
            raise ValueError(f"index out of range: expected below {size}, got {index}")
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + split_point(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency_path(self, old_size: int, new_size: int) -> list[bytes]:
        """Consistency proof (RFC 6962, section 2.1.2)."""
        self._check(new_size)
        if not 0 <= old_size <= new_size:
            raise ValueError(f"old size out of range: expected at most {new_size}, got {old_size}")
        if old_size in (0, new_size):
            return []
        path: list[bytes] = []
        low, high = 0, new_size
        while old_size != high:
            middle = low + split_point(high - low)
            if old_size <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        if low:  # the old tree is not a full left subtree: its last part has to be shown
            path.append(self._range(low, high))
        return path[::-1]

    def _push(self, level: int, value: bytes) -> None:
        index, hashes = self._edge_tile(level)
        if len(hashes) == TILE_BYTES:
            index, hashes = index + 1, bytearray()
            self._edge[level] = (index, hashes)
        hashes += value
        self._dirty[level, index] = hashes
        if len(hashes) == TILE_BYTES:
            self._push(level + 1, fold(split_hashes(hashes)))

    def _edge_tile(self, level: int) -> tuple[int, bytearray]:
        if level not in self._edge:
            count = self.size >> (LEVEL_BITS * level)
            index = count // TILE_WIDTH
            width = count % TILE_WIDTH
            self._edge[level] = (index, bytearray(self._load(level, index, width) if width else b""))
        return self._edge[level]

    def _range(self, low: int, high: int) -> bytes:
        """Root of leaves [low, high), where ``low`` is a multiple of the next power of two."""
        width = high - low
        if width & (width - 1) == 0:
            level = (width.bit_length() - 1) // LEVEL_BITS
            shift = LEVEL_BITS * level
            return fold(self._hashes(level, low >> shift, width >> shift))
        middle = low + split_point(width)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """``count`` neighbouring hashes of a level, all in one tile because they are aligned."""
        index, offset = divmod(first, TILE_WIDTH)
        edge = self._edge.get(level)
        tile = edge[1] if edge and edge[0] == index else self._load(level, index, offset + count)
        return split_hashes(tile[offset * HASH_BYTES : (offset + count) * HASH_BYTES])

    def _load(self, level: int, index: int, width: int) -> bytes:
        tile = self._cache.get((level, index))
        if tile is None:
            pending = self._dirty.get((level, index))
            tile = bytes(pending) if pending is not None else self._read_tile(level, index)
            if len(tile) == TILE_BYTES:  # partial tiles change, so only full ones are remembered
                while len(self._cache) >= _CACHED_TILES:
                    self._cache.pop(next(iter(self._cache)))
                self._cache[level, index] = tile
        if len(tile) < width * HASH_BYTES:
            got = len(tile) // HASH_BYTES
            raise ValueError(f"tile {level}/{index} is too short: expected {width} hashes, got {got}")
        return tile

    def _check(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"size out of range: expected at most {self.size}, got {size}")


def first_kept_tile(minimum_index: int) -> int:
    """The first level-0 tile (and entry bundle) that a log pruned at ``minimum_index`` keeps.

    C2SP tlog-tiles, "Pruning": a tile may go if its end is at or below the minimum index. Here only level 0 goes, the
    255 hashes of 256 that cost space: what stays gives every root and proof at or above the minimum index, and those of
    sizes that are multiples of 256 below it.
    """
    return minimum_index // TILE_WIDTH


def pruned_subtrees(read_tile: ReadTile, minimum_index: int) -> list[bytes]:
    """Roots of the level-0 tiles that a pruned log no longer has, in order: one for each 256 leaves."""
    count = first_kept_tile(minimum_index)
    hashes: list[bytes] = []
    for index in range(-(-count // TILE_WIDTH)):
        width = min(TILE_WIDTH, count - index * TILE_WIDTH)
        tile = read_tile(1, index)
        if len(tile) < width * HASH_BYTES:
            raise ValueError(f"tile 1/{index} is too short: expected {width} hashes, got {len(tile) // HASH_BYTES}")
        hashes += split_hashes(tile[: width * HASH_BYTES])
    return hashes


def split_hashes(hashes: bytes | bytearray) -> list[bytes]:
    """Single hashes of a tile or a part of one."""
    return [bytes(hashes[at : at + HASH_BYTES]) for at in range(0, len(hashes), HASH_BYTES)]


def fold(row: Sequence[bytes]) -> bytes:
    """Root of a power-of-two row of hashes."""
    row = list(row)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
