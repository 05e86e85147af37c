"""A candidate that decides beside the rules in force, on live traffic, and changes nothing.

Decisions are put into a queue that is never waited for; a child process (`child.serve`) answers them, and what differs
is counted. A full queue drops the newest decision and counts it: a slow candidate costs the requests nothing, and the
report says how much it missed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from gateway.child import Child
from gateway.policy.bundle import Rules
from gateway.policy.engine import EntryPoint, Evaluation
from gateway.replay.decider import outcome_of
from gateway.replay.report import kind_of
from gateway.replay.runner import as_setup, spawned, write
from gateway.vocabulary import Effect

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 1_000
ANSWER_SECONDS: Final = 5.0
MIN_COMPARED: Final = 100
"""Fewer decisions say nothing of a share."""
MAX_SAMPLES: Final = 50


class Shadow:
    """One candidate in the shadow. `saw` is a `tap.Watcher`; `run` is its life."""

    def __init__(
        self, rules: Rules, *, by: str, since: datetime, alarm_share: float, on_alarm: Callable[[Shadow], None]
    ) -> None:
        """`on_alarm` is called once, when more than `alarm_share` of decisions differ."""
        self.rules = rules
        self.by = by
        self.since = since
        self._alarm_share = alarm_share
        self._on_alarm = on_alarm
        self._queue: asyncio.Queue[tuple[EntryPoint, Mapping[str, Any], Evaluation]] = asyncio.Queue(MAX_WAITING)
        self.compared = self.dropped = self.errors = 0
        self.alarmed = False
        self.failure = ""
        """Why it stopped by itself; empty while it goes on."""
        self._effects: Counter[tuple[Effect, Effect]] = Counter()
        self._kinds: Counter[str] = Counter()
        self._differ = 0
        self._samples: deque[dict[str, Any]] = deque(maxlen=MAX_SAMPLES)

    def saw(self, entry: EntryPoint, document: Mapping[str, Any], evaluation: Evaluation) -> None:
        """Take one live decision; returns at once."""
        if self.failure:
            return
        try:
            self._queue.put_nowait((entry, document, evaluation))
        except asyncio.QueueFull:
            self.dropped += 1

    @property
    def share(self) -> float:
        """How many of the compared decisions have another effect or other reasons."""
        return self._differ / self.compared if self.compared else 0.0

    def figures(self) -> dict[str, int]:
        """Decisions by what came of asking: for the metrics."""
        return {"same": self.compared - self._differ, "different": self._differ, "dropped": self.dropped}

    async def settle(self) -> None:
        """Wait until everything taken so far is compared."""
        await self._queue.join()

    async def run(self) -> None:
        """Compare until cancelled. Ends by itself, with `failure` set, when the candidate can't go on."""
        try:
            async with spawned() as child:
                async with asyncio.timeout(ANSWER_SECONDS * 2):
                    await write(child, {"job": "serve", "candidate": as_setup(self.rules)})
                    await _answer(child)
                while True:
                    await self._compare_next(child)
        except (TimeoutError, OSError, ValueError) as error:
            self.failure = f"the candidate gave no answer ({type(error).__name__})"
            _log.error("shadow.failed", extra={"fields": {"revision": self.rules.revision, "cause": self.failure}})
            while not self._queue.empty():
                self._queue.get_nowait()
                self._queue.task_done()
                self.dropped += 1

    def report(self) -> dict[str, Any]:
        """How it compares so far, as JSON."""
        return {
            "candidate": {"revision": self.rules.revision},
            "by": self.by,
            "since": self.since.isoformat(),
            "compared": self.compared,
            "dropped": self.dropped,
            "errors": self.errors,
            "different": self._differ,
            "share": round(self.share, 6),
            "alarm_share": self._alarm_share,
            "alarmed": self.alarmed,
            "failure": self.failure,
            "changes": dict(sorted(self._kinds.items())),
            "effects": [
                {"from": before.value, "to": after.value, "decisions": n}
                for (before, after), n in sorted(self._effects.items())
            ],
            "samples": list(self._samples),
        }

    async def _compare_next(self, child: Child) -> None:
        entry, document, evaluation = await self._queue.get()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await write(child, [entry.value, document])
                told = await _answer(child)
        finally:
            self._queue.task_done()
        self._compare(entry, document, evaluation, told)

    def _compare(
        self, entry: EntryPoint, document: Mapping[str, Any], evaluation: Evaluation, told: Mapping[str, Any]
    ) -> None:
        before = outcome_of(evaluation.result, document)
        after = Effect(told["effect"])
        self.compared += 1
        self.errors += bool(told["error"])
        self._effects[before.effect, after] += 1
        if (before.effect, list(before.codes)) != (after, told["codes"]):
            self._differ += 1
            self._kinds[kind_of(before.effect, after) or "other_reasons"] += 1
            self._samples.append(
                {
                    "request_id": document["request_id"],
                    "at": document["time"],
                    "person": document["subject"]["id"],
                    "action": document["action"],
                    "entry": entry.value,
                    "in_force": evaluation.revision,
                    "before": {"effect": before.effect.value, "reasons": list(before.codes)},
                    "after": {"effect": after.value, "reasons": told["codes"], "error": told["error"]},
                }
            )
        if not self.alarmed and self.compared >= MIN_COMPARED and self.share > self._alarm_share:
            self.alarmed = True
            _log.warning("shadow.alarm", extra={"fields": {"revision": self.rules.revision, "share": self.share}})
            self._on_alarm(self)


class Shadows:
    """The one shadow there is, or none."""

    def __init__(
        self, clock: Callable[[], datetime], *, alarm_share: float, on_alarm: Callable[[Shadow], None] = lambda _: None
    ) -> None:
        self._clock = clock
        self._alarm_share = alarm_share
        self._on_alarm = on_alarm
        self.current: Shadow | None = None
        self._task: asyncio.Task[None] | None = None

    def saw(self, entry: EntryPoint, document: Mapping[str, Any], evaluation: Evaluation) -> None:
        """A `tap.Watcher`."""
        if self.current is not None:
            self.current.saw(entry, document, evaluation)

    async def start(self, rules: Rules, *, by: str) -> Shadow:
        """Put `rules`, which passed their trial, into the shadow; one that was there ends."""
        await self.stop()
        self.current = Shadow(rules, by=by, since=self._clock(), alarm_share=self._alarm_share, on_alarm=self._on_alarm)
        self._task = asyncio.create_task(self.current.run(), name="shadow")
        return self.current

    async def stop(self) -> Shadow | None:
        """End it; returns what it was."""
        ended, self.current = self.current, None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        return ended


async def _answer(child: Child) -> dict[str, Any]:
    """The child's next line. Raises ValueError when there is none, or when the rules don't load."""
    told: dict[str, Any] = json.loads(await child.answers.readline())
    if "failed" in told:
        raise ValueError(told["failed"])
    return told
