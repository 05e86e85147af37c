"""What a set of rules reads of its input, told from the syntax tree: which facts, and in which rules.

Two uses: an input that lacks a fact which the candidate reads can't be replayed faithfully, and a decision depends on
facts that vary (the clock, ages, counts) only through the few rules that read them (`decider`). Everything here errs
towards reading more: a name that might be a fact counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.policy.engine import EntryPoint
from gateway.policy.syntax import Module, Rule, references

Path = tuple[str, ...]
"""A fact's place in the input: `("subject", "roles")`; empty = the input as a whole."""


@dataclass(slots=True)
class _Node:
    """Everything that bears one name."""

    rules: list[tuple[Module, Rule]] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    reads: set[Path] = field(default_factory=set)

    @property
    def is_function(self) -> bool:
        return any(rule.is_function for _, rule in self.rules)


class Reads:
    """What the rules that one entry point can reach read."""

    def __init__(self, modules: Sequence[Module], entry: EntryPoint) -> None:
        self._nodes: dict[str, _Node] = {}
        for module in modules:
            for rule in module.rules:
                name = ".".join((*module.package, rule.name))
                node = self._nodes.setdefault(name, _Node())
                node.rules.append((module, rule))
                for root, parts in _resolved(module, rule):
                    if root == "input":
                        node.reads.add(parts)
                    else:
                        node.uses.add(".".join(parts))
        self.reached = self._reach(entry.value)
        self.facts = frozenset(path for name in self.reached for path in self._nodes[name].reads if path)
        """Every fact that is read by name."""
        self.replaces_input = any(
            _replaces_input(rule.tree) for name in self.reached for _, rule in self._nodes[name].rules
        )
        """Whether a rule asks others with another input (`with input as`)."""

    def lacking(self, document: Mapping[str, Any]) -> list[str]:
        """The facts that `document` does not have, dotted."""
        return sorted(".".join(path) for path in self.facts if not _has(document, path))

    def readers(self, fact: Path) -> tuple[frozenset[str], bool]:
        """(names of rules that read `fact`, a part of it or something around it; whether all of them have a value of
        their own, as functions do not)."""
        names = frozenset(
            name
            for name in self.reached
            if any(path[: len(fact)] == fact or fact[: len(path)] == path for path in self._nodes[name].reads)
        )
        return names, not any(self._nodes[name].is_function for name in names)

    def places(self) -> dict[str, tuple[str, int]]:
        """Where each rule stands for the first time: name -> (file, line)."""
        found = {}
        for name, node in self._nodes.items():
            module, rule = next((one for one in node.rules if not one[1].is_default), node.rules[0])
            found[name] = (module.path, rule.span.line)
        return found

    def definitions(self, name: str) -> list[tuple[Module, Rule]]:
        """All rules of that name; empty for a name that is none."""
        node = self._nodes.get(name)
        return [] if node is None else node.rules

    def _reach(self, start: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            used = waiting.pop()
            # By its name, through a part of it, or by whoever reads the whole package.
            for name in self._nodes:
                if name not in seen and (
                    used == name or used.startswith(f"{name}.") or name.startswith(f"{used}.") or not used
                ):
                    seen.add(name)
                    waiting += self._nodes[name].uses
        return frozenset(seen)


def _resolved(module: Module, rule: Rule) -> Iterator[tuple[str, Path]]:
    """("input" or "data", path) of each reference of a rule; a local name looks like a rule of its package."""
    aliases = {alias: parts for _, parts, alias in module.imports}
    for reference in references(rule.tree):
        parts = (*aliases.get(reference.parts[0], reference.parts[:1]), *reference.parts[1:])
        if parts[0] in ("input", "data"):
            yield parts[0], parts[1:]
        else:
            yield "data", (*module.package, *parts)


def _has(document: Mapping[str, Any], path: Path) -> bool:
    node: Any = document
    for part in path:
        if not isinstance(node, Mapping):
            return True  # below a list or a value: nothing can be told
        if part not in node:
            return False
        node = node[part]
    return True


def _replaces_input(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_replaces_input, node))
    if not isinstance(node, dict):
        return False
    return bool(node.get("with_mods")) or any(_replaces_input(value) for value in node.values())
