"""Walking the interpreter's syntax tree: rules, references, calls. Used by lint and by the mutation tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Node = Any
"""A node as the interpreter writes it: `{"RefDot": {"span": …, "refr": …, "field": …}}`, lists, and plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a source file. `start` and `end` are byte offsets, end exclusive; lines and columns count from 1."""

    line: int
    column: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One parsed file."""

    path: str
    source: bytes
    package: tuple[str, ...]
    package_span: Span
    imports: tuple[tuple[Span, tuple[str, ...], str], ...]
    """(where, what, the name it gets)."""
    rules: tuple[Rule, ...]
    tree: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a file; several may bear the same name."""

    name: str
    is_default: bool
    is_function: bool
    is_set: bool
    """A partial set: `name contains member`."""
    span: Span
    tree: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A dotted name as far as it is fixed: `input.subject.roles[i]` is `input.subject.roles`, not `called`."""

    parts: tuple[str, ...]
    called: bool
    span: Span

    @property
    def name(self) -> str:
        return ".".join(self.parts)


def module(entry: dict[str, Any]) -> Module:
    """The module in one entry of `Rego.syntax()`."""
    tree = entry["ast"]
    source = entry["source"]["contents"].encode()
    imports = []
    for item in tree["imports"]:
        parts = _parts(item["refr"])
        alias = parts[-1]
        if item.get("as"):
            place = span(item["as"])
            alias = source[place.start : place.end].decode()
        imports.append((span(item["span"]), parts, alias))
    return Module(
        path=entry["source"]["file"],
        source=source,
        package=_parts(tree["package"]["refr"]),
        package_span=span(tree["package"]["span"]),
        imports=tuple(imports),
        rules=tuple(_rule(rule) for rule in tree["rules"]),
        tree=tree,
    )


def span(raw: Any) -> Span:
    """The place that the interpreter's span names (a list's first member when a name comes with it)."""
    raw = raw[0] if isinstance(raw, list) else raw
    return Span(line=raw["line"], column=raw["col"], start=raw["start"], end=raw["end"])


def references(node: Node) -> Iterator[Reference]:
    """Every reference below `node`, calls included, each once and with its longest fixed name."""
    if isinstance(node, list):
        for member in node:
            yield from references(member)
        return
    if not isinstance(node, dict):
        return
    for kind, value in node.items():
        if kind == "Call":
            yield Reference(parts=_parts(value["fcn"]), called=True, span=_span_of(value["fcn"]))
            yield from _indexes(value["fcn"])
            yield from references(value["params"])
        elif kind in ("RefDot", "RefBrack", "Var"):
            if parts := _parts(node):
                yield Reference(parts=parts, called=False, span=_span_of(node))
            yield from _indexes(node)
        else:
            yield from references(value)


def statements(rule: Rule) -> Iterator[Node]:
    """The statements of a rule's bodies, `else` too: `{"Expr": …}`, `{"NotExpr": …}`, `{"SomeIn": …}`, ….

    What stands inside a comprehension or `every` belongs to those."""
    for body in rule.tree.get("bodies") or ():
        for statement in (body.get("query") or {}).get("stmts") or ():
            yield statement["literal"]


def bare_name(node: Node) -> str:
    """The name that `node` is, or empty: `mfa_fresh`, not `mfa_fresh == true` nor `data.a`."""
    return str(node["Var"]["value"]) if isinstance(node, dict) and set(node) == {"Var"} else ""


def texts(node: Node) -> Iterator[tuple[Span, str]]:
    """Every string below `node`, and where it stands."""
    if isinstance(node, list):
        for member in node:
            yield from texts(member)
    elif isinstance(node, dict):
        for kind, value in node.items():
            if kind == "String":
                yield span(value["span"]), str(value["value"])
            else:
                yield from texts(value)


def negated_operands(node: Node) -> Iterator[tuple[Node, Span]]:
    """What stands inside each `not` below `node` as argument of a call or operand of an operator. A bare reference, and
    the two sides of `==` and `!=`, are not operands in this sense: every engine reads those alike."""
    if isinstance(node, list):
        for member in node:
            yield from negated_operands(member)
    elif isinstance(node, dict):
        for kind, value in node.items():
            if kind == "NotExpr":
                yield _operands(value["expr"]), span(value["span"])
            yield from negated_operands(value)


