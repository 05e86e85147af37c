"""Every check that a module makes, found in its source: a mutant takes one of them away.

A check is

- an `if` that leads to a `raise`, or to a `return` of nothing good (`None`, `False`, an empty text or tuple, a
  constant): its condition becomes false; so does that of `return NOTHING if … else …`;
- one side of an `or` or `and` in such a condition: it is left out;
- a statement that only calls something named `check…` or `_check…`: it is left out;
- a `return` of a condition from something that answers `bool`: each side of its `and` and `or` is left out.

A line that says `# not a check: REASON` is left alone. The reason stands where the next reader looks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_EXEMPT = re.compile(r"#\s*not a check: \S")
_CHECK = re.compile(r"_?(re)?check_?\w*|demand\w*|require\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One file with one check less."""

    path: str
    line: int
    check: str
    becomes: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: `{self.check}` -> {self.becomes}"


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Each check of a file, taken away."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    seen: set[str] = set()
    for node, becomes in finder.found:
        changed = _replace(source, node, becomes)
        if changed in seen or changed == source:
            continue
        seen.add(changed)
        check = " ".join((ast.get_source_segment(source, node) or "").split())
        yield Mutant(path=path, line=node.lineno, check=check, becomes=becomes, source=changed)


class _Finder(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        self.found: list[tuple[ast.expr | ast.stmt, str]] = []
        self._source = source
        self._lines = source.splitlines()
        self._answers_bool = False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before = self._answers_bool
        self._answers_bool = isinstance(node.returns, ast.Name) and node.returns.id == "bool"
        self.generic_visit(node)
        self._answers_bool = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 the name that NodeVisitor looks for

    def visit_If(self, node: ast.If) -> None:
        if _refuses(node.body) and not self._is_exempt(node):
            self._condition(node.test, "False")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and _CHECK.fullmatch(_name(call.func)) and not self._is_exempt(node):
            self.found.append((node, "pass"))
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.IfExp) and _is_nothing(node.value.body) and not self._is_exempt(node):
            self._condition(node.value.test, "False")
        if self._answers_bool and isinstance(node.value, ast.BoolOp) and not self._is_exempt(node):
            self._sides(node.value)
        self.generic_visit(node)

    def _condition(self, test: ast.expr, gone: str) -> None:
        self.found.append((test, gone))
        if isinstance(test, ast.BoolOp):
            self._sides(test)

    def _sides(self, test: ast.BoolOp) -> None:
        for side in test.values:
            self.found.append((side, "True" if isinstance(test.op, ast.And) else "False"))
            if isinstance(side, ast.BoolOp):
                self._sides(side)

    def _is_exempt(self, node: ast.stmt) -> bool:
        return any(_EXEMPT.search(line) for line in self._lines[node.lineno - 1 : _head_end(node)])


def _head_end(node: ast.stmt) -> int:
    return (node.test.end_lineno if isinstance(node, ast.If) else node.end_lineno) or node.lineno


def _refuses(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if isinstance(last, ast.Return):
        return _is_nothing(last.value)
    return False


def _is_nothing(value: ast.expr | None) -> bool:
    empty = isinstance(value, ast.Constant) and not value.value
    constant = isinstance(value, ast.Name) and value.id.isupper()
    return value is None or empty or constant or (isinstance(value, ast.Tuple | ast.List) and not value.elts)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _replace(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    """The source with one node's text replaced; columns count bytes of UTF-8."""
    lines = source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    data = source.encode()
    return (data[:start] + text.encode() + data[end:]).decode()
