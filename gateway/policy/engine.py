"""The port: one question to a set of rules, one raw answer. Two real ends: `embedded` and `opa`.

An engine only evaluates. What an answer means, and that a strange one means no, is `answer` and `facade`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from gateway.vocabulary import Code


class EntryPoint(StrEnum):
    """The two documents that the rules answer, as paths under `data`."""

    IMAGE = "gateway.image.authz.decision"
    ADMIN = "gateway.admin.authz.decision"


class Undefined:
    """The rules gave no value at all."""

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the rules answered, and which rules: one engine, one revision, never a mixture."""

    result: object
    """JSON value, or UNDEFINED."""
    engine: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """How an engine is. `revision` is empty while no rules are in force (or the engine doesn't say)."""

    ready: bool
    engine: str
    revision: str
    since: datetime | None = None
    """When these rules came into force."""
    error: str = ""
    """Why the newest rules are not in force, or why the engine can't answer. Names files and lines, never input."""


class EngineFailed(Exception):
    """No answer: the engine is down, too slow, or stumbled. `str()` is safe to log: it never quotes the input."""


class RulesRefused(EngineFailed):
    """An answer came, from rules that may not decide here: too old, or none of ours. A no, with `code` as reason."""

    def __init__(self, code: Code, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.code = code
        self.evaluation = evaluation
        """Whose answer it was. The answer itself is not to be used."""


class PolicyEngine(Protocol):
    """Evaluates entry points. Built stopped; `start` before the first question."""

    @property
    def revision(self) -> str:
        """The rules in force, as last known; empty when there are none."""

    async def start(self) -> None:
        """Ready to be asked. Raises what keeps it from that, when waiting would not help."""

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        """The answer of one revision to `document`. Raises EngineFailed, and nothing else, when there is none within
        the engine's time limit, and RulesRefused, which is one, when these rules may not decide."""

    async def health(self) -> EngineHealth:
        """How it is; never raises."""

    async def aclose(self) -> None:
        """Stop and free everything. May be called twice."""
