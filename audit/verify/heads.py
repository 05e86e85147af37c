"""Checking roots: one growing tree against every checkpoint that anybody holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from audit.checkpoint import Checkpoint
from audit.note import VerifierKey
from audit.tiles import TILE_WIDTH
from audit.tree import RollingRoot
from audit.verify.report import Attack, Report

# A log signs once a second while it moves: a million checkpoints in a month, and a minute to check their signatures.
# What the newest signed root covers, no older signature makes truer: of the store's own, so many of the newest are
# checked, and each whose root differs. Witnessed ones are all checked.
SIGNATURES_CHECKED: Final = 20_000


class HeadChecker:
    """Feed it the leaves in order; it compares the root at each size that some checkpoint names."""

    def __init__(
        self, report: Report, key: VerifierKey, own: Sequence[Checkpoint], witnessed: Iterable[Checkpoint]
    ) -> None:
        """``own`` in the order of their sizes."""
        self._report = report
        self._key = key
        self._rolling = RollingRoot()
        self._last_good = 0
        self._own_broken = self._witness_broken = False
        self._skipped = 0
        self._wanted: dict[int, list[tuple[Checkpoint, bool]]] = {}
        report.checkpoints += len(own)
        unchecked = max(0, len(own) - SIGNATURES_CHECKED)
        for place, checkpoint in enumerate(own):
            self._want(checkpoint, is_witnessed=False, is_checked=place >= unchecked)
        for checkpoint in witnessed:
            report.witnessed += 1
            self._want(checkpoint, is_witnessed=True, is_checked=True)
        self._tiles_with_heads = {size // TILE_WIDTH for size in self._wanted if size % TILE_WIDTH}
        if 0 in self._wanted:
            self._compare()

    @property
    def size(self) -> int:
        return self._rolling.size

    def skip(self, subtrees: Iterable[bytes]) -> None:
        """Leaves that were pruned: the root of each 256 of them. Checkpoints of sizes between can't be compared."""
        for root in subtrees:
            first = self._rolling.size
            self._skipped += sum(
                len(self._wanted.pop(size, ())) for size in range(first + 1, first + TILE_WIDTH) if size in self._wanted
            )
            self._rolling.append_subtree(root, TILE_WIDTH)
            self._compare_if_wanted()
        if self._skipped:
            self._report.notes.append(
                f"{self._skipped} checkpoint(s) before record {self._rolling.size} could not be compared: the log was "
                "pruned there"
            )

    def append_tile(self, leaves: Sequence[bytes], root: bytes) -> None:
        """A whole tile of leaves and its root, which the caller has computed."""
        if self._rolling.size // TILE_WIDTH in self._tiles_with_heads:
            for leaf in leaves:
                self.append(leaf)
        else:
            self._rolling.append_subtree(root, TILE_WIDTH)
            self._compare_if_wanted()

    def append(self, leaf: bytes) -> None:
        self._rolling.append(leaf)
        self._compare_if_wanted()

    def finish(self) -> None:
        """Report checkpoints that lie beyond the last leaf."""
        size = self._rolling.size
        beyond = sorted(wanted for wanted in self._wanted if wanted > size)
        for is_witnessed, attack in ((False, Attack.TRUNCATED), (True, Attack.ROLLED_BACK)):
            sizes = [wanted for wanted in beyond if any(flag == is_witnessed for _, flag in self._wanted[wanted])]
            if sizes:
                self._report.add(
                    attack,
                    f"{attack.value} {sizes[-1]}: only {size} records are left",
                    seq=size,
                    through=sizes[-1] - 1,
                )

    def _want(self, checkpoint: Checkpoint, *, is_witnessed: bool, is_checked: bool) -> None:
        if type(checkpoint.root) is not bytes or type(checkpoint.signature) is not bytes:
            # SQLite lets any type stand in any column.
            is_forged = True
        else:
            is_forged = is_checked and not checkpoint.is_signed_by(self._key)
        if is_forged or checkpoint.origin != self._key.name:
            self._forged(checkpoint, is_witnessed=is_witnessed)
            return
        self._wanted.setdefault(checkpoint.size, []).append((checkpoint, is_witnessed))

    def _forged(self, checkpoint: Checkpoint, *, is_witnessed: bool) -> None:
        whose = "the witness" if is_witnessed else "the store"
        self._report.add(
            Attack.CHECKPOINT_FORGED, f"checkpoint of size {checkpoint.size} in {whose} is not signed by the key"
        )

    def _compare_if_wanted(self) -> None:
        if self._rolling.size in self._wanted:
            self._compare()

    def _compare(self) -> None:
        size = self._rolling.size
        root = self._rolling.root()
        good = False
        for checkpoint, is_witnessed in self._wanted.get(size, ()):
            if checkpoint.root == root:
                good = True
            elif not checkpoint.is_signed_by(self._key):
                self._forged(checkpoint, is_witnessed=is_witnessed)
            # Only the first of each kind says anything: every later root differs too.
            elif is_witnessed and not self._witness_broken:
                self._witness_broken = True
                self._add(Attack.ROLLED_BACK, f"{Attack.ROLLED_BACK.value} {size}: its root is another", size)
            elif not is_witnessed and not self._own_broken:
                self._own_broken = True
                self._add(Attack.HISTORY_REWRITTEN, f"the tree does not have the root of checkpoint {size}", size)
        if good and all(checkpoint.root == root for checkpoint, _ in self._wanted[size]):
            self._last_good = size
            self._report.covered_size = size

    def _add(self, attack: Attack, detail: str, size: int) -> None:
        self._report.add(attack, detail, seq=min(self._last_good, max(size - 1, 0)), through=max(size - 1, 0))
