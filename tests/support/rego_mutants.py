"""Rules with one condition broken: what a good set of tests must notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.policy import syntax


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One file with one statement replaced."""

    path: str
    line: int
    statement: str
    becomes: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: `{self.statement}` -> {self.becomes}"


def mutants(module: syntax.Module) -> Iterator[Mutant]:
    """Each statement of each body, comprehension and `every` of the file, once as `true` and once as `false`.

    `true` takes a condition away: a control that is no longer asked. `false` takes the whole body away: a rule that no
    longer speaks. Statements that bind variables can't be taken away; such mutants don't compile, and count as noticed.
    """
    seen = set()
    for raw in _statements(module.tree["rules"]):
        span = syntax.span(raw["span"])
        if (span.start, span.end) in seen:
            continue
        seen.add((span.start, span.end))
        statement = module.source[span.start : span.end].decode()
        for becomes in ("true", "false"):
            changed = module.source[: span.start] + becomes.encode() + module.source[span.end :]
            yield Mutant(
                path=module.path, line=span.line, statement=statement, becomes=becomes, source=changed.decode()
            )


def _statements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for member in node:
            yield from _statements(member)
    elif isinstance(node, dict):
        yield from node.get("stmts", ())
        for value in node.values():
            yield from _statements(value)
