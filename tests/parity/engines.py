"""The two engines side by side: the embedded one here, OPA's own in a process of its own (a Go runtime does not live
through a fork, and would stay in this process for ever)."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.policy.bundle import DATA_FILES, read_bundle
from gateway.policy.engine import UNDEFINED
from gateway.policy.rego import Rego, RegoError
from gateway.policy.yaml_data import load

ORACLE: Final = "OPA 1.20 (opa-golib-python-bindings 0.4.4)"
FAILED: Final = "failed"
"""An engine stumbled. The gateway takes that for a no."""
NO_VALUE: Final = "undefined"


def sources(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """(modules with their tests, data) of a folder, as the gateway reads it."""
    files = read_bundle(folder).files
    data: dict[str, Any] = {}
    for path in sorted(p for p in files if p.rpartition("/")[2] in DATA_FILES):
        text = files[path].decode()
        node = data
        for part in path.split("/")[:-1]:
            node = node.setdefault(part, {})
        node.update(load(path, text) if path.endswith(".yaml") else json.loads(text))
    return {path: text.decode() for path, text in files.items() if path.endswith(".rego")}, data


class Embedded:
    """The engine that decides in the gateway."""

    def __init__(self, modules: Mapping[str, str], data: Mapping[str, Any]) -> None:
        self.engine = Rego(modules, json.dumps(data))

    def ask(self, path: str, document: object) -> object:
        try:
            answer = self.engine.ask(path, json.dumps(document))
        except RegoError:
            return FAILED
        return NO_VALUE if answer is UNDEFINED else in_order(answer)


class Oracle:
    """OPA's engine, over pipes."""

    def __init__(self, modules: Mapping[str, str], data: Mapping[str, Any]) -> None:
        """Raises RuntimeError where the library isn't installed."""
        if importlib.util.find_spec("opa_bindings") is None:
            raise RuntimeError("OPA's engine is not installed: `make test` does it, with opa-golib-python-bindings")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.parity.engines"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._say({"modules": modules, "data": data})
        ready = self._hear()
        if "error" in ready:
            self.close()
            raise ValueError(f"OPA does not take these rules: {ready['error']}")

    def ask(self, path: str, document: object) -> object:
        self._say({"path": path, "input": document})
        answer = self._hear()
        if "error" in answer:
            return FAILED
        return in_order(answer["result"]) if "result" in answer else NO_VALUE

    def why(self, path: str, document: object) -> str:
        """What OPA says about a question that it stumbles over; empty when it does not."""
        self._say({"path": path, "input": document})
        return str(self._hear().get("error", ""))

    def close(self) -> None:
        """End the process. May be called twice."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._child.kill()
        self._child.wait()

    def _say(self, message: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("the process of OPA's engine ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def in_order(answer: object) -> object:
    """`answer` with its lists sorted: engines order sets of objects differently, and order says nothing. Numbers by
    value: 1 and 1.0 are the same."""
    if isinstance(answer, dict):
        return {key: in_order(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return sorted((in_order(member) for member in answer), key=lambda member: json.dumps(member, sort_keys=True))
    return int(answer) if isinstance(answer, float) and answer.is_integer() else answer


def main() -> None:
    """The oracle's process: rules on the first line, a question on every other."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    from opa_bindings import OpaEngine
    from opa_bindings.engine import OpaError, OpaUndefinedError

    engine = OpaEngine()
    first = json.loads(sys.stdin.readline())
    told: dict[str, Any] = {}
    try:
        for path, text in first["modules"].items():
            engine.add_policy(path, text)
        engine.add_data(first["data"])
    except OpaError as error:
        told = {"error": str(error)}
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            told = {"result": engine.eval_document(asked["path"], asked["input"])}
        except OpaUndefinedError:
            told = {}
        except OpaError as error:
            told = {"error": str(error)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
