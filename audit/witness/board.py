"""Sends each new checkpoint to all witnesses, each in a thread of its own, without ever holding up who signs.

Each witness has one slot, for the newest checkpoint it lacks. A slow witness skips checkpoints, never the newest: a
checkpoint stays in the slot until the witness took it and that is on disk, or a newer one takes its place. What waits
in a slot when the process dies is sent after the next start, because the log submits its newest checkpoint then; that
is also when a witness says that the log was rolled back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint
from audit.errors import WitnessError, WitnessRefused, WitnessUnavailable
from audit.note import VerifierKey
from audit.push.backoff import Backoff
from audit.store.disk import Disk
from audit.witness.port import Submission, Witness
from audit.witness.shelf import Shelf, WitnessState

_log = logging.getLogger("audit.witness")

CLOSE_SECONDS: Final = 10.0
_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 60.0

ProveConsistency = Callable[[int, int], list[bytes]]  # old size, new size; as ``Store.prove_consistency``


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A witness and how often it is asked at most. An authority that stamps for money is asked once an hour."""

    witness: Witness
    interval_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessFigures:
    """How one witness is doing, for probes and alarms."""

    last_size: int  # size of the newest checkpoint it took; 0 for none
    age_seconds: float | None  # since it took that; None if it never did
    waiting_seconds: float  # since the oldest checkpoint it lacks was signed; 0 if it lacks none: alarm on this
    failures: int
    last_error: str  # "" after a success
    is_refused: bool  # it says no, and waiting will not help


