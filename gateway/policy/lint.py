"""What a bundle must not do, found before it comes into force. Each check tells the attack or the accident it stops.

This is the part that loading needs; rules of style and of fail-safe writing come with the policy editor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.policy.bundle import CAPABILITIES, Problem, is_test
from gateway.policy.engine import EntryPoint
from gateway.policy.syntax import Module, Reference, can_be_undefined, is_denial, negated_operands, references

FORBIDDEN: Final = {
    "http.send": "sends what it was given to any address: a rule could leak every input, or fetch its answer",
    "opa.runtime": "reads the engine's environment, where secrets are",
    "net.lookup_ip_addr": "asks a name server: decisions would differ, and names can carry data out",
    "time.now_ns": "reads a clock that isn't in the input: a replay would decide differently",
    "rand.intn": "throws dice: a replay would decide differently",
    "uuid.rfc4122": "throws dice: a replay would decide differently",
    "print": "writes the input to a log",
    "trace": "writes the input to a log",
}
_OUTSIDE: Final = ("net.lookup_", "providers.", "http.")
_ROOTS: Final = ("data", "input")


def check(
    modules: Sequence[Module], data: Mapping[str, Any], roots: Sequence[str], capabilities: bytes | None
) -> list[Problem]:
    """All problems of a bundle whose files could be parsed, in the order of the files."""
    allowed, problems = _allowed(capabilities)
    packages = _packages(modules)
    for module in modules:
        problems += _package_is_path(module, roots)
        problems += _imports(module, packages)
        problems += _built_ins(module, packages, allowed)
        problems += _negations(module, packages[".".join(module.package)])
    problems += _data_in_packages(modules, data)
    return [*sorted(problems), *_entry_points(modules)]


def _allowed(capabilities: bytes | None) -> tuple[frozenset[str], list[Problem]]:
    """The built-ins of `capabilities.json`. Also what `opa check --capabilities` reads."""
    if capabilities is None:
        return frozenset(), [
            Problem(CAPABILITIES, 0, 0, "is missing: it names the built-in functions that may be used")
        ]
    try:
        return frozenset(str(b["name"]) for b in json.loads(capabilities)["builtins"]), []
    except (ValueError, KeyError, TypeError):
        return frozenset(), [
            Problem(CAPABILITIES, 1, 1, 'is no capabilities file: expected {"builtins": [{"name": …}]}')
        ]


def _packages(modules: Sequence[Module]) -> dict[str, set[str]]:
    """Package -> names of its rules, over all files."""
    found: dict[str, set[str]] = {}
    for module in modules:
        found.setdefault(".".join(module.package), set()).update(rule.name.partition(".")[0] for rule in module.rules)
    return found


def _package_is_path(module: Module, roots: Sequence[str]) -> Iterator[Problem]:
    """A package in another folder could add a rule to a decision without a reviewer of that folder seeing it."""
    span = module.package_span
    package = list(module.package)
    if is_test(module.path) and package and package[-1].endswith("_test"):
        package[-1] = package[-1].removesuffix("_test")
    folders = module.path.split("/")[:-1]
    if package != folders:
        yield Problem(
            module.path, span.line, span.column, f"package is {'.'.join(package)}, folder says {'.'.join(folders)}"
        )
    if not any(folders[: len(root)] == root for root in (r.split("/") for r in roots)):
        yield Problem(module.path, span.line, span.column, f"lies outside the manifest's roots {', '.join(roots)}")


def _imports(module: Module, packages: Mapping[str, set[str]]) -> Iterator[Problem]:
    """The embedded engine loses the imports of a package's functions when a rule read a value of that package through
    an import before: they become undefined, silently, and only there. OPA does not. So packages are named in full."""
    for span, parts, _ in module.imports:
        target = ".".join(parts[1:])
        if parts[0] == "data" and any(
            target == p or p.startswith(f"{target}.") or target.startswith(f"{p}.") for p in packages
        ):
            yield Problem(
                module.path, span.line, span.column, f"write {'.'.join(parts)}.… in full: only data may be imported"
            )


def _built_ins(module: Module, packages: Mapping[str, set[str]], allowed: frozenset[str]) -> Iterator[Problem]:
    own = packages[".".join(module.package)]
    names = {alias: parts for _, parts, alias in module.imports}
    for reference in references(module.tree["rules"]):
        if reference.parts[0] in names:
            reference = Reference(
                parts=(*names[reference.parts[0]], *reference.parts[1:]), called=reference.called, span=reference.span
            )
        message = _objection(reference, own, packages, allowed)
        if message:
            yield Problem(module.path, reference.span.line, reference.span.column, message)


def _objection(reference: Reference, own: set[str], packages: Mapping[str, set[str]], allowed: frozenset[str]) -> str:
    name = reference.name
    for forbidden, why in FORBIDDEN.items():
        # Also without a call: `with f as http.send` calls it under another name.
        if name == forbidden and (reference.called or "." in name):
            return f"{name} must not be used: it {why}"
    if reference.called and name.startswith(_OUTSIDE):
        return f"{name} must not be used: it reaches outside the input"
    if not reference.called:
        return ""
    if reference.parts[0] == "data":
        package, function = ".".join(reference.parts[1:-1]), reference.parts[-1]
        return "" if function in packages.get(package, ()) else f"there is no function {name}"
    if reference.parts[0] in _ROOTS or name in own:
        return ""
    return "" if name in allowed else f"{name} is no function here, and not among the built-ins of {CAPABILITIES}"


def _negations(module: Module, own: set[str]) -> Iterator[Problem]:
    """`deny if not is_number(x.y)`: where `x.y` is undefined, OPA finds no denial and the embedded engine finds one,
    because OPA takes arguments out of the negation first (seen with OPA 1.20 and regorus 0.13.0). Named facts
    (`fact if is_number(x.y)`, `deny if not fact`) mean the same everywhere."""
    for operands, span in negated_operands(module.tree["rules"]):
        if can_be_undefined(operands, own):
            yield Problem(
                module.path, span.line, span.column, "give this condition a name of its own, and negate the name"
            )


def _entry_points(modules: Sequence[Module]) -> Iterator[Problem]:
    """Without a default an entry point can be undefined, and a caller that forgets to ask for that takes it for yes."""
    for entry in EntryPoint:
        package, _, name = entry.value.rpartition(".")
        rules = [(m, r) for m in modules if ".".join(m.package) == package for r in m.rules if r.name == name]
        if not rules:
            yield Problem(f"{package.replace('.', '/')}/", 0, 0, f"there is no rule {name}, which the gateway asks for")
        elif not any(rule.is_default and is_denial(rule) for _, rule in rules):
            module, rule = rules[0]
            yield Problem(
                module.path, rule.span.line, rule.span.column, f'{name} needs a default with "effect": "deny"'
            )


def _data_in_packages(modules: Sequence[Module], data: Mapping[str, Any]) -> Iterator[Problem]:
    """Data at a package's own path would stand in for rules: `deny: []` in a data file is not a rule that denies."""
    for module in modules:
        node: Any = data
        for part in module.package:
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None:
            span = module.package_span
            yield Problem(
                module.path,
                span.line,
                span.column,
                f"a data file holds data.{'.'.join(module.package)}, which is a package",
            )
