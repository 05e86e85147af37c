"""The child of a check: lint, tests, coverage, and the detectors' own tests, on files that passed their trial.

It tells what it is working on before it begins (`{"at": [path, line]}`), so that its death has a place.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.keeping import Keeping
from gateway.lifecycle.content import materialise
from gateway.policy import style, syntax
from gateway.policy.bundle import Problem, bundle_of, is_test
from gateway.policy.rego import Rego
from gateway.policy.testing import RegoTests
from gateway.screening.image.required import FILE as REQUIRED
from gateway.screening.image.required import Required
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import load

MEMORY_BYTES: Final = 3 << 30
"""Address space: the libraries alone map several hundred megabytes."""
CPU_SECONDS: Final = 55

Found = tuple[str, int, int, str, str]
"""Path, line, column, message, and what found it."""


def _at(path: str, line: int) -> None:
    print(json.dumps({"at": [path, line]}), flush=True)


def _said(problem: Problem, kind: str) -> Found:
    return (problem.path, problem.line, problem.column, problem.message, kind)


def _detectors(files: Mapping[str, bytes]) -> tuple[list[Found], int]:
    """The rule files and the retention classes, read as the gateway reads them; each detector runs its own examples."""
    _at("dlp", 0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "policies"
        materialise(bundle_of(files), folder)
        try:
            rules = load(folder, prove_names=True).rules
        except RuleError as error:
            message = str(error).removeprefix(f"{error.file}:{error.line}: ")
            return [(error.file, error.line, 1, message, "detector")], 0
        try:
            Required(folder).of("output")
        except ValueError as error:
            path = REQUIRED.as_posix()
            return [(path, 1, 1, str(error).removeprefix(f"{path}: "), "load")], len(rules)
        try:
            Keeping(folder)
        except ValueError as error:
            path = "gateway/config/retention/data.yaml"
            return [(path, 1, 1, str(error).rpartition(f"{path}: ")[2] or str(error), "load")], len(rules)
    return [], len(rules)


def _untested(files: Mapping[str, bytes]) -> Iterator[Found]:
    """Rules without a test beside them: coverage could come from a test of something else."""
    tested = {path.rpartition("/")[0] for path in files if is_test(path)}
    for path in sorted(files):
        if path.endswith(".rego") and not is_test(path) and path.rpartition("/")[0] not in tested:
            yield (path, 1, 1, "has no tests beside it: expected a file …_test.rego in the same folder", "test")


def _short(path: str, missed: list[int], share: float, floor: float) -> Found:
    lines = ", ".join(map(str, missed[:12])) + (" …" if len(missed) > 12 else "")
    message = f"tests run {share:.0%} of its lines, not {lines}; at least {floor:.0%} are asked for"
    return (path, missed[0] if missed else 1, 1, message, "coverage")


def check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was found."""
    files = {path: base64.b64decode(body) for path, body in request["files"].items()}
    modules = {path: body.decode() for path, body in files.items() if path.endswith(".rego")}
    problems, detectors = _detectors(files)
    warnings: list[tuple[str, int, int, str]] = []
    _at("gateway", 0)
    for remark in style.check([syntax.module(entry) for entry in Rego(modules).syntax()], request["explained"]):
        if remark.level is style.Level.ERROR:
            problems.append(_said(remark.problem, remark.check))
        else:
            warnings.append(_said(remark.problem, remark.check)[:4])
    problems += _untested(files)
    tests = RegoTests(Rego(modules, request["data"]))
    failed = 0
    for test in tests.tests:
        _at(test.path, test.line)
        result = tests.run(test)
        if not result.passed:
            failed += 1
            problems.append((test.path, test.line, 1, f"{test.name} fails. {result.error}".rstrip(), "test"))
    lines = RegoTests(Rego(modules, request["data"])).coverage()
    floor = float(request["floor"])
    for path, found in sorted(lines.items()):
        if found.share < floor:
            problems.append(_short(path, sorted(found.not_covered), found.share, floor))
    covered = sum(len(found.covered) for found in lines.values())
    every = covered + sum(len(found.not_covered) for found in lines.values())
    return {
        "problems": sorted(problems),
        "warnings": warnings,
        "tests": len(tests.tests),
        "failed": failed,
        "coverage": covered / every if every else 0.0,
        "files": {path: round(found.share, 4) for path, found in sorted(lines.items())},
        "missed": {path: sorted(found.not_covered) for path, found in sorted(lines.items()) if found.not_covered},
        "detectors": detectors,
    }


def main() -> None:
    """Read a request from standard input, write what was found as the last line of standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    request = json.load(sys.stdin)
    print(json.dumps({"done": check(request)}), flush=True)


if __name__ == "__main__":
    main()
