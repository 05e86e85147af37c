"""One Rego interpreter, typed and tamed. The only module that touches `regorus`.

Facts that shape what stands around it, all seen with 0.13.0:

* an object lives and dies on the thread that made it; touched from another it panics, and the panic is a
  BaseException that would end the event loop (`owner.Owner`);
* it keeps the GIL while it runs and nothing can interrupt it, text of a few dozen characters can keep its parser busy
  for years, and a long chain of functions overflows its stack, which ends the process (`trial`: a child goes first);
* most mistakes (unsafe variables, unknown functions, recursion) are found at the first question, not at loading;
* a function of a package that was read through an import alias in the same rule loses its own imports and is silently
  undefined (`lint` refuses imports of packages);
* its bytecode machine is faster and silently wrong: only the interpreter is used.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import regorus

from gateway.policy.bundle import Problem
from gateway.policy.engine import UNDEFINED

_PLACE: Final = re.compile(r"-->\s*(?P<path>[^\s:]+):(?P<line>\d+):(?P<column>\d+)")
_ERROR: Final = re.compile(r"^error: (?P<message>.*)$", re.MULTILINE)
_NO_SUCH_RULE: Final = "not a valid rule path"
_UNDEFINED_JSON: Final = '"<undefined>"'
ENGINE_NAME: Final = "embedded/regorus-0.13.0"


class RegoError(Exception):
    """The interpreter stumbled. `problem` says where; its message can quote values, `place` never does."""

    def __init__(self, problem: Problem) -> None:
        where = f"at {problem.path}:{problem.line}:{problem.column}" if problem.path else "and did not say where"
        super().__init__(f"stumbled {where}")
        self.problem = problem

    @property
    def place(self) -> str:
        return str(self)


class _Own:
    """The engines that one thread made. No other thread may drop one, and where a last reference goes is up to Python's
    collector, which runs on any thread. So each thread keeps its own until it makes the next, or ends."""

    def __init__(self) -> None:
        self.engines: dict[int, Any] = {}
        self.left: deque[int] = deque()
        """Numbers of those that may go; filled by any thread."""

    def keep(self, engine: Any) -> int:
        while self.left:
            self.engines.pop(self.left.popleft(), None)
        number = next(_NUMBERS)
        self.engines[number] = engine
        return number


class _Here(threading.local):
    def __init__(self) -> None:
        self.own = _Own()


_NUMBERS: Final = itertools.count()
_here: Final = _Here()
_of_the_dead: Final[list[Any]] = []
"""Engines whose thread ended before them: nobody may drop them any more."""


class Rego:
    """Rules and data, loaded. Use it on the thread that made it; let go of it there, if it is to go at once."""

    def __init__(self, modules: Mapping[str, str], data_json: str = "{}") -> None:
        """Raises RegoError for what can't be parsed."""
        self._take(regorus.Engine())
        for path, text in sorted(modules.items()):
            self.add_module(path, text)
        try:
            self._engine.add_data_json(data_json)
        except Exception as error:
            raise _translated(error) from None

    def add_module(self, path: str, text: str) -> None:
        """Load one more file. Raises RegoError."""
        try:
            self._engine.add_policy(path, text)
        except Exception as error:
            raise _translated(error, path) from None

    def copy(self) -> Rego:
        """Another engine with the same files, without parsing them again. A change to one doesn't touch the other."""
        other = Rego.__new__(Rego)
        other._take(self._engine.clone())
        return other

    def _take(self, engine: Any) -> None:
        self._engine = engine
        self._number = _here.own.keep(engine)
        self._own = weakref.ref(_here.own)

    def __del__(self) -> None:
        if not hasattr(self, "_own"):
            return  # there never was an engine
        own = self._own()
        if own is None:
            _of_the_dead.append(self._engine)
        elif own is _here.own:
            own.engines.pop(self._number, None)
        else:
            own.left.append(self._number)

    def ask(self, path: str, document_json: str) -> object:
        """The JSON value of `data.<path>`, or UNDEFINED. Raises RegoError."""
        try:
            self._engine.set_input_json(document_json)
            answer = self._engine.eval_rule_as_json(f"data.{path}")
        except Exception as error:
            if str(error).startswith(_NO_SUCH_RULE):
                return UNDEFINED  # as OPA says, and as for a rule without a value
            raise _translated(error) from None
        return UNDEFINED if answer == _UNDEFINED_JSON else json.loads(answer)

    def ask_package(self, package: str, document_json: str) -> None:
        """Work out every rule of `data.<package>`. Raises RegoError when one stumbles."""
        try:
            self._engine.set_input_json(document_json)
            # As JSON: as Python's own values a set of refusals would be a set of dictionaries, which there can't be.
            self._engine.eval_query_as_json(f"data.{package}")
        except Exception as error:
            raise _translated(error) from None

    def syntax(self) -> list[dict[str, Any]]:
        """The syntax tree of every module: `{"source": {"file", "contents"}, "ast": …}`. Spans are byte offsets."""
        tree: list[dict[str, Any]] = json.loads(self._engine.get_ast_as_json())
        return tree

    def watch_coverage(self) -> None:
        """From here on, note which lines were run."""
        self._engine.set_enable_coverage(True)
        self._engine.clear_coverage_data()

    def coverage(self) -> dict[str, tuple[frozenset[int], frozenset[int]]]:
        """Path -> (lines that were run, lines that were not). Lines without an expression are in neither."""
        report = json.loads(self._engine.get_coverage_report_as_json())
        return {f["path"]: (frozenset(f["covered"]), frozenset(f["not_covered"])) for f in report["files"]}


def _translated(error: Exception, path: str = "") -> RegoError:
    text = str(error)
    place, message = _PLACE.search(text), _ERROR.search(text)
    words = message["message"] if message else text.strip().partition("\n")[0]
    if place is None:
        return RegoError(Problem(path, 0, 0, words[:300]))
    return RegoError(Problem(place["path"], int(place["line"]), int(place["column"]), words[:300]))
