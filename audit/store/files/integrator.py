"""Turns durable records into a signed tree, once a second, beside the writer.

The log promises never to sign a checkpoint that contradicts an earlier one (C2SP tlog-checkpoint): leaves come from
records that were acknowledged, in order; a checkpoint is stored durably before anybody sees it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import StoreError
from audit.note import NoteSigner
from audit.record import Phase, Ticket
from audit.row import Row
from audit.store.disk import Disk
from audit.store.files.layout import Layout
from audit.store.files.tree_file import TreeFile
from audit.store.queue import ticket_of
from audit.tiles import TileTree
from audit.witness import FileWitness

_log = logging.getLogger("audit.integrator")


class Integrator:
    """Owns the tree and the newest checkpoint. Safe to call from several threads."""

    def __init__(
        self,
        *,
        layout: Layout,
        disk: Disk,
        file: TreeFile,
        signer: NoteSigner | None,  # None for a snapshot, which is read but never signed
        witness: FileWitness | None,
        latest: tuple[Checkpoint, datetime] | None,
        is_witnessed: bool,
        clock: Callable[[], datetime],
        interval_seconds: float,
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._file = file
        self._signer = signer
        self._witness = witness
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._lock = threading.RLock()  # guards the tree, the newest checkpoint and the witness
        self._tree = TileTree(file.read_tile, file.size())
        self._stored = self._tree.size  # what the file is known to hold
        self._in_doubt = False  # a transaction failed: the file may hold more than that
        self._latest = latest
        self._pending_lock = threading.Lock()
        self._pending: list[tuple[bytes, Ticket | None, int | None]] = []  # leaf, opened ticket, concluded intent
        self._stop = threading.Event()
        note = latest[0].note(signer.verifier_key) if signer is not None and latest is not None else None
        self._unpublished = note  # newest note that is not in the checkpoint file yet
        self._unwitnessed = None if is_witnessed else note
        self.failures = 0
        self.witness_failures = 0
        self._thread = threading.Thread(target=self._run, name="audit-integrator", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, rows: Sequence[Row]) -> None:
        """Take durable rows, in order. Called by the writer thread; cheap."""
        leaves = [
            (
                row.leaf,
                ticket_of(row) if row.phase == Phase.INTENT else None,
                row.head_seq if row.phase == Phase.OUTCOME else None,
            )
            for row in rows
        ]
        with self._pending_lock:
            self._pending += leaves

    def behind(self) -> int:
        """Durable records that are not in the stored tree yet."""
        with self._pending_lock:
            return len(self._pending)

    @property
    def latest(self) -> tuple[Checkpoint, datetime] | None:
        """The newest checkpoint and when it was signed."""
        return self._latest

    def advance(self) -> None:
        """Store pending leaves and sign, if anything moved. Raises ``sqlite3.Error`` or ``OSError`` on a full disk;
        nothing is lost then, the next call tries again."""
        with self._lock:
            self._integrate()
            self._sign()
            self._send_to_witness()  # first: it is what bounds the window of exposure
            self._publish()

    def prove(self, seqs: Sequence[int]) -> tuple[Checkpoint, list[list[bytes]]]:
        """Inclusion paths against a checkpoint that covers all of ``seqs`` (a new one if need be)."""
        with self._lock:
            if self._latest is None or max(seqs) >= self._latest[0].size:
                self.advance()
            if self._latest is None or max(seqs) >= self._latest[0].size:
                raise StoreError("no checkpoint covers the record: this copy of the log is not signed")
            checkpoint = self._latest[0]
            return checkpoint, [self._tree.inclusion_path(seq, checkpoint.size) for seq in seqs]

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Consistency proof between two sizes of the stored tree."""
        with self._lock:
            return self._tree.consistency_path(old_size, new_size)

    def prune(self, minimum_index: int) -> None:
        """Forget the leaves below a record; see ``TreeFile.prune``."""
        with self._lock:
            self._file.prune(minimum_index)

    def read_tile(self, level: int, index: int) -> bytes:
        """Hashes of one stored tile."""
        return self._file.read_tile(level, index)

    def take_in(self, seq: int) -> None:
        """Return only when record ``seq`` is in the stored tree. Raises ``sqlite3.Error`` or ``OSError``."""
        with self._lock:
            if seq >= self._stored:
                self._integrate()

    def thin_checkpoints(self, first_seq: int, end_seq: int) -> None:
        with self._lock:
            self._file.thin_checkpoints(first_seq, end_seq)

    def drop_tickets(self, tickets: Sequence[Ticket]) -> None:
        with self._lock:
            self._integrate()  # a ticket may still be on its way into the file
            self._file.drop_tickets([ticket.seq for ticket in tickets])

    def close(self) -> None:
        """Sign what is left and stop. Blocks. The writer must have stopped before."""
        self._stop.set()
        self._thread.join()
        try:
            self.advance()
        except (sqlite3.Error, OSError):
            _log.exception("audit.integrator.failed")  # caught up at the next start
        self._file.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._interval_seconds
            try:
                self.advance()
            except Exception:  # the thread must go on: the tree catches up when the disk does
                _log.exception("audit.integrator.failed")
                self.failures += 1

    def _integrate(self) -> None:
        self._settle()
        with self._pending_lock:
            taken = self._pending[:]
        if not taken:
            return
        concluded = {seq for _, _, seq in taken if seq is not None}
        opened = {ticket.seq: ticket for _, ticket, _ in taken if ticket is not None}
        still_open = [ticket for seq, ticket in opened.items() if seq not in concluded]
        self._in_doubt = True
        try:
            self._tree.append(leaf for leaf, _, _ in taken)
            self._file.store(self._tree.take_dirty(), self._tree.size, still_open, concluded - opened.keys())
        except BaseException:
            with suppress(sqlite3.Error, OSError, StoreError):  # else before it is used again
                self._settle()
            raise
        self._in_doubt = False
        self._took(self._tree.size)

    def _settle(self) -> None:
        """After a failure: what is in the file is what counts. Leaves that got there, although we were told otherwise,
        must not be added again."""
        if not self._in_doubt:
            return
        size = self._file.size()
        self._tree = TileTree(self._file.read_tile, size)
        self._took(size)
        self._in_doubt = False

    def _took(self, size: int) -> None:
        """The file holds ``size`` leaves: as many fewer are pending."""
        with self._pending_lock:
            del self._pending[: size - self._stored]
        self._stored = size

    def _sign(self) -> None:
        if self._signer is None or (self._latest is not None and self._latest[0].size == self._tree.size):
            return
        checkpoint = sign_checkpoint(self._signer, self._tree.size, self._tree.root())
        now = self._clock()
        self._file.add_checkpoint(checkpoint, now)
        self._latest = (checkpoint, now)
        self._unpublished = self._unwitnessed = checkpoint.note(self._signer.verifier_key)

    def _publish(self) -> None:
        if self._unpublished is not None:
            self._disk.write_whole(self._layout.checkpoint, self._unpublished.encode(), 0o600)
            self._unpublished = None

    def _send_to_witness(self) -> None:
        if self._witness is None or self._unwitnessed is None:
            return
        try:
            self._witness.append(self._unwitnessed)
        except OSError as error:
            # Records are as safe as before; only the window of exposure grows. Counted, shown in health, tried again.
            self.witness_failures += 1
            _log.error("audit.witness.failed", extra={"cause": error.strerror})
            return
        self._unwitnessed = None
