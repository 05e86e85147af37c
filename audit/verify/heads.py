"""Checking roots: one growing tree against every checkpoint that anybody holds."""

from __future__ import annotations

from collections.abc import Iterable

from audit.checkpoint import Checkpoint
from audit.note import VerifierKey
from audit.tree import RollingRoot
from audit.verify.report import Attack, Report


class HeadChecker:
    """Feed it the leaves in order; it compares the root at each size that some checkpoint names."""

    def __init__(
        self, report: Report, key: VerifierKey, own: Iterable[Checkpoint], witnessed: Iterable[Checkpoint]
    ) -> None:
        self._report = report
        self._rolling = RollingRoot()
        self._last_good = 0
        self._own_broken = self._witness_broken = False
        self._wanted: dict[int, list[tuple[Checkpoint, bool]]] = {}
        for checkpoint in own:
            report.checkpoints += 1
            self._want(checkpoint, key, is_witnessed=False)
        for checkpoint in witnessed:
            report.witnessed += 1
            self._want(checkpoint, key, is_witnessed=True)
        self._compare()

    @property
    def size(self) -> int:
        return self._rolling.size

    def append(self, leaf: bytes) -> None:
        self._rolling.append(leaf)
        if self._rolling.size in self._wanted:
            self._compare()

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

    def _want(self, checkpoint: Checkpoint, key: VerifierKey, *, is_witnessed: bool) -> None:
        if checkpoint.origin != key.name or not checkpoint.is_signed_by(key):
            whose = "the witness" if is_witnessed else "the store"
            self._report.add(
                Attack.CHECKPOINT_FORGED, f"checkpoint of size {checkpoint.size} in {whose} is not signed by the key"
            )
            return
        self._wanted.setdefault(checkpoint.size, []).append((checkpoint, is_witnessed))

    def _compare(self) -> None:
        size = self._rolling.size
        root = self._rolling.root()
        good = True
        for checkpoint, is_witnessed in self._wanted.get(size, ()):
            if checkpoint.root == root:
                continue
            good = False
            # Only the first of each kind says anything: every later root differs too.
            if is_witnessed and not self._witness_broken:
                self._witness_broken = True
                self._add(Attack.ROLLED_BACK, f"{Attack.ROLLED_BACK.value} {size}: its root is another", size)
            elif not is_witnessed and not self._own_broken:
                self._own_broken = True
                self._add(Attack.HISTORY_REWRITTEN, f"the tree does not have the root of checkpoint {size}", size)
        if good and size in self._wanted:
            self._last_good = size
            self._report.covered_size = size

    def _add(self, attack: Attack, detail: str, size: int) -> None:
        self._report.add(attack, detail, seq=min(self._last_good, max(size - 1, 0)), through=max(size - 1, 0))
