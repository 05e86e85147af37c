"""The child of a trial: reads a bundle, tries it, tells what is wrong with it. See `trial`."""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.policy import floor, lint, nesting, syntax, yaml_data
from gateway.policy.answer import AnswerInvalid, AnswerUndefined, read
from gateway.policy.bundle import CAPABILITIES, DATA_FILES, MANIFEST, Problem, is_test
from gateway.policy.engine import EntryPoint, Evaluation
from gateway.policy.rego import ENGINE_NAME, Rego, RegoError

MEMORY_BYTES: Final = 2 << 30
"""Address space: the libraries alone map a few hundred megabytes."""
CPU_SECONDS: Final = 20


class _Trial:
    """What the child knows of the bundle so far."""

    def __init__(self, files: Mapping[str, bytes], decision_seconds: float) -> None:
        self._files = files
        self._decision_seconds = decision_seconds
        self.problems: list[Problem] = []
        self.revision = ""
        self.roots: list[str] = []
        self.data: dict[str, Any] = {}

    def run(self) -> None:
        """Stop at the first stage with problems: later ones would only repeat them."""
        for stage in (self._read_manifest, self._read_data, self._check_rules, self._ask):
            self.problems += stage()
            if self.problems:
                return

    def _read_manifest(self) -> Iterator[Problem]:
        try:
            manifest = json.loads(self._files.get(MANIFEST, b"null"))
            self.revision, self.roots = str(manifest["revision"]), [str(root) for root in manifest["roots"]]
        except (ValueError, KeyError, TypeError):
            yield Problem(MANIFEST, 1, 1, 'expected {"revision": "…", "roots": ["…"]}')
            return
        if not self.roots or not all(self.roots):
            yield Problem(MANIFEST, 1, 1, "roots must name at least one folder, and none may be empty")

    def _read_data(self) -> Iterator[Problem]:
        for path in sorted(p for p in self._files if p.rpartition("/")[2] in DATA_FILES):
            _at(path, 1)
            try:
                yield from self._merge(path, self._parse(path))
            except yaml_data.YamlProblem as error:
                yield error.problem
            except (UnicodeDecodeError, RecursionError) as error:
                yield Problem(path, 1, 1, f"can't be read: {type(error).__name__}")

    def _parse(self, path: str) -> dict[str, Any]:
        text = self._files[path].decode()
        if path.endswith(".yaml"):
            return yaml_data.load(path, text)
        try:
            value = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise yaml_data.YamlProblem(Problem(path, error.lineno, error.colno, error.msg)) from None
        except ValueError as error:
            raise yaml_data.YamlProblem(Problem(path, 1, 1, str(error))) from None
        if not isinstance(value, dict):
            raise yaml_data.YamlProblem(Problem(path, 1, 1, "expected an object at the top"))
        return value

    def _merge(self, path: str, value: dict[str, Any]) -> Iterator[Problem]:
        folders = path.split("/")[:-1]
        if not any(folders[: len(root)] == root for root in (r.split("/") for r in self.roots)):
            yield Problem(path, 1, 1, f"lies outside the manifest's roots {', '.join(self.roots)}")
            return
        node = self.data
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                yield Problem(path, 1, 1, f"another data file says that {folder} is no mapping")
                return
        for key, member in value.items():
            if key in node:
                yield Problem(path, 1, 1, f"another data file holds {key} as well")
            node[key] = member

    def _check_rules(self) -> Iterator[Problem]:
        modules: dict[str, str] = {}
        engine = Rego({})
        for path in sorted(p for p in self._files if p.endswith(".rego")):
            _at(path, 1)
            try:
                text = self._files[path].decode()
                problem = nesting.too_deep(path, text)
                if problem is None:
                    engine.add_module(path, text)
                    modules[path] = text
                else:
                    yield problem
            except UnicodeDecodeError:
                yield Problem(path, 1, 1, "is not UTF-8")
            except RegoError as error:
                yield error.problem
        parsed = [syntax.module(entry) for entry in engine.syntax()]
        yield from lint.check(parsed, self.data, self.roots, self._files.get(CAPABILITIES))

    def _ask(self) -> Iterator[Problem]:
        modules = {p: t.decode() for p, t in self._files.items() if p.endswith(".rego")}
        data_json = json.dumps(self.data)
        try:
            everything = Rego(modules, data_json)
            engine = Rego({p: t for p, t in modules.items() if not is_test(p)}, data_json)
            parsed = [syntax.module(entry) for entry in engine.syntax()]
            places = _places(parsed)
            # The first question makes the engine look at all rules, the tests too: their mistakes are mistakes.
            for asked, entry in (
                (everything, EntryPoint.IMAGE),
                (engine, EntryPoint.IMAGE),
                (engine, EntryPoint.ADMIN),
            ):
                _at(*places[entry])
                asked.ask(entry, "{}")
            for module in parsed:
                # Rules that no entry point needs yet: what stumbles or contradicts itself here would do so later.
                _at(module.path, module.package_span.line)
                engine.ask_package(".".join(module.package), json.dumps(next(floor.cases(self.data)).document))
        except RegoError as error:
            yield error.problem
            return
        for case in floor.cases(self.data):
            place = places[case.entry]
            _at(*place)
            yield from self._answer(engine, case, place)

    def _answer(self, engine: Rego, case: floor.Case, place: tuple[str, int, int]) -> Iterator[Problem]:
        started = time.monotonic()
        try:
            result = engine.ask(case.entry, json.dumps(case.document))
        except RegoError as error:
            yield error.problem
            return
        seconds = time.monotonic() - started
        if seconds > self._decision_seconds:
            yield Problem(*place, f"took {seconds:.2f} s for {case.name}, more than {self._decision_seconds} s")
        try:
            effect = read(Evaluation(result=result, engine=ENGINE_NAME, revision=""), case.document).effect
        except AnswerUndefined:
            yield Problem(*place, f"gives no answer to {case.name}")
        except AnswerInvalid as error:
            yield Problem(*place, f"answers {case.name} with something that is no decision: {error}")
        else:
            if effect not in case.allowed:
                yield Problem(*place, f"answers {effect} to {case.name}")


def _places(modules: list[syntax.Module]) -> dict[EntryPoint, tuple[str, int, int]]:
    """Where each entry point stands."""
    places = {}
    for module in modules:
        for rule in module.rules:
            name = ".".join((*module.package, rule.name))
            if name in set(EntryPoint) and not rule.is_default:
                places[EntryPoint(name)] = (module.path, rule.span.line, rule.span.column)
    return {entry: places.get(entry, (entry.replace(".", "/"), 0, 0)) for entry in EntryPoint}


def _at(path: str, line: int, column: int = 1) -> None:
    """Tell the parent what is being worked on: if this process dies, that is where."""
    print(json.dumps({"at": [path, line, column]}), flush=True)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def main() -> None:
    """Read a request from standard input, try it out, write the verdict as the last line of standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    request = json.load(sys.stdin)
    files = {path: base64.b64decode(text) for path, text in request["files"].items()}
    trial = _Trial(files, request["decision_seconds"])
    trial.run()
    problems = [[p.path, p.line, p.column, p.message] for p in trial.problems]
    print(json.dumps({"problems": problems, "revision": trial.revision, "data": json.dumps(trial.data)}), flush=True)


if __name__ == "__main__":
    main()
