"""Verifying a store, in a directory or a database, also beside a live writer."""

from __future__ import annotations

import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature import WitnessPolicy
from audit.errors import StoreDamaged
from audit.governance.coverage import ErasureLists, FileErasureLists
from audit.note import NoteRefused, VerifierKey
from audit.store.moment import MomentPort, database_url_of, describe_target, open_moment
from audit.tiles import TILE_BYTES, TILE_WIDTH, ReadTile, first_kept_tile, fold, pruned_subtrees, split_hashes
from audit.tree import HASH_BYTES
from audit.verify.careful import careful_pass
from audit.verify.gone import Gone
from audit.verify.heads import HeadChecker
from audit.verify.pool import quick_pass
from audit.verify.records import LeafIndex
from audit.verify.report import Attack, Report
from audit.verify.trust import NO_POLICY, Progress, silent
from audit.witness import read_checkpoints
from audit.witness.shelf import newest_cosigned

RECEIPTS = "witnesses"  # as in audit.log
ERASURE_LISTS = "erasures"  # as in audit.governance.facade, which needs a database to import


def verify_store(
    target: Path | str,
    key: VerifierKey | None,
    witness: Path | None,
    progress: Progress = silent,
    *,
    policy: WitnessPolicy = NO_POLICY,
    receipts: Path | None = None,
    processes: int | None = None,
) -> Report:
    """Check everything in a store, a directory or a database by its URL. Without a key the store's own is used: that
    finds accidents and careless hands, not somebody who replaced the key as well. ``policy`` is asked of the newest
    checkpoint in ``receipts`` (what witnesses gave to this log) that fulfils it. ``processes``: how many check records
    at once; by default as many as help.

    Raises ``StoreDamaged`` if the target is no store at all.
    """
    report = Report(subject=describe_target(target), vkey_was_given=key is not None)
    with open_moment(target) as moment:
        key = key or moment.identity.verifier_key
        report.origin, report.vkey = key.name, str(key)
        if moment.identity.verifier_key != key:
            report.add(Attack.CHECKPOINT_FORGED, "the store names another key or origin than the one that was given")
        for name, reason in moment.unreadable.items():
            report.add(Attack.UNREADABLE, f"{name}: {reason}")
        own = [checkpoint for checkpoint, _ in moment.tree.checkpoints(key.name)]
        kept = witnessed(witness, key, report) + _cosigned(target, key, policy, receipts, report)
        heads = HeadChecker(report, key, own, kept)
        first, leaves = _check_tree(moment, report, heads)
        gone = _check_records(str(target), moment, report, heads, first, leaves, progress, processes)
        if gone is not None:
            _check_gone(moment, report, gone, erasure_lists(target))
        heads.finish()
        report.uncovered = max(0, heads.size - report.covered_size)
        if moment.is_live:
            report.notes.append("another process is writing this store; its last second is not covered yet")
    return report


def witnessed(path: Path | None, key: VerifierKey, report: Report) -> list[Checkpoint]:
    """Checkpoints that somebody kept outside the log. Raises ``StoreDamaged`` if the file cannot be read."""
    if path is None:
        return []
    try:
        return read_checkpoints(path, key)
    except NoteRefused as error:
        report.add(Attack.CHECKPOINT_FORGED, f"witness {path}: {error}")
    except OSError as error:
        raise StoreDamaged(f"witness {path} cannot be read: {error.strerror}") from error
    return []


def _cosigned(
    target: Path | str, key: VerifierKey, policy: WitnessPolicy, receipts: Path | None, report: Report
) -> list[Checkpoint]:
    """The newest checkpoint that enough witnesses cosigned."""
    if not policy.keys:
        return []
    if receipts is None:
        if database_url_of(target) is not None:
            raise ValueError("of a database, give the folder with what its witnesses gave: --receipts")
        receipts = Path(target) / RECEIPTS
    try:
        note = newest_cosigned(receipts, key, policy)
    except (NoteRefused, OSError) as error:
        report.add(Attack.CHECKPOINT_FORGED, f"receipts {receipts}: {error}")
        return []
    if note is None:
        what = f"no checkpoint in {receipts} is cosigned by {policy.required} of the {len(policy.keys)} witnesses"
        report.add(Attack.WITNESS_MISSING, what)
        return []
    report.cosigned = {name: at.isoformat() for name, at in policy.cosigned_by(note).items()}
    return [parse_checkpoint(note, key)]


