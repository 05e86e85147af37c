"""Turns durable records into a signed tree, once a second, in whichever process holds the lease.

Every process runs one of these. The holder of the lease advances the tree; the others follow: they read the newest
checkpoint, check its signature, and see whether the holder found something that it will not sign. Then nobody writes
any more, until what was found is put right: a log that cannot prove what it takes must not take it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

import psycopg

from audit.checkpoint import Checkpoint
from audit.errors import AuditError, StoreDamaged, StoreError, StoreRolledBack
from audit.note import NoteSigner
from audit.row import Row
from audit.settings import AuditSettings
from audit.store.postgres.announcing import Announcer
from audit.store.postgres.connection import Connection, describe, execute
from audit.store.postgres.heads import CheckedHeads, check_heads
from audit.store.postgres.integration import STEP_RECORDS, integrate_step, next_number
from audit.store.postgres.lease import INTEGRATOR, Lease
from audit.store.postgres.tables import make_tables
from audit.store.postgres.tree_table import (
    Fenced,
    TreeHead,
    newest_checkpoint,
    read_head,
    read_tile,
    stop_all,
    wish_for,
    wished_size,
)
from audit.tiles import TILE_BYTES, TileTree

_log = logging.getLogger("audit.integrator")

_POLL_SECONDS = 0.05  # while somebody waits for the holder of the lease
_LONGEST_PARTING_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0  # beyond two leases: then a wait for the holder is given up


class Integrator:
    """Owns the lease, the tree and the newest checkpoint of this process. Safe to call from several threads."""

    def __init__(
        self,
        *,
        settings: AuditSettings,
        connect: Callable[[], Connection],
        signer: NoteSigner,
        authenticate: Callable[[Row], None],
        announcer: Announcer,
        clock: Callable[[], datetime],
        holder: str,
        saw_next: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._signer = signer
        self._authenticate = authenticate
        self._announcer = announcer
        self._clock = clock
        self._saw_next = saw_next
        self._lease = Lease(INTEGRATOR, holder, settings.database_lease_seconds)
        self._lock = threading.RLock()  # guards everything below
        self._connection: Connection | None = None
        self._epoch: int | None = None  # of our lease; None while following
        self._heads: CheckedHeads | None = None
        self._latest: tuple[Checkpoint, datetime] | None = None
        self._shown: TileTree | None = None  # what proofs are made from
        self._made_tables_on: date | None = None
        self._damage: StoreDamaged | None = None  # what this process found itself
        self._due = 0.0  # monotonic: when to advance next
        self._stop = threading.Event()
        self.stopped: str | None = None  # why nothing is signed any more, for everybody who wants to write
        self.last_contact = 0.0  # monotonic: when the database last answered
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="audit-integrator", daemon=True)

    def open(self) -> None:
        """Look at the tree for the first time; advance it if nobody else does.

        Raises ``StoreDamaged``, ``StoreRolledBack``, ``OSError`` or ``psycopg.Error``.
        """
        with self._lock:
            self._latest = self._check(self._connected()).latest
            self._turn(is_forced=True)
            if self.stopped is not None:
                with suppress(psycopg.Error):
                    self._lease.release(self._connected())
                raise self._damage or StoreDamaged(self.stopped)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_leading(self) -> bool:
        """Does this process hold the lease, as far as it knows?"""
        return self._epoch is not None

    @property
    def latest(self) -> tuple[Checkpoint, datetime] | None:
        """The newest checkpoint and when it was signed."""
        return self._latest

    @property
    def size(self) -> int:
        """Records in the stored tree, as far as this process knows."""
        return self._latest[0].size if self._latest is not None else 0

    def advance(self) -> None:
        """Take in what is durable if this process leads, else look at how far the leader is.

        Raises ``psycopg.Error``, ``AuditError`` or ``OSError``; the next call tries again.
        """
        with self._lock:
            self._turn(is_forced=True)

    def cover(self, seq: int) -> Checkpoint:
        """Return the newest checkpoint once it covers a record. Blocks. Raises ``StoreError`` if none comes."""
        patience = _PATIENCE_SECONDS + 2 * self._settings.database_lease_seconds
        deadline = time.monotonic() + patience
        has_wished = False
        while True:
            latest = self._latest
            if latest is not None and seq < latest[0].size:
                return latest[0]
            try:
                self.advance()
                if not (self.is_leading or has_wished):
                    with self._lock:
                        wish_for(self._connected(), seq + 1)
                    has_wished = True
            except psycopg.Error as error:
                raise StoreError(f"no checkpoint covers record {seq}: {describe(error)}") from error
            if self._latest is not None and seq < self._latest[0].size:
                continue
            if self.stopped is not None:
                raise StoreError(f"no checkpoint covers record {seq}: {self.stopped}")
            if time.monotonic() > deadline:
                raise StoreError(f"no checkpoint covers record {seq}: whoever holds the lease does not sign")
            time.sleep(_POLL_SECONDS)

    def prove(self, seqs: Sequence[int]) -> tuple[Checkpoint, list[list[bytes]]]:
        """Inclusion paths against a checkpoint that covers all of ``seqs``. Blocks."""
        checkpoint = self.cover(max(seqs))
        with self._lock:
            tree = self._tree_of(checkpoint.size)
            return checkpoint, [tree.inclusion_path(seq, checkpoint.size) for seq in seqs]

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Consistency proof between two sizes of the stored tree. Blocks."""
        with self._lock:
            return self._tree_of(max(self.size, new_size)).consistency_path(old_size, new_size)

    def read_tile(self, level: int, index: int) -> bytes:
        """Hashes of one stored tile. Blocks."""
        with self._lock:
            return self._read_tile(level, index)

    def close(self, size: int) -> None:
        """Sign what is left, or let the leader sign it (all of ``size`` records, unless that takes long); let the next
        leader in, stop. Blocks. The writer must have stopped before."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        deadline = time.monotonic() + self._parting_seconds()
        with self._lock:
            try:
                self._turn(is_forced=True)
                while self._epoch is None and self.size < size and self.stopped is None and time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    self._turn(is_forced=True)
                self._lease.release(self._connected())  # one that stopped holds it, too; a follower's does nothing
            except (psycopg.Error, AuditError, OSError) as error:  # the next leader takes in what is left
                _log.error("audit.integrator.failed", extra={"cause": _cause(error)})
            self.disconnect()

    def _parting_seconds(self) -> float:
        """A leader that closes at the same moment may not have seen our last records: then they are ours to sign."""
        interval = self._settings.checkpoint_interval_seconds
        return 2 * interval + _POLL_SECONDS if interval <= _LONGEST_PARTING_SECONDS else 0.0

    def disconnect(self) -> None:
        with self._lock:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
            self._connection, self._epoch, self._shown = None, None, None

    def _run(self) -> None:
        # The first turn was ``open``'s. A lease is renewed well before it ends, however long the interval is.
        pause = min(self._settings.checkpoint_interval_seconds, self._settings.database_lease_seconds / 3)
        while not self._stop.wait(pause):
            try:
                with self._lock:
                    self._turn(is_forced=False)
            except Exception as error:  # the thread must go on: the tree catches up when the database does
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        _log.error("audit.integrator.failed", extra={"cause": _cause(error)})
        with self._lock:
            if isinstance(error, psycopg.Error):
                self.disconnect()

    def _turn(self, *, is_forced: bool) -> None:
        """Hold the lease and advance, or follow. The caller holds the lock."""
        connection = self._connected()
        epoch = self._lease.hold(connection)
        self.last_contact = time.monotonic()
        try:
            if epoch is None:
                self._epoch = None
                self._follow(connection)
                return
            if epoch != self._epoch:
                self._take_over(connection)
                self._epoch = epoch
            if is_forced or time.monotonic() >= self._due or wished_size(connection) > self.size:
                self._due = time.monotonic() + self._settings.checkpoint_interval_seconds
                self._lead(connection, epoch)
        except Fenced:
            _log.warning("audit.integrator.fenced")
            self._epoch = None
            self._follow(connection)
        except StoreDamaged as error:
            self._halt(connection, epoch, error)
        except BaseException:
            self._epoch = None  # what is in memory may be ahead of what is stored: read it again
            raise

    def _take_over(self, connection: Connection) -> None:
        heads = self._check(connection)
        if heads.latest is not None:
            self._latest = heads.latest
            self._announcer.put(heads.latest[0], is_witnessed=heads.is_witnessed)
        self._heads = heads

    def _check(self, connection: Connection) -> CheckedHeads:
        heads = check_heads(connection, self._settings, self._signer.verifier_key, self._read_tile)
        if heads.head.size < self.size:
            raise StoreRolledBack(
                f"the audit database holds {heads.head.size} records in its tree, but {self.size} were signed"
            )
        return heads

    def _lead(self, connection: Connection, epoch: int) -> None:
        heads = self._heads
        while heads is not None:  # it never is: _take_over came first
            step = integrate_step(
                connection,
                heads.tree,
                heads.head,
                epoch,
                self._signer,
                self._authenticate,
                self._clock,
                is_first=heads.latest is None,
            )
            if step is None:
                break
            is_full = step[0].size - heads.head.size == STEP_RECORDS
            self._latest = step
            head = TreeHead(step[0].size, step[0].root, epoch, stopped=None)
            heads = self._heads = CheckedHeads(head, heads.tree, step, is_witnessed=False)
            self._announcer.put(step[0])
            if not is_full:
                break  # what came meanwhile is for the next turn
        if self.stopped is not None:
            stop_all(connection, epoch, None)
            self.stopped = self._damage = None
            _log.warning("audit.integrator.goes-on")
        self._saw_next(next_number(connection))
        self._announcer.tell()
        self._make_tables(connection)

    def _follow(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            head = read_head(connection)
            latest = newest_checkpoint(connection, self._signer.verifier_key.name)
            next_seq = next_number(connection)
        if head.size < self.size:
            raise StoreRolledBack(f"the tree went back from {self.size} to {head.size} records")
        if latest is not None and (self._latest is None or latest[0] != self._latest[0]):
            if latest[0].root != head.root or not latest[0].is_signed_by(self._signer.verifier_key):
                raise StoreDamaged("the newest checkpoint is not that of the tree, or not signed by the log's key")
            self._latest = latest
        self.stopped = head.stopped
        self._saw_next(next_seq)

    def _halt(self, connection: Connection, epoch: int | None, error: StoreDamaged) -> None:
        """Sign nothing, and stop everybody. Looked at again with every turn: what is put right is gone on with."""
        if self.stopped is None:
            _log.critical("audit.integrator.stopped", extra={"cause": str(error)})
        self.failures += 1
        self._damage = error
        self.stopped = f"{error}: nothing is signed until that is put right; run `python -m audit verify`"
        self._epoch = None
        if epoch is not None:
            stop_all(connection, epoch, self.stopped)

    def _make_tables(self, connection: Connection) -> None:
        """Tomorrow's tables, ahead of midnight, for the classes of the last two days."""
        today = self._clock().date()
        if self._made_tables_on == today:
            return
        found = execute(
            connection,
            "select distinct class_ from audit.scope where day >= %s and day <= %s",
            [(today - timedelta(days=1)).isoformat(), today.isoformat()],
        )
        scopes = [(today + timedelta(days=ahead), class_) for (class_,) in found.fetchall() for ahead in (0, 1)]
        if scopes:
            make_tables(connection, scopes)
            self._made_tables_on = today

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _tree_of(self, size: int) -> TileTree:
        """The stored tree of ``size`` records, kept until one of another size is asked for. The caller holds the lock.

        Each proof looks at the same unfinished tiles again. What the stored ones grow by does not matter here.
        """
        if self._shown is None or self._shown.size != size:
            unfinished: dict[tuple[int, int], bytes] = {}

            def read(level: int, index: int) -> bytes:
                tile = unfinished.get((level, index)) or self._read_tile(level, index)
                if len(tile) < TILE_BYTES:
                    unfinished[level, index] = tile
                return tile

            self._shown = TileTree(read, size)
        return self._shown

    def _read_tile(self, level: int, index: int) -> bytes:
        return read_tile(self._connected(), level, index)


def _cause(error: Exception) -> str:
    """Our own messages hold no values; those of others may."""
    return str(error) if isinstance(error, AuditError) else describe(error)
