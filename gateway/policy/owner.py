"""An embedded engine in force: who may touch it, how long it may take, and what may be said when it stumbles."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import to_json

from gateway.policy.bundle import Rules
from gateway.policy.engine import EngineFailed, EntryPoint
from gateway.policy.rego import Rego, RegoError

MakeRego = Callable[[Rules], Rego]


def make_rego(rules: Rules) -> Rego:
    """An engine with these rules, on the calling thread."""
    return Rego(rules.modules, rules.data_json)


def question(document: Mapping[str, Any]) -> str:
    """A document as it is put to an engine. Raises EngineFailed for what JSON can't say; the error quotes nothing."""
    try:
        return to_json(document).decode()
    except ValueError:  # half a character, for one
        raise EngineFailed("the question can't be written as JSON") from None


class Owner:
    """Rules in force: one revision, never changed after `begin`, only replaced whole.

    A question is answered where it is asked, on the event loop's thread. The engine keeps the GIL while it works and
    can't be interrupted, so a thread of its own would let nothing else run meanwhile, and costs as much as a third of a
    decision (docs/decisions/0018). The time limit refuses answers that came too late; the bundle's trial is what keeps
    slow rules out.
    """

    def __init__(self, rules: Rules, make: MakeRego = make_rego) -> None:
        self.rules: Final = rules
        self._make = make
        # An engine may be touched by the thread that made it only. A thread that asks for the first time makes its own.
        self._local = threading.local()

    async def begin(self) -> None:
        """Make the engine and prepare its rules. Raises EngineFailed."""
        self._prepare()

    async def ask(self, path: str, document_json: str, *, seconds: float) -> object:
        """The answer of `data.<path>`. Raises EngineFailed when there is none within `seconds`."""
        started = time.monotonic()
        answer = self._answer(path, document_json)
        if time.monotonic() - started > seconds:
            raise EngineFailed(f"the answer came after more than {seconds} s")
        await asyncio.sleep(0)  # whoever asks again and again lets others have a turn in between
        return answer

    def close(self) -> None:
        """Let go of the engine. May be called twice."""
        self._local = threading.local()

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

    def _answer(self, path: str, document_json: str) -> object:
        failure = ""
        if getattr(self._local, "engine", None) is None:
            self._prepare()
        try:
            return self._local.engine.ask(path, document_json)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failure = _told(error)
            if not isinstance(error, RegoError):
                # What a panic leaves behind is not to be trusted: the next question gets a new engine.
                self._local.engine = None
        raise EngineFailed(failure)


def _told(error: BaseException) -> str:
    """What may be said of an error of the engine. Not the error itself: its traceback holds the engine, which would
    then be let go of by whichever thread handles the error last. A panic is no Exception (pyo3's PanicException)."""
    return error.place if isinstance(error, RegoError) else f"the engine panicked ({type(error).__name__})"
