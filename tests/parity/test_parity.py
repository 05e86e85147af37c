"""The embedded engine decides as OPA's own does, on the shipped rules: in short here, at length by `make parity`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.policy.testing import RegoTests
from tests.parity import compare
from tests.parity.engines import FAILED, NO_VALUE, Embedded, Oracle, sources
from tests.parity.inputs import KINDS, question
from tests.support.policy import SHIPPED

QUESTIONS = 600
pytestmark = pytest.mark.xdist_group("parity")


class Fixed:
    """An engine that always says the same."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def ask(self, path: str, document: object) -> object:
        return self._answer


@pytest.fixture(scope="module")
def embedded() -> Embedded:
    return Embedded(*sources(SHIPPED))


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    engine = Oracle(*sources(SHIPPED))
    yield engine
    engine.close()


def test_every_test_of_the_rules_passes_in_both(embedded: Embedded, oracle: Oracle) -> None:
    tally = compare.tests(embedded, oracle, RegoTests(embedded.engine).tests)
    print(tally)
    assert tally.differ == []
    assert tally.same == tally.asked > 100


def test_generated_questions_are_decided_alike(embedded: Embedded, oracle: Oracle) -> None:
    tally = compare.questions(embedded, oracle, range(QUESTIONS))
    print(tally)
    assert tally.differ == []
    assert tally.same > QUESTIONS * 0.9, "most are the same to the letter"
    assert {"allow", "deny"} <= set(tally.effects)
    assert set(tally.kinds) == set(KINDS)


def test_a_rule_that_differs_is_found() -> None:
    """What the suite would say if one of the engines were wrong."""
    modules, data = sources(SHIPPED)
    changed = {path: text.replace('input.subject.status == "active"', "true") for path, text in modules.items()}
    assert changed != modules, "the shipped rules ask for an active account elsewhere now"
    tally = compare.questions(Embedded(modules, data), Embedded(changed, data), range(400))
    assert tally.differ != []


@pytest.mark.parametrize(
    ("kind", "one", "other", "is_alike"),
    [
        ("broken", FAILED, {"effect": "deny"}, True),
        ("broken", FAILED, NO_VALUE, True),
        ("broken", {"effect": "deny", "reasons": [1]}, {"effect": "deny", "reasons": []}, True),
        ("broken", FAILED, {"effect": "allow"}, False),
        ("broken", {"effect": "review"}, {"effect": "deny"}, False),
        ("broken", {"odd": 1}, {"effect": "deny"}, False),
        ("hostile", FAILED, {"effect": "deny"}, False),
        ("schema", NO_VALUE, {"effect": "deny"}, False),
        ("likely", {"effect": "deny", "reasons": [1]}, {"effect": "deny", "reasons": []}, False),
    ],
)
def test_only_broken_questions_may_be_refused_in_different_words(
    kind: str, one: object, other: object, is_alike: bool
) -> None:
    assert compare.is_no_by_both(kind, (one, other)) is is_alike


def test_answers_that_differ_are_counted_and_named() -> None:
    numbers = [n for n in range(60) if question(n)[0] != "broken"]
    tally = compare.questions(Fixed({"effect": "allow"}), Fixed({"effect": "mask"}), numbers)
    assert (tally.asked, tally.same, len(tally.differ)) == (len(numbers), 0, len(numbers))
    assert "allow and mask" in tally.differ[0]


def test_a_question_is_the_same_every_time_and_json() -> None:
    assert [question(n) for n in range(50)] == [question(n) for n in range(50)]


def test_rules_that_opa_does_not_take_are_said_so() -> None:
    with pytest.raises(ValueError, match="OPA does not take these rules"):
        Oracle({"a.rego": "package a\n\np if"}, {})
