"""Why rules answered as they did: which fired, which condition did not hold, at which line, for want of which fact.

What a rule is worth is asked of the engine, rule by rule; how far a rule that does not hold was read is told by the
lines that the engine ran (`Rego.coverage`): it stops at the first condition that is not true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.policy import syntax
from gateway.policy.bundle import Rules
from gateway.policy.engine import UNDEFINED, EntryPoint
from gateway.policy.rego import Rego, RegoError
from gateway.policy.syntax import Module, Rule, references, span, statements
from gateway.replay.decider import outcome_of
from gateway.replay.reads import Reads

MAX_DEPTH: Final = 5
MAX_TEXT: Final = 200


class Explainer:
    """Explains decisions of one set of rules. Use it on the thread that made it."""

    def __init__(self, rules: Rules, entry: EntryPoint = EntryPoint.IMAGE) -> None:
        """Raises RegoError for rules that don't load."""
        self._rules = rules
        self._entry = entry
        self._engine = Rego(rules.modules, rules.data_json)
        self.reads = Reads([syntax.module(one) for one in self._engine.syntax()], entry)

    def explain(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `document` and its reasons, as JSON. Never raises for what the rules do."""
        text = json.dumps(document)
        engine = self._engine.copy()
        engine.watch_coverage()
        try:
            outcome = outcome_of(engine.ask(self._entry.value, text), document)
        except RegoError as error:
            return {"effect": "deny", "reasons": [], "error": str(error.problem), "fired": [], "missing_facts": []}
        ran = {path: covered for path, (covered, _) in engine.coverage().items()}
        why = _Why(self.reads, self._worth(text), ran, document)
        return {
            "effect": outcome.effect.value,
            "reasons": [why.reason(code, rule) for code, rule in zip(outcome.codes, outcome.rules, strict=True)],
            "error": "",
            "fired": why.fired(),
            "missing_facts": self.reads.lacking(document),
            "obligations": json.loads(outcome.obligations),
        }

    def _worth(self, text: str) -> dict[str, object]:
        """What each rule is worth; a rule that stumbles is worth nothing."""
        found: dict[str, object] = {}
        for name in self.reads.reached:
            if any(rule.is_function for _, rule in self.reads.definitions(name)):
                continue
            try:
                found[name] = self._engine.ask(name, text)
            except RegoError:
                found[name] = UNDEFINED
        return found


class _Why:
    """What one question did to the rules."""

    def __init__(
        self, reads: Reads, worth: Mapping[str, object], ran: Mapping[str, frozenset[int]], document: Mapping[str, Any]
    ) -> None:
        self._reads = reads
        self._worth = worth
        self._ran = ran
        self._document = document
        self._places = reads.places()

    def fired(self) -> list[dict[str, Any]]:
        """The rules of refusals, reviews and masks that have members, and where their members come from."""
        found = []
        for name, value in sorted(self._worth.items()):
            if not (isinstance(value, list) and value and any(r.is_set for _, r in self._reads.definitions(name))):
                continue
            for module, rule in self._reads.definitions(name):
                # The head stands on lines of its own where the member is long: then they tell which one it was.
                lines = {rule.span.line, *(s.line for s in _spans(rule))}
                if lines <= self._ran.get(module.path, frozenset()) and self._can_have_fired(module, rule):
                    found.append({"rule": name, "path": module.path, "line": rule.span.line})
        return found

    def _can_have_fired(self, module: Module, rule: Rule) -> bool:
        """Whether every rule that it names in a condition of its own holds, and every one that it negates does not."""
        for statement in statements(rule):
            is_negated = "NotExpr" in statement
            for root, parts in _names(module, statement):
                name = ".".join(parts)
                if root == "data" and name in self._worth and self._holds(name) == is_negated:
                    return False
        return True

    def reason(self, code: str, rule: str) -> dict[str, Any]:
        """One reason, and why the rule that it names did not hold (or that it did)."""
        path, line = self._places.get(rule, ("", 0))
        told: dict[str, Any] = {"code": code, "rule": rule, "path": path, "line": line, "holds": self._holds(rule)}
        told["conditions"] = [] if told["holds"] else list(self._conditions(rule, set(), 0))
        return told

    def _holds(self, rule: str) -> bool:
        value = self._worth.get(rule, UNDEFINED)
        return value is not UNDEFINED and value is not False and value != []

    def _conditions(self, name: str, seen: set[str], depth: int) -> Iterator[dict[str, Any]]:
        if name in seen or depth > MAX_DEPTH:
            return
        seen.add(name)
        for module, rule in self._reads.definitions(name):
            if rule.is_default or rule.is_function:
                continue
            failed = self._failed(module, rule)
            if failed is None:
                continue
            place = span(next(iter(failed.values()))["span"])
            text = " ".join(module.source[place.start : place.end].decode().split())[:MAX_TEXT]
            text += '"' * (text.count('"') % 2)  # the engine leaves the quote out where a string ends the condition
            names = list(_names(module, failed))
            yield {
                "rule": name,
                "path": module.path,
                "line": place.line,
                "condition": text,
                "facts": [self._fact(parts) for root, parts in names if root == "input"],
            }
            for root, parts in names:
                used = ".".join(parts)
                if root == "data" and used in self._worth and not self._holds(used):
                    yield from self._conditions(used, seen, depth + 1)

    def _failed(self, module: Module, rule: Rule) -> dict[str, Any] | None:
        """The condition at which the engine stopped reading `rule`; None when it was not read at all."""
        ran = self._ran.get(module.path, frozenset())
        read = [s for s in statements(rule) if span(next(iter(s.values()))["span"]).line in ran]
        return read[-1] if read else None

    def _fact(self, path: tuple[str, ...]) -> dict[str, Any]:
        node: Any = self._document
        for part in path:
            if not isinstance(node, Mapping) or part not in node:
                return {"name": ".".join(("input", *path)), "missing": True}
            node = node[part]
        shown = node if len(json.dumps(node)) <= MAX_TEXT else "…"
        return {"name": ".".join(("input", *path)), "missing": False, "value": shown}


def _spans(rule: Rule) -> Iterator[syntax.Span]:
    for statement in statements(rule):
        yield span(next(iter(statement.values()))["span"])


def _names(module: Module, node: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    aliases = {alias: parts for _, parts, alias in module.imports}
    seen = set()
    for reference in references(node):
        parts = (*aliases.get(reference.parts[0], reference.parts[:1]), *reference.parts[1:])
        whole = (parts[0], parts[1:]) if parts[0] in ("input", "data") else ("data", (*module.package, *parts))
        if whole not in seen:
            seen.add(whole)
            yield whole
