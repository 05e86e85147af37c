"""Do two engines decide alike? Counts, and every question on which they did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.policy.engine import EntryPoint
from gateway.policy.testing import RegoTest
from tests.parity.engines import FAILED, NO_VALUE
from tests.parity.inputs import is_admin, question


class Engine(Protocol):
    def ask(self, path: str, document: object) -> object: ...


@dataclass(slots=True)
class Tally:
    """What came out of so many questions."""

    asked: int = 0
    same: int = 0
    """The same answer to the letter: effect, every reason, every obligation."""
    no_both: int = 0
    """Broken questions that both refuse, for different reasons or by stumbling."""
    kinds: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    differ: list[str] = field(default_factory=list)
    """Where one would let something through that the other does not, or for another reason."""

    def __str__(self) -> str:
        effects = ", ".join(f"{effect} {n}" for effect, n in sorted(self.effects.items()))
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        return (
            f"{self.asked} questions ({kinds}): {self.same} the same to the letter, {self.no_both} a no by both in "
            f"different words, {len(self.differ)} different. Effects: {effects}."
        )


def questions(one: Engine, other: Engine, numbers: Iterable[int]) -> Tally:
    """Ask both the questions of these numbers."""
    tally = Tally()
    for number in numbers:
        kind, document = question(number)
        entry = EntryPoint.ADMIN if is_admin(document) else EntryPoint.IMAGE
        answers = one.ask(entry.value, document), other.ask(entry.value, document)
        tally.asked += 1
        tally.kinds[kind] += 1
        tally.effects[effect(answers[0])] += 1
        if answers[0] == answers[1]:
            tally.same += 1
        elif is_no_by_both(kind, answers):
            tally.no_both += 1
        else:
            tally.differ.append(f"question {number} ({kind}): {effect(answers[0])} and {effect(answers[1])}")
    return tally


def is_no_by_both(kind: str, answers: tuple[object, object]) -> bool:
    """Whether two answers that differ are alike for what the gateway makes of them, which holds for broken questions
    alone: a value of a type that it never sends makes one engine stumble where the other goes on, or drop a rule's
    other members with it. To any other question the answers must be the same to the letter."""
    return kind == "broken" and {effect(answer) for answer in answers} <= {"deny", FAILED, NO_VALUE}


def tests(one: Engine, other: Engine, found: Iterable[RegoTest]) -> Tally:
    """Run the rules' own tests in both; `other` a package at a time, since OPA compiles each new query."""
    tally = Tally()
    packages: dict[str, object] = {}
    for test in found:
        package, _, name = test.name.rpartition(".")
        if package not in packages:
            packages[package] = other.ask(package, {})
        told = packages[package]
        answers = one.ask(test.name, {}), told.get(name, NO_VALUE) if isinstance(told, dict) else told
        tally.asked += 1
        tally.kinds["test"] += 1
        tally.effects["passed" if answers[0] is True else "failed"] += 1
        if answers == (True, True):
            tally.same += 1
        else:
            tally.differ.append(f"{test.path}:{test.line}: {test.name}: {answers[0]!r:.80} and {answers[1]!r:.80}")
    return tally


def effect(answer: Any) -> str:
    """The effect of a decision, or what came instead."""
    if isinstance(answer, dict) and isinstance(answer.get("effect"), str):
        return str(answer["effect"])
    return answer if answer in (FAILED, NO_VALUE) else "odd"
