"""Hands each new checkpoint of a store to the witnesses' board, from one process at a time.

Where several processes share a log, the one that holds a lease talks to the witnesses: two that did would each be told
that somebody else signs under their name.
"""

from __future__ import annotations

import logging
import threading

from audit.checkpoint import Checkpoint
from audit.errors import AuditError
from audit.store.port import Store
from audit.witness.board import WitnessBoard, WitnessFigures

LEASE = "witnesses"
_LEASE_SECONDS = 10.0
_log = logging.getLogger("audit.witness")


class CheckpointWatch:
    """A thread that looks for a new checkpoint a few times a second."""

    def __init__(self, store: Store, board: WitnessBoard, interval_seconds: float) -> None:
        self._store = store
        self._board = board
        self._pause_seconds = min(max(interval_seconds / 4, 0.01), 1.0)
        self._told: Checkpoint | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-witness-watch", daemon=True)

    def start(self) -> None:
        self._board.start()
        self._thread.start()

    def figures(self) -> dict[str, WitnessFigures]:
        """How each witness is doing, as this process knows."""
        return self._board.figures()

    def stop(self) -> None:
        """Tell the newest checkpoint and end. Blocks for some seconds at most. The store must still be open."""
        self._stop.set()
        self._thread.join()
        self._look()
        self._board.close()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            self._look()

    def _look(self) -> None:
        try:
            latest = self._store.latest
            if latest is None or latest[0] == self._told or not self._store.lease(LEASE, _LEASE_SECONDS):
                return
            self._board.submit(latest[0], self._store.prove_consistency)
            self._told = latest[0]
        except (AuditError, OSError) as error:  # looked at again in a moment
            _log.warning("audit.witness.watch-failed", extra={"cause": type(error).__name__})
