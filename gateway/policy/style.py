"""What a reviewer would send back: rules that fail open, rules that nobody uses, reasons that no page explains.

`lint` has what loading refuses; this is the rest, asked for by `imprimatur policy lint` before a change is put in
place. Everything here reads the syntax tree of files that passed their trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import yaml

from gateway.policy.bundle import Problem, is_test
from gateway.policy.engine import EntryPoint
from gateway.policy.syntax import Module, Rule, Span, bare_name, references, span, statements, texts
from gateway.vocabulary import is_reason_code

OPEN_FAMILIES: Final = ("dlp.", "content.", "screening.")
"""Reasons that come from the detectors' own files, which explain themselves."""
REQUIRED: Final = ("owner", "control")


class Level(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    WARNING = "warning"


class Check(StrEnum):
    """What looks for it. The names are those of docs/reference/policy-lint.md, and what a report is sorted by."""

    LOAD = "load"
    FAIL_OPEN = "fail-open"
    ABSENT_INPUT = "absent-input"
    METADATA = "metadata"
    UNUSED = "unused-rule"
    UNEXPLAINED = "unexplained-code"


LEVELS: Final = {
    Check.LOAD: Level.ERROR,
    Check.FAIL_OPEN: Level.ERROR,
    Check.ABSENT_INPUT: Level.ERROR,
    Check.METADATA: Level.ERROR,
    Check.UNUSED: Level.WARNING,
    Check.UNEXPLAINED: Level.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding of the lint, and where."""

    check: Check
    problem: Problem

    @property
    def level(self) -> Level:
        return LEVELS[self.check]

    def __str__(self) -> str:
        return f"{self.problem} [{self.check}]"


def check(modules: Sequence[Module], explained: str | None) -> list[Remark]:
    """All remarks on rules that load, in the order of the files. `explained` is the text of the pages that explain
    reason codes; None leaves that check out."""
    rules = [module for module in modules if not is_test(module.path)]
    found: list[Remark] = []
    for module in rules:
        found += _remarks(Check.FAIL_OPEN, module, _fail_open(module))
        found += _remarks(Check.ABSENT_INPUT, module, _absent_input(module))
        found += _remarks(Check.METADATA, module, _metadata(module))
        if explained is not None:
            found += _remarks(Check.UNEXPLAINED, module, _unexplained(module, explained))
    for module, place, message in _unused(rules):
        found += _remarks(Check.UNUSED, module, [(place, message)])
    return sorted(found, key=lambda remark: (remark.problem, remark.check))


_Told = tuple[Span, str]


def _remarks(kind: Check, module: Module, told: Iterator[_Told] | list[_Told]) -> Iterator[Remark]:
    for place, message in told:
        # Columns as editors count them; the interpreter takes a tab for four.
        before = module.source[: place.start].rpartition(b"\n")[2]
        yield Remark(check=kind, problem=Problem(module.path, place.line, len(before.decode()) + 1, message))


def _is_denial(rule: Rule) -> bool:
    return rule.name == "deny"  # a default has no body in which anything could be missing


def _fail_open(module: Module) -> Iterator[_Told]:
    """`deny if input.age > 300` denies nobody whose age is missing: what is undefined is not true. A denial follows
    from the absence of a positive fact (`deny if not fresh`), from a finding that is there, or from a fact whose
    absence another denial of the same file refuses."""
    covered = {
        name
        for rule in module.rules
        if _is_denial(rule)
        for statement in statements(rule)
        if "NotExpr" in statement and (name := bare_name(statement["NotExpr"]["expr"]))
    }
    sets = {rule.name for rule in module.rules if rule.is_set}
    own = {rule.name for rule in module.rules if not rule.is_function} - sets
    for rule in filter(_is_denial, module.rules):
        for statement in statements(rule):
            ((kind, value),) = statement.items()
            if kind != "Expr":
                continue
            expression = value["expr"]
            place = span(value["span"])
            if any(reference.parts[0] == "input" for reference in references(expression)):
                yield (
                    place,
                    "this denial needs a value of the input: where that is missing, it denies nobody. Name the "
                    "positive fact and deny on its absence (deny if not fact)",
                )
            elif (name := bare_name(expression)) in own and name not in covered:
                yield (
                    place,
                    f"this denial needs {name}: where that is undefined, it denies nobody. Deny on the absence of its "
                    f"opposite, or add a denial `if not {name}`",
                )


def _absent_input(module: Module) -> Iterator[_Told]:
    """`trusted if not input.context.blocked` trusts everybody of whom nothing is known."""
    for rule in module.rules:
        if rule.is_default or rule.name == "deny":
            continue
        for statement in statements(rule):
            negated = statement.get("NotExpr")
            if negated and any(reference.parts[0] == "input" for reference in references(negated["expr"])):
                yield (
                    span(negated["span"]),
                    f"{rule.name} holds where this part of the input is missing. Ask for the value that it must have",
                )


def _metadata(module: Module) -> Iterator[_Told]:
    """Who answers for a rule, and which control it is: an auditor's first two questions."""
    lines = module.source.decode().split("\n")
    problem = _annotation(lines, module.package_span.line, ("owner",))
    if problem:
        yield module.package_span, f"the package {problem}"
    seen: set[str] = set()
    for rule in module.rules:
        if rule.name in seen:
            continue
        seen.add(rule.name)
        problem = _annotation(lines, rule.span.line, REQUIRED)
        if problem:
            yield rule.span, f"{rule.name} {problem}"


def _annotation(lines: Sequence[str], line: int, required: Sequence[str]) -> str:
    """What is wrong with the METADATA block that ends above `line`; empty when nothing is."""
    block: list[str] = []
    for text in reversed(lines[: line - 1]):
        if not text.startswith("#"):
            break
        block.insert(0, text.removeprefix("#").removeprefix(" "))
        if text.strip() == "# METADATA":
            break
    if not block or block[0].strip() != "METADATA":
        return "has no METADATA above it"
    try:
        told: Any = yaml.safe_load("\n".join(block[1:])) or {}
    except yaml.YAMLError:
        return "has METADATA that is no YAML"
    custom = told.get("custom") if isinstance(told, dict) else None
    missing = [name for name in required if not isinstance(custom, dict) or not str(custom.get(name) or "").strip()]
    if not isinstance(told, dict) or not str(told.get("title") or "").strip():
        missing.insert(0, "title")
    return f"does not say its {' and '.join(missing)} in METADATA" if missing else ""


def _unexplained(module: Module, explained: str) -> Iterator[_Told]:
    """Whoever is refused reads a code; a code that no page has is a dead end."""
    seen: set[str] = set()
    for rule in module.rules:
        for place, text in texts(rule.tree):
            is_code = is_reason_code(text) and not text.startswith(OPEN_FAMILIES)
            if is_code and text not in seen and f"`{text}`" not in explained:
                seen.add(text)
                yield (
                    place,
                    f"no page explains {text}: add it to the table of reasons in docs/reference/policy-input.md",
                )


def _unused(modules: Sequence[Module]) -> Iterator[tuple[Module, Span, str]]:
    """A rule that nothing asks for is read by every reviewer and protects nobody; often it is a name with a slip."""
    used = {entry.value for entry in EntryPoint}
    for module in modules:
        package = ".".join(module.package)
        aliases = {alias: parts for _, parts, alias in module.imports}
        for rule in module.rules:
            own = f"{package}.{rule.name}"
            for reference in references(rule.tree):
                parts = (*aliases.get(reference.parts[0], reference.parts[:1]), *reference.parts[1:])
                name = ".".join(parts[1:]) if parts[0] == "data" else f"{package}.{'.'.join(parts)}"
                if name != own and not name.startswith(f"{own}."):
                    used.add(name)
    for module in modules:
        seen: set[str] = set()
        for rule in module.rules:
            name = ".".join((*module.package, rule.name))
            # Used by its name, through a part of it, or by whoever reads the whole package.
            is_used = any(u == name or u.startswith(f"{name}.") or name.startswith(f"{u}.") for u in used)
            if rule.name not in seen and not is_used:
                yield module, rule.span, f"nothing uses {rule.name}"
            seen.add(rule.name)
