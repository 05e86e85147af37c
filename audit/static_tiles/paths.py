"""Names and contents of the files of a tiled log, as C2SP tlog-tiles lays them down."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from audit.tiles import LEVEL_BITS, TILE_WIDTH

CHECKPOINT: Final = "checkpoint"
MAX_ENTRY_BYTES: Final = 0xFFFF
_MAX_LEVEL: Final = 63
_length = struct.Struct(">H")


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]`` of a tile that holds ``width`` hashes. Raises ``ValueError`` outside the format."""
    if not 0 <= level <= _MAX_LEVEL:
        raise ValueError(f"tile level out of range: expected at most {_MAX_LEVEL}, got {level}")
    return f"tile/{level}/{_index_path(index)}{_partial(width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """``tile/entries/<N>[.p/<W>]`` of a bundle that holds ``width`` entries."""
    return f"tile/entries/{_index_path(index)}{_partial(width)}"


def _index_path(index: int) -> str:
    """Three digits a path element, all but the last marked with an x, so that no file stands where a folder must."""
    if index < 0:
        raise ValueError("tile index must not be negative")
    text = f"{index:03}"
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"tile width out of range: expected 1 to {TILE_WIDTH}, got {width}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, index and width of every tile of a tree of ``size``, level by level."""
    level = 0
    while count := size >> (LEVEL_BITS * level):
        for index in range(-(-count // TILE_WIDTH)):
            yield level, index, min(TILE_WIDTH, count - index * TILE_WIDTH)
        level += 1


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each after its length as a big-endian uint16. Raises ``ValueError`` for one that is too long."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError(f"an entry is too long for a bundle: expected at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(_length.pack(len(entry)) + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """Inverse of ``encode_bundle``. Raises ``ValueError`` for a bundle that is cut short or holds too many."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + _length.size
        if end > len(data):
            raise ValueError("entry bundle is cut short")
        end += _length.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError("entry bundle is cut short")
        entries.append(data[at + _length.size : end])
        at = end
        if len(entries) > TILE_WIDTH:
            raise ValueError(f"entry bundle holds more than {TILE_WIDTH} entries")
    return entries
