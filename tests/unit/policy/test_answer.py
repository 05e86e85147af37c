"""What counts as a decision, and that everything else doesn't."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import MaskOrder, StepUp
from gateway.policy.answer import AnswerInvalid, AnswerUndefined, read
from gateway.policy.engine import UNDEFINED, Evaluation
from gateway.vocabulary import Effect, Severity
from tests.support.policy import ALICE, EMAIL, SHIPPED, UNSCREENED, image

CANARY = "canary-7f3a"
REASON = {"code": "dlp.email", "message": "m", "severity": "medium", "rule": "r", "control": "c"}
ALLOW: dict[str, Any] = {"effect": "allow", "reasons": [], "obligations": {}}
DENY: dict[str, Any] = {"effect": "deny", "reasons": [REASON], "obligations": {}}
MASK: dict[str, Any] = {
    "effect": "mask",
    "reasons": [{**REASON, "finding": "f1"}],
    "obligations": {"mask": [{"finding": "f1", "with": "x"}]},
}
REVIEW: dict[str, Any] = {"effect": "review", "reasons": [REASON], "obligations": {"review": {"queue": "q"}}}
QUESTION = image(ALICE, EMAIL)


def answer(result: object, question: dict[str, Any] = QUESTION) -> Any:
    return read(Evaluation(result=result, engine="e/1", revision="r1"), question)


def test_good_answers_become_decisions() -> None:
    allowed, masked = answer({**ALLOW, "obligations": {"max_n": 4, "retention_days": 7}}), answer(MASK)
    denied = answer({**DENY, "obligations": {"step_up": {"max_age_seconds": 300}}})
    assert (allowed.effect, allowed.obligations.max_n, allowed.obligations.retention_days) == (Effect.ALLOW, 4, 7)
    assert masked.obligations.mask == (MaskOrder(finding="f1", with_="x"),)
    assert denied.obligations.step_up == StepUp(max_age_seconds=300)
    assert answer(REVIEW).obligations.review_queue == "q"
    assert (denied.engine, denied.revision) == ("e/1", "r1")
    assert denied.reasons[0].severity is Severity.MEDIUM


def test_a_reason_shows_where_in_the_prompt_its_finding_stands() -> None:
    reasons = [REASON, {**REASON, "finding": "f1"}]
    assert [r.span for r in answer({**DENY, "reasons": reasons}).reasons] == [None, (3, 9)]


def test_a_finding_in_a_picture_has_no_place_in_the_prompt() -> None:
    question = image(ALICE, EMAIL)
    question["findings"][0]["stage"] = "output"
    assert answer({**DENY, "reasons": [{**REASON, "finding": "f1"}]}, question).reasons[0].span is None


def test_no_answer_is_told_apart() -> None:
    with pytest.raises(AnswerUndefined):
        answer(UNDEFINED)


ILL_FORMED: list[Any] = [
    None,
    True,
    "allow",
    1,
    [],
    [ALLOW],
    {},
    {"effect": "allow"},
    {**ALLOW, "allow": True},
    {**ALLOW, "effect": "ALLOW"},
    {**ALLOW, "effect": "permit"},
    {**ALLOW, "effect": None},
    {**ALLOW, "effect": True},
    {**ALLOW, "effect": ["allow"]},
    {**ALLOW, "reasons": None},
    {**ALLOW, "reasons": {}},
    {**ALLOW, "obligations": None},
    {**ALLOW, "obligations": []},
    {**ALLOW, "obligations": {"notify": ["ciso"]}},
    {**ALLOW, "obligations": {"max_n": 0}},
    {**ALLOW, "obligations": {"max_n": "4"}},
    {**ALLOW, "obligations": {"max_n": 1.5}},
    {**ALLOW, "obligations": {"max_n": True}},
    {**ALLOW, "obligations": {"retention_days": 0}},
    {**ALLOW, "obligations": {"retention_days": 99_999}},
    {**DENY, "reasons": [{**REASON, "code": "Nonsense"}]},
    {**DENY, "reasons": [{**REASON, "code": "other.family"}]},
    {**DENY, "reasons": [{**REASON, "code": "dlp.x\n"}]},
    {**DENY, "reasons": [{**REASON, "code": "dlp." + "a" * 99}]},
    {**DENY, "reasons": [{**REASON, "message": ""}]},
    {**DENY, "reasons": [{**REASON, "message": "m" * 1001}]},
    {**DENY, "reasons": [{**REASON, "severity": "bad"}]},
    {**DENY, "reasons": [{**REASON, "rule": ""}]},
    {**DENY, "reasons": [{k: v for k, v in REASON.items() if k != "control"}]},
    {**DENY, "reasons": [{**REASON, "extra": 1}]},
    {**DENY, "reasons": ["dlp.email"]},
    {**DENY, "obligations": {"step_up": {}}},
    {**DENY, "obligations": {"step_up": {"max_age_seconds": -1}}},
    {**DENY, "obligations": {"step_up": {"max_age_seconds": "300"}}},
    {**MASK, "obligations": {"mask": [{"finding": "f1", "with": ""}]}},
    {**MASK, "obligations": {"mask": [{"finding": "f1", "with_": "x"}]}},
    {**MASK, "obligations": {"mask": {"f1": "x"}}},
    {**REVIEW, "obligations": {"review": {"queue": ""}}},
    {**REVIEW, "obligations": {"review": {"queue": "q", "sla_seconds": 60}}},
]


@pytest.mark.parametrize("result", ILL_FORMED, ids=lambda result: json.dumps(result)[:60])
def test_an_ill_formed_answer_is_no_decision(result: object) -> None:
    with pytest.raises(AnswerInvalid):
        answer(result)


@pytest.mark.parametrize("result", ILL_FORMED, ids=lambda result: json.dumps(result)[:60])
def test_the_published_schema_refuses_it_too(result: object) -> None:
    schema = json.loads((SHIPPED / "schemas/decision.json").read_text())
    # JSON Schema's `pattern` takes Python's `$`, which forgives a newline; and knows no difference of 1 and true.
    if result in (ILL_FORMED[22], ILL_FORMED[27]):
        return
    assert not jsonschema.Draft202012Validator(schema).is_valid(result)


@pytest.mark.parametrize("result", [ALLOW, DENY, MASK, REVIEW], ids=["allow", "deny", "mask", "review"])
def test_the_published_schema_takes_good_answers(result: object) -> None:
    schema = json.loads((SHIPPED / "schemas/decision.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(result)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({**DENY, "reasons": []}, "without a reason"),
        ({**REVIEW, "reasons": []}, "without a reason"),
        ({**MASK, "reasons": []}, "without a reason"),
        ({**MASK, "obligations": {}}, "0 orders with effect mask"),
        ({**ALLOW, "obligations": MASK["obligations"]}, "1 orders with effect allow"),
        ({**MASK, "obligations": {"mask": [{"finding": "f9", "with": "x"}]}}, "unknown or can't be masked"),
        ({**ALLOW, "obligations": {"step_up": {"max_age_seconds": 1}}}, "step_up: given with effect allow"),
        ({**REVIEW, "obligations": {}}, "goes with effect review"),
        ({**DENY, "obligations": REVIEW["obligations"]}, "goes with effect review"),
        ({**DENY, "reasons": [{**REASON, "finding": "f9"}]}, "not in the question"),
    ],
)
def test_an_answer_that_contradicts_itself_or_the_question_is_no_decision(result: object, says: str) -> None:
    with pytest.raises(AnswerInvalid, match=says):
        answer(result)


def test_a_mask_for_what_can_not_be_masked_is_no_decision() -> None:
    question = image(ALICE, EMAIL)
    question["findings"][0]["maskable"] = False
    with pytest.raises(AnswerInvalid, match="can't be masked"):
        answer(MASK, question)


@pytest.mark.parametrize("result", [ALLOW, MASK])
def test_what_was_not_screened_can_not_be_allowed_whatever_the_rules_say(result: object) -> None:
    with pytest.raises(AnswerInvalid, match="although screening did not happen"):
        answer(result, image(ALICE, EMAIL, UNSCREENED))
    answer({**DENY, "reasons": [{**REASON, "finding": "f3"}]}, image(ALICE, EMAIL, UNSCREENED))


def test_an_invalid_answer_is_named_by_place_and_never_quoted() -> None:
    with pytest.raises(AnswerInvalid) as caught:
        answer({**DENY, "reasons": [{**REASON, "severity": CANARY, "code": CANARY}]})
    assert "reasons.0.severity: enum" in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["allow", "effect", "reasons"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_nothing_made_up_is_ever_a_yes(result: object) -> None:
    with pytest.raises(AnswerInvalid):
        answer(result)