def _check_records(
    target: str,
    moment: MomentPort,
    report: Report,
    heads: HeadChecker,
    first: int,
    leaves: bytes,
    progress: Progress,
    processes: int | None,
) -> Gone | None:
    """Quickly if all is in order, carefully if not. ``None`` if a file broke off."""
    if len(leaves) // HASH_BYTES == moment.tree.size - first:
        quick = quick_pass(target, moment, leaves, first, progress, processes)
        if quick is not None:
            report.records = quick.records
            for leaf in quick.beyond:
                heads.append(leaf)
            return quick.gone
    try:
        return careful_pass(moment, report, heads, LeafIndex(leaves, first), progress)
    except (sqlite3.DatabaseError, StoreDamaged) as error:
        report.add(Attack.UNREADABLE, f"a day file is corrupt: {error}")
        return None


def erasure_lists(target: Path | str) -> ErasureLists:
    """Where the lists of erasures of a log lie."""
    url = database_url_of(target)
    if url is None:
        return FileErasureLists(Path(target) / ERASURE_LISTS)
    database: Any = import_module("audit.governance.database")  # SQLAlchemy: only where there is a database
    lists: Any = import_module("audit.governance.database_lists")
    found: ErasureLists = lists.DatabaseErasureLists(database.GovernanceDatabase(url))
    return found


def _check_gone(moment: MomentPort, report: Report, gone: Gone, lists: ErasureLists) -> None:
    minimum = report.first_record = moment.tree.minimum_index
    if minimum > gone.pruned_to:
        report.add(
            Attack.PRUNED_UNSEEN,
            f"the tree was pruned up to record {minimum}, but the log holds no record of that",
            seq=gone.pruned_to,
            through=minimum - 1,
        )
    marked = {reader.day.isoformat(): reader.oldest_seq() for reader in moment.days if reader.purged_at() is not None}
    gone.judge(report, lists, marked)


def _check_tree(moment: MomentPort, report: Report, heads: HeadChecker) -> tuple[int, bytes]:
    """Compare the tiles with each other and their leaves with the signed roots; returns the first leaf's number and
    the leaves, which can then tell which record lies."""
    tree = moment.tree
    start = first_kept_tile(tree.minimum_index)
    try:
        heads.skip(pruned_subtrees(tree.read_tile, tree.minimum_index))
    except (StoreDamaged, ValueError, sqlite3.Error) as error:
        report.add(Attack.TREE_CHANGED, str(error), seq=0, through=max(0, tree.minimum_index - 1))
        return 0, b""
    roots: list[bytes] = []
    leaves = bytearray()
    for position in range(start, -(-tree.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, tree.size - position * TILE_WIDTH)
        try:
            tile = tree.read_tile(0, position)[: width * HASH_BYTES]
        except (StoreDamaged, sqlite3.Error):
            tile = b""
        if len(tile) < width * HASH_BYTES:
            report.add(Attack.TREE_CHANGED, f"tile 0/{position} is missing or cut short", seq=position * TILE_WIDTH)
            break
        leaves += tile
        hashes = split_hashes(tile)
        if width == TILE_WIDTH:
            roots.append(fold(hashes))
            heads.append_tile(hashes, roots[-1])
        else:
            for leaf in hashes:
                heads.append(leaf)
    check_upper_tiles(tree.read_tile, tree.size, report, start, roots)
    return start * TILE_WIDTH, bytes(leaves)


def check_upper_tiles(read_tile: ReadTile, size: int, report: Report, start: int, roots: list[bytes]) -> None:
    """Each hash above level 0 is the root of the full tile below it; ``roots`` are those of level 0 from ``start``."""
    level, count = 1, size // TILE_WIDTH
    below = [*[b""] * start, *roots]  # what was pruned has nothing below to compare with
    while count:
        rising: list[bytes] = []
        for position in range(-(-count // TILE_WIDTH)):
            width = min(TILE_WIDTH, count - position * TILE_WIDTH)
            expected = below[position * TILE_WIDTH : position * TILE_WIDTH + width]
            try:
                tile = read_tile(level, position)
            except (StoreDamaged, sqlite3.Error) as error:
                report.add(Attack.TREE_CHANGED, str(error))
                return
            hashes = split_hashes(tile[: width * HASH_BYTES])
            wrong = next(
                (at for at, root in enumerate(expected) if root and (at >= len(hashes) or hashes[at] != root)), None
            )
            if wrong is not None or len(tile) < width * HASH_BYTES:
                first = (position * TILE_WIDTH + (wrong or 0)) * TILE_WIDTH**level
                report.add(Attack.TREE_CHANGED, f"tile {level}/{position} contradicts the one below", seq=first)
                return
            if len(tile) >= TILE_BYTES and width == TILE_WIDTH:
                rising.append(fold(hashes))
        below, level, count = rising, level + 1, count // TILE_WIDTH
