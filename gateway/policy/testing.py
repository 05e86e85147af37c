"""Running the tests that stand beside the rules, on the very engine that decides.

`test_*` rules of `*_test.rego` files, OPA's convention: one passes when it is true, and fails when it is anything else
or stumbles. `opa test policies/` runs the same files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.policy import syntax
from gateway.policy.bundle import is_test
from gateway.policy.rego import Rego, RegoError

TEST_PREFIX: Final = "test_"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegoTest:
    """One test rule, and where it stands."""

    name: str
    """Its path under `data`: `gateway.access_test.test_suspended_accounts_are_refused`."""
    path: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """How a test went."""

    __test__ = False  # for pytest: this is no test class

    test: RegoTest
    passed: bool
    error: str = ""
    """Where and why it stumbled; empty when it ran and was not true."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which lines of a file the tests ran."""

    covered: frozenset[int]
    not_covered: frozenset[int]

    @property
    def share(self) -> float:
        """0 to 1; a file without any expression is covered."""
        lines = len(self.covered) + len(self.not_covered)
        return 1.0 if lines == 0 else len(self.covered) / lines


class RegoTests:
    """The tests of a set of files, loaded and ready to run. Use it on the thread that made it."""

    def __init__(self, engine: Rego) -> None:
        """`engine` holds rules and tests."""
        self._engine = engine
        self.tests: tuple[RegoTest, ...] = tuple(self._find())

    def run(self, test: RegoTest) -> TestResult:
        """Run one. Never raises for what the rules do."""
        started = time.perf_counter()
        try:
            passed, error = self._engine.ask(test.name, "{}") is True, ""
        except RegoError as stumbled:
            passed, error = False, str(stumbled.problem)
        return TestResult(test=test, passed=passed, error=error, seconds=time.perf_counter() - started)

    def run_all(self) -> tuple[TestResult, ...]:
        return tuple(self.run(test) for test in self.tests)

    def first_failure(self) -> TestResult | None:
        """The first test that fails, without running the rest."""
        return next((result for test in self.tests if not (result := self.run(test)).passed), None)

    def coverage(self) -> dict[str, Coverage]:
        """Run all, and tell for each file of rules (not of tests) which lines were run."""
        self._engine.watch_coverage()
        self.run_all()
        return {
            path: Coverage(covered=covered, not_covered=not_covered)
            for path, (covered, not_covered) in self._engine.coverage().items()
            if not is_test(path)
        }

    def _find(self) -> Iterator[RegoTest]:
        for module in map(syntax.module, self._engine.syntax()):
            if not is_test(module.path):
                continue
            for rule in module.rules:
                if rule.name.startswith(TEST_PREFIX):
                    name = ".".join((*module.package, rule.name))
                    yield RegoTest(name=name, path=module.path, line=rule.span.line)
