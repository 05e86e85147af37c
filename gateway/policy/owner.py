"""The one thread that owns an embedded engine, and nobody else's hands on it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from gateway.policy.bundle import Rules
from gateway.policy.engine import EngineFailed, EntryPoint
from gateway.policy.rego import Rego, RegoError

MakeRego = Callable[[Rules], Rego]


def make_rego(rules: Rules) -> Rego:
    """An engine with these rules, on the calling thread."""
    return Rego(rules.modules, rules.data_json)


class Owner:
    """Rules in force: one engine, on one thread, of one revision. Never changed after `begin`, only replaced whole.

    The engine keeps the GIL while it works and can't be interrupted: the time limit here drops questions that waited
    too long and refuses answers that came too late, and the bundle's trial is what keeps slow rules out.
    """

    def __init__(self, rules: Rules, make: MakeRego = make_rego) -> None:
        self.rules: Final = rules
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"policy-{rules.revision}")
        # Thread-local, so that a thread that just ends lets go of its own engine: no other thread may.
        self._local = threading.local()

    async def begin(self) -> None:
        """Make the engine and prepare its rules. Raises EngineFailed."""
        await asyncio.wrap_future(self._thread.submit(self._prepare))

    async def ask(self, path: str, document_json: str, *, seconds: float) -> object:
        """The answer of `data.<path>`. Raises EngineFailed when there is none within `seconds`."""
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                # A question that is still waiting for the thread when the time is up is cancelled there, unasked.
                answer, ended = await asyncio.wrap_future(self._thread.submit(self._answer, path, document_json))
        except TimeoutError:
            raise EngineFailed(f"no answer within {seconds} s") from None
        if ended > deadline:
            # The GIL was held past the deadline, so the answer was there before the alarm could ring.
            raise EngineFailed(f"the answer came after more than {seconds} s")
        return answer

    def close(self) -> None:
        """Let go of the engine once the questions under way are answered. May be called twice."""
        with suppress(RuntimeError):  # closed before
            self._thread.submit(self._let_go)
        self._thread.shutdown(wait=False)

    def _let_go(self) -> None:
        self._local.engine = None

    def _prepare(self) -> None:
        failure = ""
        try:
            self._local.engine = None
            engine = self._make(self.rules)
            for entry in EntryPoint:
                engine.ask(entry, "{}")  # the first question prepares the rules and takes ten times as long
            self._local.engine = engine
        except BaseException as error:
            failure = _told(error)
        if failure:
            raise EngineFailed(failure)

    def _answer(self, path: str, document_json: str) -> tuple[object, float]:
        failure = ""
        try:
            return self._local.engine.ask(path, document_json), time.monotonic()
        except BaseException as error:
            failure = _told(error)
            if not isinstance(error, RegoError):
                # What a panic leaves behind is not to be trusted: the next question gets a new engine.
                self._local.engine = None
        if self._local.engine is None:
            self._prepare()
        raise EngineFailed(failure)


def _told(error: BaseException) -> str:
    """What may be said of an error of the engine. Not the error itself: its traceback holds the engine, which would
    then be let go of by whichever thread handles the error last. A panic is no Exception (pyo3's PanicException)."""
    return error.place if isinstance(error, RegoError) else f"the engine panicked ({type(error).__name__})"