class WitnessBoard:
    """All witnesses of one log. Safe to call from several threads."""

    def __init__(
        self,
        folder: Path,
        postings: Sequence[Posting],
        key: VerifierKey,
        *,
        clock: Callable[[], datetime],
        disk: Disk | None = None,
        first_seconds: float = _FIRST_SECONDS,
        longest_seconds: float = _LONGEST_SECONDS,
    ) -> None:
        """``folder`` keeps what they give (``shelf.py``); ``first_seconds`` and ``longest_seconds`` bound the wait
        after failures. Raises ``ValueError`` for two witnesses of one name, ``OSError`` if the folder is unusable."""
        names = [posting.witness.name for posting in postings]
        if len(set(names)) != len(names):
            raise ValueError("two witnesses have the same name")
        self._key = key
        self._desks = [
            _Desk(
                posting,
                Shelf(folder, posting.witness.name, disk or Disk()),
                clock,
                Backoff(first_seconds, longest_seconds),
            )
            for posting in postings
        ]

    def start(self) -> None:
        for desk in self._desks:
            desk.start()

    def submit(self, checkpoint: Checkpoint, prove_consistency: ProveConsistency) -> None:
        """Take the newest checkpoint; returns at once. Called in the order of their sizes, and once after a start."""
        size = checkpoint.size
        submission = Submission(
            checkpoint=checkpoint,
            note=checkpoint.note(self._key),
            prove_consistency=lambda old_size: prove_consistency(old_size, size),
        )
        for desk in self._desks:
            desk.put(submission)

    def figures(self) -> dict[str, WitnessFigures]:
        return {desk.name: desk.figures() for desk in self._desks}

    def failures(self) -> int:
        """Failed tries of all witnesses, ever."""
        return sum(desk.figures().failures for desk in self._desks)

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Try once more to send what waits, then stop. Blocks for at most about ``timeout_seconds``."""
        deadline = time.monotonic() + timeout_seconds
        for desk in self._desks:
            desk.stop()
        for desk in self._desks:
            desk.join(max(0.0, deadline - time.monotonic()))


class _Desk:
    """One witness, its slot and its thread."""

    def __init__(self, posting: Posting, shelf: Shelf, clock: Callable[[], datetime], backoff: Backoff) -> None:
        self._witness = posting.witness
        self._interval_seconds = posting.interval_seconds
        self._shelf = shelf
        self._clock = clock
        self._backoff = backoff
        self._condition = threading.Condition()  # guards the slot, the state and the end
        self._slot: Submission | None = None
        self._waiting_since: float | None = None  # monotonic
        self._state = shelf.load()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=f"audit-witness-{posting.witness.name}", daemon=True)

    @property
    def name(self) -> str:
        return self._witness.name

    def start(self) -> None:
        self._thread.start()

    def put(self, submission: Submission) -> None:
        with self._condition:
            self._slot = submission
            if self._waiting_since is None:
                self._waiting_since = time.monotonic()
            self._condition.notify()

    def figures(self) -> WitnessFigures:
        with self._condition:
            state, since = replace(self._state), self._waiting_since
        age = None if state.last_at is None else max(0.0, (self._clock() - state.last_at).total_seconds())
        return WitnessFigures(
            last_size=state.last_size,
            age_seconds=age,
            waiting_seconds=0.0 if since is None else time.monotonic() - since,
            failures=state.failures,
            last_error=state.last_error,
            is_refused=state.is_refused,
        )

    def stop(self) -> None:
        with self._condition:
            self._is_stopping = True
            self._condition.notify()

    def join(self, timeout_seconds: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            pause = self._rest_of_interval()
            while (submission := self._next(pause)) is not None:
                pause = self._serve(submission)
                if self._is_stopping and self._slot is submission:
                    return  # the last try failed: the next start sends it
        finally:
            self._witness.close()

    def _rest_of_interval(self) -> float:
        """Seconds until the witness may be asked again, after a restart."""
        if not self._interval_seconds or self._state.last_at is None:
            return 0.0
        age = (self._clock() - self._state.last_at).total_seconds()
        return min(max(0.0, self._interval_seconds - age), self._interval_seconds)

    def _next(self, pause: float) -> Submission | None:
        """The newest checkpoint, once ``pause`` is over and there is one. ``None`` at the end."""
        end = time.monotonic() + pause
        with self._condition:
            while not self._is_stopping and (self._slot is None or time.monotonic() < end):
                self._condition.wait(None if self._slot is None else max(0.0, end - time.monotonic()))
            return self._slot

    def _serve(self, submission: Submission) -> float:
        """Send one checkpoint. Returns the seconds to wait before the next."""
        try:
            receipt = self._witness.submit(submission)
            self._shelf.keep(submission, receipt)
        except WitnessError as error:
            return self._failed(error)
        except OSError as error:
            return self._failed(WitnessUnavailable(f"what witness {self.name} gave cannot be kept: {error.strerror}"))
        except Exception as error:  # the thread must go on, whatever a witness brought about
            _log.exception("audit.witness.crashed", extra={"witness": self.name})
            return self._failed(WitnessUnavailable(f"witness {self.name}: {type(error).__name__}"))
        self._backoff.reset()
        with self._condition:
            if self._slot is submission:
                self._slot = self._waiting_since = None
            else:  # a newer one came while this was sent
                self._waiting_since = time.monotonic()
            self._state = replace(
                self._state,
                last_size=submission.checkpoint.size,
                last_at=self._clock(),
                last_error="",
                is_refused=False,
            )
            state = replace(self._state)
        self._save(state)
        return self._interval_seconds

    def _failed(self, error: WitnessError) -> float:
        is_refused = isinstance(error, WitnessRefused)
        with self._condition:
            is_new = self._state.last_error != str(error)
            self._state = replace(
                self._state, failures=self._state.failures + 1, last_error=str(error), is_refused=is_refused
            )
            state = replace(self._state)
        if is_new:  # once for a row of the same: an outage of a day must not fill the disk with itself
            _log.error("audit.witness.failed", extra={"witness": self.name, "cause": str(error)})
        self._save(state)
        return self._backoff.next_seconds(getattr(error, "retry_after_seconds", None))

    def _save(self, state: WitnessState) -> None:
        try:
            self._shelf.save(state)
        except OSError as error:  # counts only
            _log.error("audit.witness.state.failed", extra={"witness": self.name, "cause": error.strerror})
