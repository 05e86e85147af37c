"""The checks of a set of rules: trial, lint, tests with coverage, the detectors' own tests. Kept by digest.

Whatever reads a draft is a process of its own with little memory and a deadline (`policy.trial`, `check_child`): a
draft is text that somebody wrote, and none of it has been approved.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from gateway import __version__
from gateway.child import started
from gateway.lifecycle.tables import checks
from gateway.policy.bundle import Bundle, BundleRefused, Problem
from gateway.policy.trial import MAX_LINE_BYTES, try_out
from gateway.storage.database import Database

CHECK_SECONDS: Final = 60.0
"""Wall clock for lint and tests; three seconds are usual."""
DECISION_SECONDS: Final = 5.0
"""What a decision of the trial may take here; how fast it must be is judged by each gateway that takes the rules."""
MAX_PROBLEMS: Final = 500
MAX_MISSED: Final = 5_000
"""Lines of one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found. `problems` keep the rules from being proposed; `warnings` don't."""

    digest: str
    problems: tuple[Problem, ...] = ()
    kinds: tuple[str, ...] = ()
    """What found each problem: `load`, `fail-open`, `test`, `coverage`, `detector` …"""
    warnings: tuple[Problem, ...] = ()
    tests: int = 0
    failed: int = 0
    coverage: float = 0.0
    """Share of lines that the tests ran, 0 to 1."""
    floor: float = 1.0
    files: Mapping[str, float] = field(default_factory=dict)
    """The same for each file of rules."""
    missed: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Lines that no test ran, from 1, of each file that has any."""
    detectors: int = 0
    """Rule files whose own tests passed."""
    at: datetime

    @property
    def passed(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """As it is stored and as programs see it."""
        return {
            "object": "policy.check",
            "revision": self.digest,
            "passed": self.passed,
            "problems": [
                {**_problem_json(problem), "check": kind}
                for problem, kind in zip(self.problems, self.kinds, strict=True)
            ],
            "warnings": [_problem_json(problem) for problem in self.warnings],
            "tests": {"run": self.tests, "failed": self.failed},
            "coverage": {
                "share": round(self.coverage, 4),
                "floor": self.floor,
                "files": dict(self.files),
                "missed": {path: list(lines) for path, lines in self.missed.items()},
            },
            "detectors": {"passed": self.detectors},
            "checked_at": self.at.isoformat(),
        }


class Checker:
    """Checks sets of rules, one at a time, and remembers what it found."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        *,
        floor: float,
        explained: str | None = None,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        """`floor` is the share of lines that tests must run, 0 to 1; `explained` the text that explains codes."""
        self._database = database
        self._clock = clock
        self._floor = floor
        self._explained = explained
        self._seconds = check_seconds
        self._busy = asyncio.Lock()

    @property
    def name(self) -> str:
        """What a stored report was found by: another version, or another floor, may find otherwise."""
        return f"{__version__}/{self._floor:g}"

    async def known(self, digest: str) -> Report | None:
        """What this checker found before."""
        query = select(checks).where(checks.c.digest == digest, checks.c.checker == self.name)
        async with self._database.reading() as tx:
            row = (await tx.execute(query)).one_or_none()
        return None if row is None else _report(row.report)

    async def check(self, bundle: Bundle) -> Report:
        """Check now and keep the report. Never raises for what the rules are. One that ran into our own time limit is
        not kept: the next try may find a quieter machine."""
        async with self._busy:
            report, lasting = await self._check(bundle)
        if lasting:
            row = {"digest": bundle.digest, "checker": self.name, "passed": int(report.passed)}
            with suppress(IntegrityError):  # checked twice at once
                async with self._database.transaction() as tx:
                    there = select(checks.c.digest).where(
                        checks.c.digest == bundle.digest, checks.c.checker == self.name
                    )
                    if (await tx.execute(there)).one_or_none() is None:
                        await tx.execute(insert(checks).values(**row, report=report.as_json(), at=report.at))
        return report

    async def _check(self, bundle: Bundle) -> tuple[Report, bool]:
        try:
            rules = await try_out(bundle, decision_seconds=DECISION_SECONDS)
        except BundleRefused as refused:
            lasting = not any("to try out" in problem.message for problem in refused.problems)
            return self._refused(bundle, "load", refused.problems), lasting
        request = {
            "files": {path: base64.b64encode(body).decode() for path, body in bundle.files.items()},
            "data": rules.data_json,
            "floor": self._floor,
            "explained": self._explained,
        }
        try:
            async with asyncio.timeout(self._seconds):
                found, how = await _ask_child(json.dumps(request).encode())
        except TimeoutError:
            late = Problem("", 0, 0, f"lint and tests take more than {self._seconds:.0f} seconds")
            return self._refused(bundle, "test", [late]), False
        if found is None or "done" not in found:
            at = (found or {}).get("at", ["", 0])
            died = Problem(at[0], at[1], 1 if at[1] else 0, f"the engine did not survive this ({how})")
            return self._refused(bundle, "test", [died]), True
        return self._of(bundle.digest, found["done"]), True

    def _of(self, digest: str, done: Mapping[str, Any]) -> Report:
        problems = [(Problem(*p[:4]), p[4]) for p in done["problems"][:MAX_PROBLEMS]]
        return Report(
            digest=digest,
            problems=tuple(problem for problem, _ in problems),
            kinds=tuple(kind for _, kind in problems),
            warnings=tuple(Problem(*p) for p in done["warnings"][:MAX_PROBLEMS]),
            tests=done["tests"],
            failed=done["failed"],
            coverage=done["coverage"],
            floor=self._floor,
            files=done["files"],
            missed={path: tuple(lines[:MAX_MISSED]) for path, lines in done["missed"].items()},
            detectors=done["detectors"],
            at=self._clock(),
        )

    def _refused(self, bundle: Bundle, kind: str, problems: Sequence[Problem]) -> Report:
        kept = tuple(problems[:MAX_PROBLEMS])
        return Report(
            digest=bundle.digest, problems=kept, kinds=(kind,) * len(kept), floor=self._floor, at=self._clock()
        )


async def _ask_child(request: bytes) -> tuple[dict[str, Any] | None, str]:
    """The last thing that the child said, and how it ended."""
    last: dict[str, Any] | None = None
    async with started("gateway.lifecycle.check_child", line_bytes=MAX_LINE_BYTES) as child:
        await child.hand_over(request)
        async for line in child.answers:
            last = json.loads(line)
        return last, await child.ending() or "exit status 0"


def _problem_json(problem: Problem) -> dict[str, Any]:
    return {"path": problem.path, "line": problem.line, "column": problem.column, "message": problem.message}


def _problem(found: Mapping[str, Any]) -> Problem:
    return Problem(found["path"], found["line"], found["column"], found["message"])


def _report(stored: Mapping[str, Any]) -> Report:
    return Report(
        digest=stored["revision"],
        problems=tuple(map(_problem, stored["problems"])),
        kinds=tuple(found["check"] for found in stored["problems"]),
        warnings=tuple(map(_problem, stored["warnings"])),
        tests=stored["tests"]["run"],
        failed=stored["tests"]["failed"],
        coverage=stored["coverage"]["share"],
        floor=stored["coverage"]["floor"],
        files=stored["coverage"]["files"],
        missed=stored["coverage"].get("missed", {}),  # reports of older versions tell shares only
        detectors=stored["detectors"]["passed"],
        at=datetime.fromisoformat(stored["checked_at"]),
    )
