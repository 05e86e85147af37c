"""What is said instead of a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.errors import InvalidRequest
from gateway.policy.bundle import Problem

SHOWN: Final = 20


class Conflict(InvalidRequest):
    """What somebody decided upon is not so any more."""

    status = 409
    code = "conflict"


class DraftRefused(InvalidRequest):
    """These files can't become rules. The message names file, line and column of each problem."""

    def __init__(self, problems: Sequence[Problem], param: str = "files") -> None:
        more = f"\n… and {len(problems) - SHOWN} more." if len(problems) > SHOWN else ""
        super().__init__("\n".join(str(problem) for problem in problems[:SHOWN]) + more, param=param)
        self.problems = tuple(problems)
