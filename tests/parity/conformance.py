"""OPA's own conformance cases on the embedded engine: `python -m tests.parity.conformance FOLDER`.

FOLDER holds the YAML files of https://github.com/open-policy-agent/opa, `v1/test/cases/testdata/v1`, which whoever
runs this has fetched; they are not part of this repository. Each case says how OPA answers. What counts is the last of
three ways to differ: an engine that says loudly that it lacks something keeps a rule from coming into force, one that
stumbles where OPA does not makes a no, and one that silently answers something else decides wrongly.

Exit 0 when no case is answered silently otherwise (or no more than `--silent N`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.policy.rego import Rego, RegoError, _translated
from tests.parity.engines import in_order

PASSED: Final = "passed"
LOUD: Final = "stumbled where OPA answers"
LAX: Final = "answered where OPA stumbles"
SILENT: Final = "answered otherwise"
CRASHED: Final = "ended or hung"
MALFORMED: Final = "not a case"
FILE_SECONDS: Final = 60.0


def run_case(case: Mapping[str, Any]) -> tuple[str, str]:
    """(outcome, what differed) of one case."""
    try:
        query = str(case["query"])
        modules = {f"module{n}.rego": str(text) for n, text in enumerate(case.get("modules") or ())}
        data, given = json.dumps(case.get("data") or {}), case.get("input")
        wants_error = "want_error" in case or "want_error_code" in case
        wanted = case.get("want_result")
    except (KeyError, TypeError, ValueError) as error:
        return MALFORMED, repr(error)[:200]
    try:
        found = _bindings(modules, data, given, query)
    except Exception as error:
        return (PASSED, "") if wants_error else (LOUD, _said(error))
    except BaseException as error:  # a panic of the engine is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return (PASSED, "") if wants_error else (LOUD, f"panicked: {type(error).__name__}")
    if wants_error:
        return LAX, f"{case.get('want_error_code', '')!s}: {json.dumps(found)[:150]}"
    if "want_defined" in case:
        return (PASSED, "") if bool(found) is bool(case["want_defined"]) else (SILENT, json.dumps(found)[:200])
    if wanted is None:
        return MALFORMED, "neither want_result nor want_error"
    if in_order(found) == in_order(wanted):
        return PASSED, ""
    return SILENT, f"wanted {json.dumps(wanted)[:150]}, got {json.dumps(found)[:150]}"


def _said(error: Exception) -> str:
    """What an engine says of itself, in a line."""
    problem = error.problem if isinstance(error, RegoError) else _translated(error).problem
    return str(problem)[:200]


def _bindings(modules: Mapping[str, str], data: str, given: object, query: str) -> list[dict[str, Any]]:
    """What the variables of the query were, one object a solution."""
    engine = Rego(modules, data)._engine
    if given is not None:
        engine.set_input_json(json.dumps(given))
    answers = json.loads(engine.eval_query_as_json(query)).get("result") or []
    # A solution in which an expression is false is none; OPA leaves it out.
    return [
        {name: value for name, value in answer.get("bindings", {}).items() if not name.startswith("$")}
        for answer in answers
        if all(expression.get("value") is not False for expression in answer.get("expressions", ()))
    ]


def cases_of(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, case) of each case in a file."""
    document = yaml.safe_load(path.read_text())
    for number, case in enumerate((document or {}).get("cases") or ()):
        yield str(case.get("note", f"{path.stem} {number}")), case


def run_file(path: Path) -> list[tuple[str, str, str]]:
    """(name, outcome, what differed) of each case, each file in a process of its own: a case may end it or hang."""
    command = [sys.executable, "-m", "tests.parity.conformance", "--one-file", str(path)]
    try:
        child = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=FILE_SECONDS, check=False, text=True
        )
        said, crashed = child.stdout, child.returncode != 0
    except subprocess.TimeoutExpired as late:
        said, crashed = (late.stdout or b"").decode() if isinstance(late.stdout, bytes) else (late.stdout or ""), True
    found = [tuple(json.loads(line)) for line in said.splitlines() if line.endswith("]")]
    if crashed:
        names = [name for name, _ in cases_of(path)]
        found += [(name, CRASHED, "") for name in names[len(found) :][:1]]
    return [(str(name), str(outcome), str(what)) for name, outcome, what in found]


def main(arguments: list[str] | None = None) -> int:
    """Run all files below a folder and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="OPA's v1/test/cases/testdata/v1")
    parser.add_argument("--silent", type=int, default=0, help="so many silent differences are known and accepted")
    parser.add_argument("--one-file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one_file is not None:
        for name, case in cases_of(asked.one_file):
            print(json.dumps([name, *run_case(case)]), flush=True)
        return 0
    files = sorted(asked.folder.rglob("*.yaml")) if asked.folder is not None and asked.folder.is_dir() else []
    if not files:
        print(f"{asked.folder}: expected a folder with OPA's cases as .yaml files", file=sys.stderr)
        return 2
    outcomes: Counter[str] = Counter()
    for path in files:
        for name, outcome, what in run_file(path):
            outcomes[outcome] += 1
            if outcome != PASSED:
                print(f"{outcome}: {path.relative_to(asked.folder)}: {name}: {what}")
    total = sum(outcomes.values())
    print(f"{total} cases in {len(files)} files: " + ", ".join(f"{n} {name}" for name, n in outcomes.most_common()))
    print(f"{outcomes[PASSED] / max(total, 1):.1%} as OPA answers; {outcomes[SILENT]} silently otherwise")
    return 0 if total and outcomes[SILENT] <= asked.silent else 1


if __name__ == "__main__":
    sys.exit(main())