def can_be_undefined(node: Node, names: set[str]) -> bool:
    """Whether `node` holds a path, a call, or one of `names`: anything that may have no value."""
    if isinstance(node, list):
        return any(can_be_undefined(member, names) for member in node)
    if not isinstance(node, dict):
        return False
    for kind, value in node.items():
        if kind in ("RefDot", "RefBrack", "Call") or (kind == "Var" and value["value"] in names):
            return True
        if can_be_undefined(value, names):
            return True
    return False


def is_denial(rule: Rule) -> bool:
    """Whether the value of a default rule is an object with `"effect": "deny"`."""
    value = rule.tree["value"]
    fields = value["Object"]["fields"] if "Object" in value else []
    return any(_text(key) == "effect" and _text(member) == "deny" for _, key, member in fields)


def _text(node: Node) -> str | None:
    return str(node["String"]["value"]) if "String" in node else None


def _operands(expression: Node) -> Node:
    ((kind, value),) = expression.items()
    if kind == "Call":
        return value["params"]
    if kind in ("RefDot", "RefBrack", "Var"):
        return _nested(expression)
    if kind == "BoolExpr" and value["op"] in ("Eq", "Ne"):
        return [_nested(value["lhs"]), _nested(value["rhs"])]
    return [member for name, member in value.items() if name != "span"]


def _nested(side: Node) -> Node:
    """What a side of a comparison holds below a plain path."""
    ((kind, value),) = side.items()
    if kind == "RefDot":
        return _nested(value["refr"])
    if kind == "RefBrack":
        return [_nested(value["refr"]), _operands(value["index"])]
    return [] if kind == "Var" else side


def _rule(node: Node) -> Rule:
    ((kind, value),) = node.items()
    if kind == "Default":
        parts = _parts(value["refr"])
        return Rule(
            name=".".join(parts),
            is_default=True,
            is_function=bool(value["args"]),
            is_set=False,
            span=span(value["span"]),
            tree=value,
        )
    ((shape, head),) = value["head"].items()
    name = ".".join(_parts(head["refr"]))
    return Rule(
        name=name,
        is_default=False,
        is_function=shape == "Func",
        is_set=shape == "Set",
        span=span(value["span"]),
        tree=value,
    )


def _parts(node: Node) -> tuple[str, ...]:
    """The fixed parts of a reference, up to the first index that isn't a string."""
    if not isinstance(node, dict):
        return ()
    for kind, value in node.items():
        if kind == "Var":
            return (str(value["value"]),)
        if kind == "RefDot":
            return _extended(value["refr"], value["field"][-1])
        if kind == "RefBrack":
            index = value["index"]
            text = index["String"]["value"] if isinstance(index, dict) and "String" in index else None
            return _extended(value["refr"], text)
    return ()


def _extended(base: Node, part: str | None) -> tuple[str, ...]:
    parts = _parts(base)
    return (*parts, str(part)) if parts and part is not None and _is_fixed(base) else parts


def _is_fixed(node: Node) -> bool:
    for kind, value in node.items():
        if kind == "RefDot":
            return _is_fixed(value["refr"])
        if kind == "RefBrack":
            return "String" in value["index"] and _is_fixed(value["refr"])
    return True


def _indexes(node: Node) -> Iterator[Reference]:
    """References inside the brackets of a reference, and below one that begins with something else than a name."""
    for kind, value in node.items():
        if kind == "RefDot":
            yield from _indexes(value["refr"])
        elif kind == "RefBrack":
            yield from references(value["index"])
            yield from _indexes(value["refr"])
        elif kind != "Var":
            yield from references({kind: value})


def _span_of(node: Node) -> Span:
    """Where a reference begins: the place of its leftmost name."""
    for kind, value in node.items():
        if kind in ("RefDot", "RefBrack"):
            return _span_of(value["refr"])
        if isinstance(value, dict) and "span" in value:
            return span(value["span"])
    return Span(line=0, column=0, start=0, end=0)
