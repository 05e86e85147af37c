"""A reference witness's answer to ``add-checkpoint`` (C2SP tlog-witness), without the network around it.

The checks come in the order of the specification; each answer is one of its:

=====  ======================================================================
400    the body is no request, or the old size is beyond the checkpoint's
404    the origin is not registered
403    no key of the log signed it, or a signature of one does not hold
409    the old size is not what was cosigned last (the size is told), or the
       same size has another root
422    the consistency proof does not hold
200    cosigned; the checkpoint is on disk before the signature exists
=====  ======================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audit.checkpoint import TreeHead, parse_head
from audit.consistency import ConsistencyProof
from audit.cosignature import Cosigner
from audit.errors import StoreDamaged
from audit.note import NoteRefused, read_note
from audit.tree import EMPTY_ROOT, verify_consistency
from audit.witness.ledger import KnownLog, Ledger

_log = logging.getLogger("audit.witness.server")

SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over HTTP."""

    status: int
    body: str
    content_type: str = TEXT_TYPE


class WitnessService:
    """Cosigns what continues, refuses what does not. Safe to call from several threads."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        """Takes the ledger for itself. Raises ``StoreInUse``, ``StoreDamaged`` or ``KeyRefused``."""
        ledger.lock()
        try:
            ledger.logs()  # a file that cannot be trusted is told at the start
            self._cosigner = Cosigner(ledger.signer(), clock)
        except BaseException:
            ledger.release()
            raise
        self._ledger = ledger
        self._clock = clock
        # Comparing with the newest checkpoint and replacing it must be one step: the specification names the race.
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Give the ledger back. Connections that are still open get 503: another process may serve it by now."""
        with self._lock:
            self._is_closed = True
            self._ledger.release()

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer a request. Raises nothing: what goes wrong inside is 500, and nothing was cosigned then."""
        try:
            proof = ConsistencyProof.parse(body.decode())
            head = parse_head(read_note(proof.note)[0])
        except (NoteRefused, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, NoteRefused) else "not UTF-8"
            return Reply(400, f"malformed: {reason}\n")
        try:
            with self._lock:
                return Reply(503, "the witness stops\n") if self._is_closed else self._judge(proof, head)
        except (OSError, StoreDamaged, ValueError) as error:
            _log.error("audit.witness.server.failed", extra={"cause": str(error)})
            return Reply(500, "the witness cannot keep the checkpoint now\n")

    def latest(self, origin: str) -> str | None:
        """The newest note of a log, as the log signed it, for people who look; ``None`` if there is none."""
        with self._lock:
            known = self._ledger.find(origin)
        return known.note or None if known else None

    def _judge(self, proof: ConsistencyProof, head: TreeHead) -> Reply:
        log = self._ledger.find(head.origin)
        if log is None:
            return Reply(404, "this witness does not know the log\n")
        try:
            if not log.is_signed(proof.note):
                return Reply(403, "not signed by a key of the log\n")
        except NoteRefused as error:
            return Reply(403, f"{error}\n")
        if proof.old_size > head.size:
            return Reply(400, "the old size is beyond the checkpoint's\n")
        known = log.head
        if proof.old_size != known.size:
            return Reply(409, f"{known.size}\n", SIZE_TYPE)
        refusal = _refusal(proof, known, head)
        if refusal is not None:
            _log.warning("audit.witness.server.contradiction", extra={"origin": head.origin, "size": head.size})
            self._ledger.keep_evidence(log, proof.text)
            return refusal
        self._take(log, proof.note, head)
        return Reply(200, self._cosigner.cosign(read_note(proof.note)[0]))

    def _take(self, log: KnownLog, note: str, head: TreeHead) -> None:
        if not log.note or head.size > log.head.size:
            self._ledger.advance(log, note, datetime.fromtimestamp(self._clock(), UTC))


def _refusal(proof: ConsistencyProof, known: TreeHead, head: TreeHead) -> Reply | None:
    """What is wrong between the newest checkpoint and a signed one that claims to continue it."""
    if head.size == 0 and head.root != EMPTY_ROOT:
        return Reply(422, "the empty tree has another root\n")
    if head.size == known.size and head.root != known.root:
        return Reply(409, "the same size was cosigned with another root\n")
    if proof.old_size == 0:
        # RFC 6962 has no proof from the empty tree: everything continues it.
        return Reply(422, "a proof from size 0 must be empty\n") if proof.path else None
    if not verify_consistency(proof.old_size, head.size, known.root, head.root, proof.path):
        return Reply(422, "the consistency proof does not hold\n")
    return None
