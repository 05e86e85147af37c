"""Verifying a folder of static tiles (C2SP tlog-tiles) with nothing but the folder and a public key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from audit.canonical import decode
from audit.errors import StoreDamaged
from audit.note import NoteRefused
from audit.static_tiles.paths import CHECKPOINT
from audit.static_tiles.read import TileReader, read_checkpoint_note
from audit.tiles import TILE_WIDTH, first_kept_tile, fold, pruned_subtrees, split_hashes
from audit.verify.heads import HeadChecker
from audit.verify.report import Attack, Report
from audit.verify.store import check_upper_tiles, witnessed
from audit.verify.trust import Progress, Trust, silent


def is_static(folder: Path) -> bool:
    """Does a folder hold a tiled log, and no store?"""
    return (folder / CHECKPOINT).is_file() and (folder / "tile").is_dir()


def verify_tiles(folder: Path, trust: Trust, progress: Progress = silent) -> Report:
    """Check that entries, tiles and the signed checkpoint agree. Raises ``ValueError`` without a public key: a folder
    that anybody can copy says nothing about whose it is. Raises ``StoreDamaged`` if there is no tiled log."""
    if trust.key is None:
        raise ValueError("a folder of tiles is checked with the log's public key: give --vkey")
    key = trust.key
    report = Report(subject=str(folder), origin=key.name, vkey=str(key), vkey_was_given=True)
    note = read_checkpoint_note(folder)
    try:
        reader = TileReader(folder, key)
        report.cosigned = {name: at.isoformat() for name, at in trust.policy.cosigned_by(note).items()}
    except NoteRefused as error:
        report.add(Attack.CHECKPOINT_FORGED, f"{CHECKPOINT}: {error}")
        return report
    heads = HeadChecker(report, key, [reader.checkpoint], witnessed(trust.witness, key, report))
    try:
        _check(reader, report, heads, progress)
    except StoreDamaged as error:
        report.add(Attack.TREE_CHANGED, str(error), seq=heads.size)
    heads.finish()
    return report


def _check(reader: TileReader, report: Report, heads: HeadChecker, progress: Progress) -> None:
    size = reader.checkpoint.size
    first = reader.first_bundle()
    start = first_kept_tile(first * TILE_WIDTH)
    report.first_record = min(first * TILE_WIDTH, size)
    if start:
        heads.skip(pruned_subtrees(reader.read_tile, start * TILE_WIDTH))
        report.notes.append(f"entries before {report.first_record} are not here: only hashes of them are")
    roots: list[bytes] = []
    for index in range(start, -(-size // TILE_WIDTH)):
        hashes = split_hashes(reader.read_tile(0, index))
        _check_entries(reader, index, hashes, report)
        report.records += len(hashes)
        if len(hashes) == TILE_WIDTH:
            roots.append(fold(hashes))
            heads.append_tile(hashes, roots[-1])
        else:
            for leaf in hashes:
                heads.append(leaf)
        progress(report.records, size)
    check_upper_tiles(reader.read_tile, size, report, start, roots)


def _check_entries(reader: TileReader, index: int, hashes: list[bytes], report: Report) -> None:
    for offset, (entry, leaf) in enumerate(zip(reader.read_bundle(index), hashes, strict=True)):
        seq = index * TILE_WIDTH + offset
        if hashlib.sha256(b"\x00" + entry).digest() != leaf:
            report.add(Attack.ENVELOPE_CHANGED, "the entry does not give the leaf that the tree has", seq=seq)
            continue
        try:
            number = decode(entry)[2]
        except (ValueError, IndexError):
            number = None
        if number != seq:  # the log signed it, but under another number: its own mistake, or its own attack
            report.add(Attack.ORDER_CHANGED, f"the entry says that it is record {number!r}", seq=seq)
