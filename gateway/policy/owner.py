"""The one thread that owns an embedded engine, and nobody else's hands on it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
        # Thread-local, so that the engine is let go of by the thread that made it, also when that thread just ends.
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
        self._thread.shutdown(wait=False)

    def _prepare(self) -> None:
        try:
            self._local.engine = None
            engine = self._make(self.rules)
            for entry in EntryPoint:
                engine.ask(entry, "{}")  # the first question prepares the rules and takes ten times as long
            self._local.engine = engine
        except RegoError as error:
            raise EngineFailed(error.place) from None
        except BaseException as error:  # a panic of the engine is no Exception (pyo3 PanicException)
            raise EngineFailed(f"the engine panicked while loading ({type(error).__name__})") from None

    def _answer(self, path: str, document_json: str) -> tuple[object, float]:
        try:
            answer = self._local.engine.ask(path, document_json)
        except RegoError as error:
            raise EngineFailed(error.place) from None
        except BaseException as error:
            # What a panic leaves behind is not to be trusted: the next question gets a new engine.
            self._prepare()
            raise EngineFailed(f"the engine panicked ({type(error).__name__})") from None
        return answer, time.monotonic()
