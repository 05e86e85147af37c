"""One set of rules that decides many past inputs fast, and exactly as the gateway would.

Most of an input is the same again and again (roles, model, size); what varies (the clock, ages, counts, addresses) is
read by a few rules only. So a decision is a function of the rest of the input and of what those rules say of it. They
are asked for each input, with one small question; the whole decision is worked out once for each combination and
remembered. Nothing is assumed about what the rules compute: a fact that a function reads stays in the key. Every
hundredth remembered answer is worked out again and compared; if one ever differed, remembering ends and is reported.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.policy import syntax
from gateway.policy.answer import AnswerInvalid, AnswerUndefined, read
from gateway.policy.bundle import Rules
from gateway.policy.engine import UNDEFINED, EntryPoint, Evaluation
from gateway.policy.facade import MAX_FINDINGS
from gateway.policy.rego import ENGINE_NAME, Rego, RegoError
from gateway.replay.reads import Path, Reads
from gateway.vocabulary import Code, Effect

VARYING: Final[tuple[Path, ...]] = (
    ("request_id",),
    ("time",),
    ("mode",),
    ("prompt", "hmac"),
    ("prompt", "chars"),
    ("subject", "id"),
    ("subject", "department"),
    ("subject", "mfa_age_seconds"),
    ("context", "ip"),
    ("context", "country"),
    ("context", "client"),
    ("usage", "user_day"),
    ("usage", "user_month"),
    ("usage", "in_flight"),
    ("usage", "refused_last_hour"),
)
"""Facts that differ from request to request. A wrong choice costs time only."""
MAX_KEPT: Final = 20_000
CHECK_EVERY: Final = 100
_PACKAGE: Final = "imprimatur_replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A decision as far as replays compare it."""

    effect: Effect
    codes: tuple[str, ...]
    rules: tuple[str, ...]
    """The rule that each reason names, in the order of `codes`."""
    obligations: str
    """As JSON, to compare."""
    error: str = ""
    """Where the rules stumbled; the request is then refused."""


class Decider:
    """Decides. Use it on one thread."""

    def __init__(self, rules: Rules, entry: EntryPoint = EntryPoint.IMAGE, *, remember: bool = True) -> None:
        """Raises RegoError for rules that don't load."""
        self.rules = rules
        self._entry = entry
        self._engine = Rego(rules.modules, rules.data_json)
        self.reads = Reads([syntax.module(one) for one in self._engine.syntax()], entry)
        self._varying: list[Path] = []
        self._facts = ""
        self._kept: OrderedDict[str, Outcome] = OrderedDict()
        self.asked = self.remembered = self.checked = 0
        self.mismatch = ""
        """The request whose remembered answer turned out wrong; empty in all our tests."""
        if remember and not self.reads.replaces_input:
            self._prepare()

    def decide(self, document: Mapping[str, Any]) -> Outcome:
        """What the gateway would do with `document`. Never raises for what the rules do."""
        if len(document.get("findings", ())) > MAX_FINDINGS:
            return _no(Code.POLICY_TOO_MANY_FINDINGS)
        self.asked += 1
        text = json.dumps(document)
        key = self._key(document, text) if self._facts and not self.mismatch else None
        if key is None:
            return self._work_out(document, text)
        kept = self._kept.get(key)
        if kept is None:
            outcome = self._work_out(document, text)
            self._kept[key] = outcome
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return outcome
        self.remembered += 1
        if self.remembered % CHECK_EVERY == 0:
            self.checked += 1
            again = self._work_out(document, text)
            if again != kept:
                self.mismatch = str(document.get("request_id", ""))
                self._kept.clear()
                return again
        return kept

    def _prepare(self) -> None:
        """Choose the varying facts, and the rules that stand for them."""
        leaves: set[str] = set()
        for fact in VARYING:
            names, all_have_values = self.reads.readers(fact)
            if all_have_values and self._entry.value not in names:
                self._varying.append(fact)
                leaves |= names
        if not self._varying:
            return
        # A comprehension: what is undefined becomes an empty list instead of making the whole undefined.
        members = ",\n".join(f"\t[value | value := data.{name}]" for name in sorted(leaves))
        self._engine.add_module(f"{_PACKAGE}.rego", f"package {_PACKAGE}\n\nfacts := [\n{members}\n]\n")
        self._facts = f"{_PACKAGE}.facts"

    def _key(self, document: Mapping[str, Any], text: str) -> str | None:
        try:
            facts = self._engine.ask(self._facts, text)
        except RegoError:
            return None  # the whole question will tell whether and where it stumbles
        rest = {name: dict(value) if isinstance(value, dict) else value for name, value in document.items()}
        for *outer, last in self._varying:
            node: Any = rest
            for part in outer:
                node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, dict):
                # Present or not is kept: rules can tell the difference only where they read it, but it costs nothing.
                node[last] = last in node
        return json.dumps([rest, facts])  # in another order it would only be worked out once more

    def _work_out(self, document: Mapping[str, Any], text: str) -> Outcome:
        try:
            result = self._engine.ask(self._entry.value, text)
        except RegoError as error:
            return _no(Code.POLICY_UNAVAILABLE, error=error.place)
        return outcome_of(result, document)


def outcome_of(result: object, document: Mapping[str, Any]) -> Outcome:
    """What the gateway does with an answer of the rules."""
    try:
        decision = read(Evaluation(result=result, engine=ENGINE_NAME, revision=""), document)
    except AnswerUndefined:
        return _no(Code.POLICY_UNDEFINED)
    except AnswerInvalid:
        return _no(Code.POLICY_INVALID)
    reasons = sorted({(str(reason.code), reason.rule) for reason in decision.reasons})
    return Outcome(
        effect=decision.effect,
        codes=tuple(code for code, _ in reasons),
        rules=tuple(rule for _, rule in reasons),
        obligations=json.dumps(asdict(decision.obligations), sort_keys=True),
    )


def recorded_outcome(kept: Mapping[str, Any]) -> Outcome:
    """What was done with an input then, from the journal's line."""
    result = kept["result"]
    return outcome_of(UNDEFINED if result is None else result, kept["document"])


def _no(code: Code, error: str = "") -> Outcome:
    return Outcome(effect=Effect.DENY, codes=(code.value,), rules=("gateway.policy",), obligations="{}", error=error)
